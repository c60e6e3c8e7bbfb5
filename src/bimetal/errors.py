"""Everything bimetal raises on purpose.

::

    BimetalError
    ├── DataError (ValueError)          a table or an argument does not fit
    │   ├── ColumnError                 a column is missing, doubled, or of the wrong type
    │   ├── MissingValueError           a missing value where the model has no bit for it
    │   ├── NotFiniteError              an infinite value
    │   └── ResultError                 a device's result that does not hold (finance.credit.page)
    ├── ProgramError (ValueError)       a Program that contradicts itself
    ├── FormatError (ValueError)        a .bimetal file that is damaged or hostile
    ├── ExportError (ValueError)        a Program, name or option that a target cannot express
    ├── MissingToolError (RuntimeError) a compiler, simulator or database that is not on this machine
    ├── IsaError (ValueError)           an instruction set that is unknown or not on this machine
    ├── CheckpointError (ValueError)    a checkpoint that is damaged, or of another training
    ├── TrainingError (RuntimeError)    training went wrong (a non-finite loss, say)
    ├── LogUnavailable (RuntimeError)   the decision log cannot make a decision durable (service.log)
    ├── DuplicateRequest (ValueError)   a request id that the log holds with other content (service.log)
    └── MissingExtraError (ImportError) a package of an optional extra is not installed

Each message says what was expected, what came, and what to do next.
"""

__all__ = [
    "BimetalError",
    "CheckpointError",
    "ColumnError",
    "DataError",
    "ExportError",
    "FormatError",
    "IsaError",
    "MissingExtraError",
    "MissingToolError",
    "MissingValueError",
    "NotFiniteError",
    "ProgramError",
    "TrainingError",
]


class BimetalError(Exception):
    """Base of every error that bimetal raises on purpose."""


class DataError(BimetalError, ValueError):
    """A table or an argument does not fit what was asked of it."""


class ColumnError(DataError):
    """A column is missing, doubled, or of a type that cannot be used."""


class MissingValueError(DataError):
    """A missing value in a column that the model has no missing bit for."""


class NotFiniteError(DataError):
    """An infinite value in a table or a target."""


class ProgramError(BimetalError, ValueError):
    """A Program whose parts contradict each other."""


class FormatError(BimetalError, ValueError):
    """A .bimetal file that is truncated, damaged or hostile."""


class ExportError(BimetalError, ValueError):
    """A Program, a name or an option that a target cannot express, or output that did not build."""


class MissingToolError(BimetalError, RuntimeError):
    """A compiler, a simulator or a database that is not on this machine."""

    def __init__(self, tool: str, purpose: str, install: str) -> None:
        super().__init__(f"{purpose} needs '{tool}', which is not here; install it with: {install}")


class IsaError(BimetalError, ValueError):
    """An instruction set that is unknown, or that this machine lacks."""


class CheckpointError(BimetalError, ValueError):
    """A checkpoint that is damaged, or was written by another training."""


class TrainingError(BimetalError, RuntimeError):
    """Training cannot go on: the loss is not finite, for example."""


class MissingExtraError(BimetalError, ImportError):
    """A package that belongs to an optional extra is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'bimetal[{extra}]'"
        )
