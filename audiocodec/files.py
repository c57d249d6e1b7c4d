"""Files that appear whole or not at all, and pipes that can be read twice.

May import: the standard library, errors.
"""

import errno
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from audiocodec.errors import ContainerError, OutputError, OutputExists

SPOOL_BYTES = 16 * 2**20  # a pipe longer than this goes to a temporary file


def name_of(file: object) -> str:
    """What to call a path or file object in a message."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"<{type(file).__name__}>"


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a .dac file for reading. Raises ContainerError where that cannot be."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise ContainerError(f"{name_of(path)}: cannot be read: {error.strerror}") from error


def is_seekable(file: BinaryIO) -> bool:
    """Whether a file object can go back; a pipe cannot."""
    seekable = getattr(file, "seekable", None)
    return bool(seekable and seekable())


class _Spool(tempfile.SpooledTemporaryFile[bytes]):
    """Goes by the name of the pipe that filled it."""

    name = ""


def spooled(file: BinaryIO) -> BinaryIO:
    """Copy a pipe into a temporary file (in memory while small) and rewind it."""
    spool = _Spool(max_size=SPOOL_BYTES)
    spool.name = name_of(file)
    try:
        shutil.copyfileobj(file, spool, 2**20)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool  # type: ignore[return-value]


@contextmanager
def output_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a sibling temporary file; it takes the name `path` if the block ends well.

    Raises OutputExists, or OutputError where the file cannot be made or written.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputExists(str(target))
    if target.is_dir():
        raise OutputError(f"{target}: is a folder, not a file to write")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name[:60]}.", suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            yield file  # type: ignore[misc]
            file.flush()
        _take_place(temporary, target, overwrite)
        temporary = None
    except OSError as error:
        raise _explained(target, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _take_place(temporary: Path, target: Path, overwrite: bool) -> None:
    """Rename; without `overwrite` a file that appeared in the meantime is kept."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    if not overwrite and target.exists():
        raise OutputExists(str(target))
    os.replace(temporary, target)


def _explained(target: Path, error: OSError) -> OutputError:
    reasons = {
        errno.ENOSPC: "no space left on the disk; free some and try again",
        errno.ENOENT: f"the folder {target.parent} does not exist; make it first",
        errno.EACCES: "no permission to write there",
        errno.EROFS: "the disk is read-only",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"{target}: cannot be written: {reason}")


def stdin() -> BinaryIO:
    """Standard input as bytes."""
    return sys.stdin.buffer


def stdout() -> BinaryIO:
    """Standard output as bytes."""
    return sys.stdout.buffer


def read_exactly(file: BinaryIO, n_bytes: int) -> bytes:
    """Read up to `n_bytes`, however small the pieces a pipe hands out; short only at the end."""
    pieces, missing = [], n_bytes
    while missing > 0 and (piece := file.read(min(missing, io.DEFAULT_BUFFER_SIZE * 128))):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
