"""Finds the members of a tar and their positions; extracts nothing and trusts no header."""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from audiocodec.errors import one_line

MAX_HEADER_BYTES = 2**16  # of a long name or a pax header; tarfile itself has no limit


class TarError(Exception):
    """Why a tar cannot be read; the caller adds which one."""


@dataclass(frozen=True)
class Member:
    """A file in a tar: its position in the (decompressed) tar, and its size."""

    name: str
    offset: int
    n_bytes: int

    @property
    def key(self) -> str:
        """What members of one sample share: their name up to the first dot behind the folders."""
        folder, slash, base = self.name.rpartition("/")
        return folder + slash + base.split(".", 1)[0]


def members(file: BinaryIO) -> Iterator[Member]:
    """Yield the ordinary files of a tar, in order; links, folders and devices are left out.

    The caller may seek in `file` between members. Raises TarError where the tar is damaged.
    """
    last = -1
    try:
        tar = tarfile.TarFile(fileobj=_BoundedFile(file), mode="r")  # type: ignore[arg-type]
        while (found := tar.next()) is not None:
            if found.offset <= last or found.size < 0:  # would loop forever
                raise TarError("a member lies before the one that it follows")
            last = found.offset
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
            if found.isreg() and not found.issparse():
                yield Member(found.name, found.offset_data, found.size)
        file.seek(tar.offset)
        if any(file.read(tarfile.BLOCKSIZE)):  # tarfile stops there without an error
            raise TarError("a header is damaged")
    except _ERRORS as error:
        reason = getattr(error, "strerror", None) or error
        raise TarError(one_line(reason) or type(error).__name__) from error


_ERRORS = (
    tarfile.TarError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    OverflowError,
    RecursionError,
)


class _BoundedFile:
    """Limits each read: tarfile would read as many bytes at once as a header states."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, n_bytes: int = -1) -> bytes:
        if not 0 <= n_bytes <= MAX_HEADER_BYTES:
            raise TarError(f"a header states a length of {n_bytes} bytes")
        return self.file.read(n_bytes)


class Section:
    """The bytes of a member, as a file called `name`."""

    def __init__(self, file: Any, member: Member, name: str) -> None:
        self.name = name
        self._file, self._start, self._size = file, member.offset, member.n_bytes
        self._position = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self._size)[whence]
        if base + offset < 0:
            raise ValueError(f"{self.name}: position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        n_bytes = left if n_bytes is None or n_bytes < 0 else min(n_bytes, left)
        self._file.seek(self._start + self._position)
        data = self._file.read(n_bytes)
        self._position += len(data)
        return data
