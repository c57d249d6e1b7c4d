"""A part of a file in memory, which moves on: what scans of sound files look through."""

import re
from typing import BinaryIO

from audiocodec.files import read_exactly

FIRST_BYTES, CHUNK_BYTES = 2**12, 2**20  # read at once at first, and at most


class ByteWindow:
    """Bytes of a file by their position; cheap where the next is asked for near the last."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._start, self._data = file, 0, b""
        self._chunk_bytes = FIRST_BYTES
        file.seek(0, 2)
        self.size = file.tell()  # not every file object returns it from seek

    def at(self, position: int, n_bytes: int) -> bytes:
        """n_bytes from `position`, fewer at the end of the file."""
        data, offset = self.around(position, n_bytes)
        return data[offset : offset + n_bytes]

    def around(self, position: int, n_bytes: int) -> tuple[bytes, int]:
        """What is in memory, n_bytes from `position` at least, and where in it `position` is."""
        stop = min(position + n_bytes, self.size)
        if not self._start <= position <= stop <= self._start + len(self._data):
            self._file.seek(position)
            self._start = position
            self._data = read_exactly(self._file, self._chunk_bytes + n_bytes)
            self._chunk_bytes = min(2 * self._chunk_bytes, CHUNK_BYTES)
        return self._data, position - self._start

    def search(self, pattern: re.Pattern[bytes], n_bytes: int, position: int) -> int:
        """Where a pattern that matches n_bytes is found from `position` on, or -1."""
        while position + n_bytes <= self.size:
            data, offset = self.around(position, n_bytes)
            if found := pattern.search(data, offset):
                return self._start + found.start()
            if len(data) - offset < n_bytes:  # the file has become shorter
                break
            position = self._start + len(data) - n_bytes + 1
        return -1
