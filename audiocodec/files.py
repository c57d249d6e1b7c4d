"""Whole-or-nothing output files, readable copies of pipes, and errors that name the file."""

import errno
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from audiocodec.errors import (
    ArgumentError,
    AudioError,
    CodecError,
    ContainerError,
    OutputError,
    OutputExists,
)
from audiocodec.parts import part_file, publish

SPOOL_BYTES = 16 * 2**20  # a pipe longer than this goes to a temporary file


def name_of(file: object) -> str:
    """What to call a path or file object in a message."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"<{type(file).__name__}>"


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a .dac file for reading. Raises ContainerError where it cannot be opened."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise ContainerError(f"{name_of(path)}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # an impossible name
        raise ContainerError(f"{name_of(path)!r}: cannot be read: {error}") from error


def is_seekable(file: BinaryIO) -> bool:
    """Whether a file object can seek; a pipe cannot."""
    seekable = getattr(file, "seekable", None)
    return bool(seekable and seekable())


@contextmanager
def file_errors(name: str) -> Iterator[None]:
    """Raise errors of reading a file as AudioError."""
    try:
        yield
    except ArgumentError:  # a ValueError, too
        raise
    except (OSError, ValueError) as error:  # ValueError: a closed file, or a NUL in a path
        reason: object = getattr(error, "strerror", None) or error
        if isinstance(error, io.UnsupportedOperation):
            reason = "not opened for reading"
        raise AudioError(f"{name}: cannot be read: {reason}") from error


class _Spool(tempfile.SpooledTemporaryFile[bytes]):
    """A temporary file with the name of the pipe that filled it."""

    name = ""


def spooled(file: BinaryIO) -> BinaryIO:
    """Copy a pipe into a temporary file (in memory while small) and rewind it."""
    spool = _Spool(max_size=SPOOL_BYTES)
    spool.name = name_of(file)
    try:
        while piece := checked_bytes(file.read(2**20)):
            spool.write(piece)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool  # type: ignore[return-value]


def is_same_file(source: object, target: object) -> bool:
    """Whether two paths lead to the same file; False for anything but paths."""
    if not isinstance(source, str | os.PathLike) or not isinstance(target, str | os.PathLike):
        return False
    try:
        return os.path.samefile(source, target)
    except (OSError, ValueError):  # one of them does not exist, or cannot
        return False


def check_apart(sources: Iterable[object], target: object) -> None:
    """Raises ArgumentError where an output would replace one of its inputs.

    sources: paths, or open files that know their paths.
    """
    for source in sources:
        if is_same_file(name_of(source), target):
            raise ArgumentError(
                f"{name_of(source)}: is input and output at once; name another output"
            )


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder and its parents, unless they exist. Raises OutputError."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{name_of(folder)}: cannot be made: {error.strerror}") from error


def make_folder_for(path: str | os.PathLike[str]) -> None:
    """Make the folder in which a file is to be written. Raises OutputError."""
    make_folder(Path(_file_name(path)).parent)


@contextmanager
def output_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing; `path` changes only if the block ends well.

    The bytes go to a temporary file beside it, which is renamed at the end. A link stays, and its
    target is written. A device or a named pipe gets all bytes at the end; pipes and
    character devices need no `overwrite`, since they hold nothing to lose.
    Raises OutputExists, or OutputError where the file cannot be made or written.
    """
    name = _file_name(path)
    target = Path(os.path.realpath(name) if os.path.islink(name) else name)
    try:
        place = _place(name, target, overwrite)
        with place as file:
            yield file
    except OSError as error:
        raise _explained(name, target.parent, error) from error


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write or replace a file, whole or not at all; text as UTF-8. Raises OutputError."""
    with output_file(path, overwrite=True) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Append a line to a text file, whole or not at all. Raises OutputError."""
    data = line.encode() + b"\n"
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.tell()
            if file.write(data) < len(data):  # a full disk, which is no error if a part fits
                file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise _explained(name_of(path), Path(path).parent, error) from error


def _file_name(path: str | os.PathLike[str]) -> str:
    """The path as text. Raises OutputError if no file can have it."""
    name = os.fspath(path)
    if not name:
        raise OutputError("the name of the file to write is empty; give one")
    if "\0" in name:
        raise OutputError(f"{name!r}: no file can have this name; give another")
    if os.path.basename(name) in ("", os.curdir, os.pardir):
        raise OutputError(f"{name}: names a folder; give the name of a file to write")
    return name


