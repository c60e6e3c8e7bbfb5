"""What a `ContinualClassifier` was told, checked and in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bimetal.errors import DataError

__all__ = ["OnlineOptions", "StreamOptions"]


@dataclass(frozen=True)
class OnlineOptions:
    """Of the net; see `ContinualClassifier` for the meaning of each.

    Raises
    ------
    DataError
        When a number is out of its range.
    """

    hidden: tuple[int, ...]
    strength: float
    half_life: float | None
    learning_rate: float
    batch_size: int
    n_epochs: int
    seed: int

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise DataError(f"hidden must name a positive size for each layer, got {self.hidden!r}")
        for name in ("batch_size", "n_epochs"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if self.half_life is not None and not self.half_life > 0:
            raise DataError(
                f"memory_half_life must be 'auto', None or rows above 0, got {self.half_life!r}"
            )

    @property
    def half_life_steps(self) -> float | None:
        """`half_life` in steps of the optimizer."""
        if self.half_life is None:
            return None
        return self.half_life * self.n_epochs / self.batch_size


@dataclass(frozen=True)
class StreamOptions:
    """Of the stream.

    Attributes
    ----------
    net : OnlineOptions
        Of the net.
    warm_up : int
        Rows, or values of a column that emerges, on which cut-points are found.
    class_weight : mapping, "balanced" or None
        Of the classes.
    are_columns_fixed : bool
        Whether every row must have the columns of the first.

    Raises
    ------
    DataError
        When the warm-up has no row.
    """

    net: OnlineOptions
    warm_up: int
    class_weight: Mapping[Any, float] | str | None = None
    are_columns_fixed: bool = False

    def __post_init__(self) -> None:
        if self.warm_up < 1:
            raise DataError(f"warm_up must be at least 1 row, got {self.warm_up!r}")
