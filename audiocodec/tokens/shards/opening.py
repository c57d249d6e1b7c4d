"""Opens shards of any format as one table of rows, and writes them."""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from audiocodec.errors import ArgumentError, OutputError
from audiocodec.tokens.shards import parquet, safetensors, webdataset
from audiocodec.tokens.shards.header import ShardError, ShardHeader, joined_headers
from audiocodec.tokens.shards.row import TokenRow, Value
from audiocodec.tokens.shards.shard import Shard

PathLike: TypeAlias = str | os.PathLike[str]
MAX_OPEN = 16  # files at a time


@dataclass(frozen=True)
class Format:
    """A format of shards: how its files are named, written and read."""

    suffix: str
    write: Callable[[Path, Iterable[TokenRow], ShardHeader, bool], None]
    shard: Callable[[Path], Shard]
    load: Callable[[], object] = tuple  # imports the optional packages it needs, if any


FORMATS = {
    "parquet": Format(".parquet", parquet.write_shard, parquet.ParquetShard, parquet.load_pyarrow),
    "webdataset": Format(".tar", webdataset.write_shard, webdataset.TarShard),
    "safetensors": Format(".safetensors", safetensors.write_shard, safetensors.SafetensorsShard),
}
_BY_SUFFIX = {format.suffix: format for format in FORMATS.values()}


def check_format(format: str) -> None:
    """Raises ArgumentError for an unknown format, or one whose optional package is missing."""
    _format(format).load()


def shard_name(index: int, format: str) -> str:
    """File name of a job's shard, such as tokens-00000.parquet. Raises ArgumentError."""
    return f"tokens-{index:05d}{_format(format).suffix}"


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ArgumentError(f"format {name!r} is none of {', '.join(FORMATS)}")
    return FORMATS[name]


def write_shard(
    path: PathLike, rows: Iterable[TokenRow], header: ShardHeader, overwrite: bool = False
) -> None:
    """Write a shard of the format that the suffix of `path` names.

    It appears whole or not at all, and equal rows give equal bytes. Raises ArgumentError or
    ModelMismatch for rows that do not fit the header, OutputExists, OutputError (also for a path
    with another suffix).
    """
    format = _BY_SUFFIX.get(Path(path).suffix)
    if format is None:
        raise OutputError(f"{path}: a shard of tokens ends in {', '.join(_BY_SUFFIX)}")
    format.write(Path(path), rows, header, overwrite)


def open_shards(path: PathLike | Sequence[PathLike]) -> "Shards":
    """Open shards: a folder of them, one, or a list of either, in order.

    Only the first is read at once. Raises ShardError if there is none or one cannot be used.
    """
    if isinstance(path, str | os.PathLike):
        path = [path]
    return Shards([found for one in map(Path, path) for found in _found(one)])


def _found(folder: Path) -> list[Path]:
    """The shards in a folder, sorted by name; for a file, that file."""
    if not folder.is_dir():
        return [folder]
    try:
        found = sorted(
            one
            for one in folder.iterdir()
            if one.suffix in _BY_SUFFIX and not one.name.startswith(".")
        )
    except OSError as error:
        raise ShardError(f"{folder}: cannot be read: {error.strerror}") from error
    if len({one.suffix for one in found}) > 1:
        raise ShardError(f"{folder}: holds shards of several formats; name those that you mean")
    if not found:
        raise ShardError(f"{folder}: holds no shards of tokens ({', '.join(_BY_SUFFIX)})")
    for one in found:
        if not one.is_file():  # opening a named pipe would wait forever for a writer
            raise ShardError(f"{one}: not an ordinary file; remove it, or name the shards you mean")
    return found


class Shards:
    """Rows of several shards, in order. Shards are read on demand.

    Can be passed to other processes by pickle or by fork: each opens the files anew. Not
    thread-safe. Methods raise ShardError or another ContainerError, ModelMismatch among them, for
    a shard that cannot be used, ArgumentError for a row or frames that are not there.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise ShardError("no shards of tokens were named")
        self.paths = list(paths)
        self._shards = [_shard(path) for path in self.paths]
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._checked: set[int] = set()
        self._first = self._shards[0].model_header
        self._use(0)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": OrderedDict()}

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the code space."""
        return self._first.fingerprint

    @property
    def model(self) -> str:
        """Name of the model, for people."""
        return self._first.model

    @cached_property
    def header(self) -> ShardHeader:
        """What all rows share; the type of each column fits its values in all shards."""
        return joined_headers([self._use(shard).header for shard in range(len(self.paths))])

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each shard, and the number of rows: int64 (shards + 1,)."""
        counts = [len(self._use(shard)) for shard in range(len(self.paths))]
        return np.cumsum([0, *counts], dtype=np.int64)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Frames of each row, int64 (rows,)."""
        parts = [self._use(shard).lengths for shard in range(len(self.paths))]
        return np.concatenate(parts)

    def row(self, i: int) -> TokenRow:
        """Row i, counted from 0 over all shards."""
        shard, k = self._place_of(i)
        return self._use(shard).row(k)

    def about(self, i: int) -> tuple[str, dict[str, Value]]:
        """Id and carried columns of row i. Reads no codes, except in Parquet: the row group."""
        shard, k = self._place_of(i)
        return self._use(shard).about(k)

    def rows(self, shard: int | None = None) -> Iterator[TokenRow]:
        """The rows of a shard, reading no other, or of all shards."""
        for number in range(len(self.paths)) if shard is None else (shard,):
            yield from self._use(number).rows()

    def codes(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames start to stop of row i, uint16 (channels, n_codebooks, stop - start).

        Reads the whole row group in Parquet, in the other formats only those frames.
        """
        shard, k = self._place_of(i)
        return self._use(shard).codes(k, start, stop)

    def close(self) -> None:
        """Close all files; they are opened again on demand."""
        for shard in self._shards:
            shard.close()
        self._recent.clear()

    def _place_of(self, i: int) -> tuple[int, int]:
        if not 0 <= i < len(self):
            raise ArgumentError(f"row {i}; there are rows 0 to {len(self) - 1}")
        shard = int(np.searchsorted(self.starts, i, side="right")) - 1
        return shard, i - int(self.starts[shard])

    def _use(self, shard: int) -> Shard:
        """A shard, checked at first use. Beyond MAX_OPEN, closes the least recently used."""
        if not 0 <= shard < len(self.paths):
            raise ArgumentError(f"shard {shard}; there are shards 0 to {len(self.paths) - 1}")
        used = self._shards[shard]
        if shard not in self._checked:
            self._first.check_same_model(used.model_header, str(used.path))
            self._checked.add(shard)
        self._recent[shard] = None
        self._recent.move_to_end(shard)
        if len(self._recent) > MAX_OPEN:
            self._shards[self._recent.popitem(last=False)[0]].close()
        return used


def _shard(path: Path) -> Shard:
    format = _BY_SUFFIX.get(path.suffix)
    if format is None:
        raise ShardError(f"{path}: is no shard of tokens; those end in {', '.join(_BY_SUFFIX)}")
    if not path.is_file():
        raise ShardError(f"{path}: there is no such file")
    return format.shard(path)