def _place(name: str, target: Path, overwrite: bool) -> AbstractContextManager[BinaryIO]:
    """Choose how to write to `name`; `target` is where it leads if it is a link."""
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        return _renamed(name, target, overwrite)
    if stat.S_ISDIR(mode):
        raise OutputError(f"{name}: is a folder, not a file to write")
    if not overwrite and not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise OutputExists(name)
    # /dev/stdout and the like may lead to a file without a name, or a deleted one
    if stat.S_ISREG(mode) and is_same_file(name, target):
        return _renamed(name, target, overwrite)
    return _written_through(name)


@contextmanager
def _renamed(name: str, target: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A temporary file beside `target`, renamed to it if the block ends well, else removed."""
    with part_file(target) as (part, file):
        yield file
        file.flush()
        if os.name == "nt":  # an open file cannot be renamed there
            file.close()
        _take_place(name, part, target, overwrite)


def _take_place(name: str, part: Path, target: Path, overwrite: bool) -> None:
    """Rename `part`. Without `overwrite`, keeps a file that has appeared in the meantime."""
    umask = os.umask(0)
    os.umask(umask)
    exists = target.exists()
    part.chmod(stat.S_IMODE(target.stat().st_mode) if exists else 0o666 & ~umask)
    if overwrite:
        os.replace(part, target)
        return
    try:
        publish(part, target)
    except FileExistsError as error:
        raise OutputExists(name) from error


@contextmanager
def _written_through(name: str) -> Iterator[BinaryIO]:
    """A temporary file, copied to a device or pipe if the block ends well.

    Both are opened first, so that a reader of the pipe sees its end in any case. A pipe that is
    gone is an error; no file is made in its place.
    """
    with (
        open(os.open(name, os.O_WRONLY), "wb") as target,
        tempfile.TemporaryFile() as file,
    ):
        yield file  # type: ignore[misc]
        file.seek(0)
        shutil.copyfileobj(file, target, 2**20)
        if stat.S_ISREG(os.fstat(target.fileno()).st_mode):
            target.truncate()  # a file without a name may have been longer


def check_space(target: object, n_bytes: int) -> None:
    """Raises OutputError if the disk of an output file has fewer free bytes than n_bytes.

    Devices, and targets that are no paths, are not checked.
    """
    if not isinstance(target, str | os.PathLike):
        return
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            return
        free = shutil.disk_usage(os.path.dirname(os.path.realpath(target))).free
    except (OSError, ValueError):  # opening it will report that
        return
    if n_bytes > free:
        raise OutputError(
            f"{name_of(target)}: {n_bytes / 1e9:.1f} GB would be written, but only "
            f"{free / 1e9:.1f} GB are free on the disk"
        )


def _explained(name: str, folder: Path, error: OSError) -> OutputError:
    reasons = {
        errno.ENOSPC: "no space left on the disk; free some and try again",
        errno.EDQUOT: "no space left in your quota; free some and try again",
        errno.ENOENT: f"the folder {folder} does not exist; make it first",
        errno.EACCES: "no permission to write there",
        errno.EROFS: "the disk is read-only",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"{name}: cannot be written: {reason}")


def stdin() -> BinaryIO:
    """Standard input as bytes. Raises CodecError where it is closed."""
    if sys.stdin is None:
        raise CodecError("standard input is closed; name a file, or connect a pipe")
    return sys.stdin.buffer


def stdout() -> BinaryIO:
    """Standard output as bytes. Raises OutputError where it is closed."""
    if sys.stdout is None:
        raise OutputError("standard output is closed; name a file, or connect a pipe")
    return sys.stdout.buffer


def read_exactly(file: BinaryIO, n_bytes: int) -> bytes:
    """Read `n_bytes`, even from a pipe that returns them in small pieces; fewer only at the end.

    Raises OSError for a file object whose read() does not return bytes.
    """
    pieces, missing = [], n_bytes
    while missing > 0 and (
        piece := checked_bytes(file.read(min(missing, io.DEFAULT_BUFFER_SIZE * 128)))
    ):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def checked_bytes(piece: object) -> bytes:
    """The result of a read() as bytes. Raises OSError if it is something else."""
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    what = "nothing yet (it is non-blocking)" if piece is None else f"a {type(piece).__name__}"
    raise OSError(f"its read() gives {what}, not bytes")


def write_whole(file: BinaryIO, data: bytes) -> int:
    """Write all of `data`, even if a file object takes little at a time; return its length.

    Raises OSError if it takes nothing more.
    """
    left = data
    while left:
        n_written = file.write(left)
        if n_written is None and not isinstance(file, io.RawIOBase):
            break  # some file objects that took all of it return None
        if not isinstance(n_written, int) or not 0 < n_written <= len(left):
            raise OSError(f"takes no more bytes; {len(left)} were left")
        left = left[n_written:]
    return len(data)
