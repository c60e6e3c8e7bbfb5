"""Write a file whole or not at all: what was there before stays until the new one is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` when the block ends well.

    The bytes go to a file beside the target, are flushed to the disk, and the name is then moved
    in one step. When anything fails (a full disk, an error in the block), the file beside it is
    removed and an existing target stays as it was.

    Parameters
    ----------
    path : str or path-like
        The target; its folder must exist. Links are followed, and an existing target keeps its
        permissions.

    Yields
    ------
    BinaryIO
        Open for writing.

    Raises
    ------
    OSError
        As the system raised it, with a note that nothing was written.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "answer.bin"
    >>> with atomic_write(target) as file:
    ...     _ = file.write(b"42")
    >>> target.read_bytes()
    b'42'
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _take_place(beside, target)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.add_note(
                f"'{path}' was not written and no part of it is left behind; "
                "make room or choose another folder, then save again"
            )
        raise


def _take_place(beside: Path, target: Path) -> None:
    # Only a regular file may be replaced: moving a name onto /dev/null would replace the device.
    if target.exists():
        if not target.is_file():
            raise OSError(f"expected the name of a regular file, got '{target}'")
        beside.chmod(target.stat().st_mode & 0o7777)
    beside.replace(target)
