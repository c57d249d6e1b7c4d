"""A sliding window over a file, for scans that read it mostly forwards."""

import re
from typing import BinaryIO

from audiocodec.files import read_exactly

FIRST_BYTES, CHUNK_BYTES = 2**12, 2**20  # size of the first read, which doubles up to the second


class ByteWindow:
    """Bytes of a file by position; cheap if each request is close behind the previous one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._start, self._data = file, 0, b""
        self._chunk_bytes = FIRST_BYTES
        file.seek(0, 2)
        self.size = file.tell()  # not every file object returns it from seek

    def at(self, position: int, n_bytes: int) -> bytes:
        """Return n_bytes from `position`, fewer at the end of the file."""
        data, offset = self.around(position, n_bytes)
        return data[offset : offset + n_bytes]

    def around(self, position: int, n_bytes: int) -> tuple[bytes, int]:
        """Return the bytes in memory, and the index in them of `position`.

        They include the n_bytes from `position`, fewer at the end of the file.
        """
        stop = min(position + n_bytes, self.size)
        if not self._start <= position <= stop <= self._start + len(self._data):
            self._file.seek(position)
            self._start = position
            self._data = read_exactly(self._file, self._chunk_bytes + n_bytes)
            self._chunk_bytes = min(2 * self._chunk_bytes, CHUNK_BYTES)
        return self._data, position - self._start

    def search(self, pattern: re.Pattern[bytes], n_bytes: int, position: int) -> int:
        """Find a pattern, which matches n_bytes, at or behind `position`; -1: it is not there."""
        while position + n_bytes <= self.size:
            data, offset = self.around(position, n_bytes)
            if found := pattern.search(data, offset):
                return self._start + found.start()
            if len(data) - offset < n_bytes:  # the file was shortened meanwhile
                break
            position = self._start + len(data) - n_bytes + 1
        return -1
