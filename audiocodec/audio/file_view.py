"""Presents parts of a file, and bytes in memory, as one file without copying them."""

import io
from bisect import bisect_right
from collections.abc import Iterable
from typing import BinaryIO

from audiocodec.files import read_exactly

Span = tuple[int, int]  # offsets in the file: the first byte, and the one behind the last


class _FileView:
    """A read-only file over the pieces; made by file_view."""

    def __init__(self, file: BinaryIO, pieces: Iterable[bytes | Span]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + _length(piece))
        self._position = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        left = self._starts[-1] - self._position
        left = left if n_bytes < 0 else min(left, n_bytes)
        found: list[bytes] = []
        while left > 0 and (piece := self._read_piece(left)):
            found.append(piece)
            left -= len(piece)
        return b"".join(found)

    def _read_piece(self, n_bytes: int) -> bytes:
        """Read at most n_bytes, all from one piece."""
        number = bisect_right(self._starts, self._position) - 1
        offset = self._position - self._starts[number]
        piece = self._pieces[number]
        n_bytes = min(n_bytes, _length(piece) - offset)
        if isinstance(piece, bytes):
            found = piece[offset : offset + n_bytes]
        else:
            self._file.seek(piece[0] + offset)
            found = read_exactly(self._file, n_bytes)
        self._position += len(found)
        return found


def file_view(file: BinaryIO, pieces: Iterable[bytes | Span]) -> BinaryIO:
    """Return the concatenation of `pieces` as a file to read; closing it leaves `file` open."""
    return _FileView(file, pieces)  # type: ignore[return-value]


def _length(piece: bytes | Span) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def add_span(spans: list[Span], start: int, stop: int) -> None:
    """Append a span to spans in order; extends the last one if they touch."""
    if spans and spans[-1][1] == start:
        spans[-1] = spans[-1][0], stop
    else:
        spans.append((start, stop))
