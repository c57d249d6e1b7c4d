"""Base of the readers of all formats: files opened on demand, and errors of one line."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audiocodec.errors import ArgumentError, CodecError, one_line
from audiocodec.tokens.shards.header import ShardError, ShardHeader
from audiocodec.tokens.shards.row import TokenRow, Value


class Shard(ABC):
    """One shard, which opens its file on demand and caches header and lengths.

    A copy in another process, by pickle or by fork, opens the file anew, because processes that
    share an open file move each other's position. Raises ShardError for a file that cannot be
    used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, Any] | None = None  # process id, result of _open()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __del__(self) -> None:
        self.close()

    @property
    def _file(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            self.close()
            self._opened = os.getpid(), self._open()
        return self._opened[1]

    def close(self) -> None:
        """Close the file; it is opened again on demand."""
        if self._opened is not None:
            file, self._opened = self._opened[1], None
            self._close(file)

    def codes(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames start to stop of row i, uint16 (channels, n_codebooks, stop - start).

        Raises ArgumentError for frames that the row does not have.
        """
        frames = int(self.lengths[self._checked(i)])
        stop = frames if stop is None else stop
        if not 0 <= start <= stop <= frames:
            raise ArgumentError(f"{self.path}: frames {start} to {stop} of a row of {frames}")
        return self._codes(i, start, stop)

    def row(self, i: int) -> TokenRow:
        """Row i, counted from 0. Raises ArgumentError for a row that is not there."""
        return self._row(self._checked(i))

    def about(self, i: int) -> tuple[str, dict[str, Value]]:
        """Id and carried columns of row i. Raises ArgumentError for a row that is not there."""
        return self._about(self._checked(i))

    def rows(self) -> Iterator[TokenRow]:
        """All rows, in order."""
        return (self._row(i) for i in range(len(self)))

    def _checked(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise ArgumentError(f"{self.path}: row {i}; it has rows 0 to {len(self) - 1}")
        return i

    @property
    @abstractmethod
    def header(self) -> ShardHeader:
        """What all rows share."""

    @property
    def model_header(self) -> ShardHeader:
        """The header, without columns if these take time to find."""
        return self.header

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows; reads no codes."""

    @cached_property
    @abstractmethod
    def lengths(self) -> np.ndarray:
        """Frames of each row, int64 (rows,); reads no codes."""

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def _close(self, file: Any) -> None: ...

    @abstractmethod
    def _about(self, i: int) -> tuple[str, dict[str, Value]]: ...

    @abstractmethod
    def _row(self, i: int) -> TokenRow: ...

    @abstractmethod
    def _codes(self, i: int, start: int, stop: int) -> np.ndarray: ...


@contextmanager
def shard_errors(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn exceptions that a library raises about a file into a ShardError of one line."""
    caught: tuple[type[Exception], ...] = (OSError, ValueError, *kinds)
    try:
        yield
    except CodecError:
        raise
    except caught as error:
        reason = getattr(error, "strerror", None) or error
        line = one_line(reason) or type(error).__name__
        raise ShardError(f"{path}: cannot be read as a shard of tokens: {line}") from error


def parsed(text: str | bytes, path: str) -> Any:
    """Parse JSON from the file `path`. Raises ShardError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{path}: is no shard of tokens: its JSON is damaged") from error
