"""Shards of tokens as Parquet, which datasets, pandas, Spark and DuckDB read directly.

Columns: id, source, sample_rate, channels, n_codebooks, frames, n_samples, codes, model,
fingerprint, gain, then the carried columns. codes is a list of uint16 in the order channel,
codebook, frame, as the schema's metadata say, which also hold the ShardHeader as JSON.
Row groups are small, because reading one row takes reading its whole row group. Their codes are
dictionary-encoded, which takes about as many bits as in a .dac file.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audiocodec.errors import ArgumentError, quoted
from audiocodec.files import open_binary, output_file
from audiocodec.tokens.shards.header import (
    FIXED,
    MAX_CODES,
    MAX_ROWS,
    ShardError,
    ShardHeader,
    about_of,
    check_range,
    check_size,
    checked_rows,
    row_of,
)
from audiocodec.tokens.shards.pages import Chunk, PageError, chunks
from audiocodec.tokens.shards.row import TokenRow, Value
from audiocodec.tokens.shards.shard import Shard, parsed, shard_errors

HEADER_KEY = b"audiocodec.tokens"
ORDER_KEY = b"audiocodec.codes"
ORDER = (
    b"uint16 in the order channel, codebook, frame: codes.reshape(channels, n_codebooks, frames)"
)
GROUP_CODES = 2**17  # a row group closes when it has as many: 2.5 minutes of 9 codebooks
GROUP_ROWS = 1024
SHAPE = ("channels", "n_codebooks", "frames")
# Limits relative to the size of a file, so that a few bytes cannot fill the memory. Real codes take
# some bits each, and real rows differ; the EQUAL_ limits allow for some that repeat.
MIN_ROW_BYTES = 4
MAX_GROUP_VALUES = 2**22  # of all columns but codes
EQUAL_CODES, CODES_PER_BYTE = 2**22, 64  # of a row group
EQUAL_BYTES, BYTES_PER_BYTE = 2**25, 64  # of a row group, decompressed
NARROW = ("sample_rate", "channels", "n_codebooks")  # int32; the others are int64


def write_shard(
    path: Path, rows: Iterable[TokenRow], header: ShardHeader, overwrite: bool = False
) -> None:
    """Write a shard, which appears whole or not at all; equal rows give equal bytes.

    Raises ArgumentError or ModelMismatch for rows that do not fit, OutputExists, OutputError.
    """
    _, pq = load_pyarrow()
    schema = _schema(header)
    with (
        output_file(path, overwrite) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for group in _groups(checked_rows(rows, header)):
            writer.write_table(_table(group, schema), row_group_size=len(group))


Checked = tuple[dict[str, Any], TokenRow]


def load_pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and pyarrow.parquet. Raises ArgumentError if they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ArgumentError(
            "Parquet needs pyarrow; pip install 'audiocodec[tokens]', or use webdataset or "
            "safetensors"
        ) from error
    return pyarrow, pyarrow.parquet


def _schema(header: ShardHeader) -> Any:
    pa, _ = load_pyarrow()
    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    fields = [
        (name, pa.int32() if name in NARROW else types[kind.__name__])
        for name, kind in FIXED.items()
    ]
    place = list(FIXED).index("n_samples") + 1
    fields.insert(place, ("codes", pa.list_(pa.uint16())))
    fields += [(name, types[kind]) for name, kind in header.columns.items()]
    stored = json.dumps(header.to_dict()).encode()
    return pa.schema(fields, {HEADER_KEY: stored, ORDER_KEY: ORDER})


def _groups(rows: Iterable[Checked]) -> Iterator[list[Checked]]:
    group: list[Checked] = []
    n_codes = 0
    for values, row in rows:
        group.append((values, row))
        n_codes += row.codes.size
        if n_codes >= GROUP_CODES or len(group) == GROUP_ROWS:
            yield group
            group, n_codes = [], 0
    if group:
        yield group


def _table(group: list[Checked], schema: Any) -> Any:
    pa, _ = load_pyarrow()
    offsets = np.cumsum([0, *(row.codes.size for _, row in group)], dtype=np.int32)
    flat = pa.array(np.concatenate([row.codes.reshape(-1) for _, row in group]))
    columns = [
        pa.ListArray.from_arrays(pa.array(offsets), flat)
        if one.name == "codes"
        else pa.array([values[one.name] for values, _ in group], one.type)
        for one in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


@dataclass
class _ParquetFile:
    """An open file, and the row group that was read last."""

    file: Any  # pyarrow.parquet.ParquetFile
    raw: BinaryIO  # the same file, for the page headers
    chunks: list[list[Chunk]]  # of each row group
    checked: set[int] = field(default_factory=set)  # row groups that are within the limits
    number: int = -1
    group: Any = None  # pyarrow.Table


class ParquetShard(Shard):
    """Reads a shard by memory map, one row group at a time; keeps the last one in memory."""

    @cached_property
    def header(self) -> ShardHeader:
        with self._errors():
            schema = self._file.file.schema_arrow
        stored = (schema.metadata or {}).get(HEADER_KEY)
        if stored is None:
            raise ShardError(
                f"{self.path}: is no shard of tokens: its schema's metadata lack "
                f"{HEADER_KEY.decode()}"
            )
        header = ShardHeader.from_dict(parsed(stored, str(self.path)), str(self.path))
        for wanted in _schema(header):
            if not _is_like(schema, wanted):
                raise ShardError(f"{self.path}: has no column {wanted.name} of {wanted.type}")
        return header

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first row of each row group, then the number of rows: int64 (groups + 1,)."""
        _ = self.header
        metadata = self._file.file.metadata
        n_rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        most = min(MAX_ROWS, self._file.raw.seek(0, 2) // MIN_ROW_BYTES)
        if min(n_rows, default=0) < 0 or sum(n_rows) > most:
            raise ShardError(
                f"{self.path}: says it has {sum(n_rows)} rows; at most {most} fit a file "
                "of its size"
            )
        return np.cumsum([0, *n_rows])

    @cached_property
    def lengths(self) -> np.ndarray:
        return self._shapes[:, 2]

    @cached_property
    def _shapes(self) -> np.ndarray:
        """Channels, codebooks and frames of each row, int64 (rows, 3)."""
        groups = range(len(self._starts) - 1)
        for number in groups:
            self._bytes_of(number, SHAPE)
        shapes = np.empty((len(self), len(SHAPE)), np.int64)
        with self._errors():
            for place, name in enumerate(SHAPE):
                column = self._read(groups, [name])[name]
                if len(column) != len(self) or column.null_count:
                    raise ShardError(f"{self.path}: lacks the {name} of some rows")
                shapes[:, place] = column.to_numpy()
        if shapes.size and not 0 <= shapes.min() <= shapes.max() < 2**32:
            raise ShardError(f"{self.path}: its channels, n_codebooks or frames make no sense")
        return shapes

    def _open(self) -> _ParquetFile:
        _, pq = load_pyarrow()
        with self._errors():
            metadata = pq.read_metadata(self.path, memory_map=True)
            # as dictionaries, so that a repeated text is in memory once
            texts = [one.name for one in metadata.schema.to_arrow_schema() if _is_text(one.type)]
            file = pq.ParquetFile(
                self.path,
                metadata=metadata,
                memory_map=True,
                read_dictionary=texts,
                page_checksum_verification=True,
            )
            raw = open_binary(self.path)
            return _ParquetFile(file, raw, chunks(raw))

    def _close(self, file: _ParquetFile) -> None:
        file.file.close(force=True)
        file.raw.close()

    def _errors(self) -> Any:
        pa, _ = load_pyarrow()
        return shard_errors(
            self.path, pa.ArrowException, PageError, MemoryError, KeyError, EOFError
        )

    def _read(self, groups: Iterable[int], columns: list[str]) -> Any:
        """Read without threads, which would not survive the fork of a DataLoader."""
        return self._file.file.read_row_groups(list(groups), columns, use_threads=False)

    def _place_in_group(self, i: int) -> int:
        """The index of row i in its row group, which is read unless it is in memory."""
        number = int(np.searchsorted(self._starts, i, side="right")) - 1
        opened = self._file
        if opened.number != number:
            columns = [*FIXED, "codes", *self.header.columns]
            if number not in opened.checked:
                self._check_group(number, columns)
                opened.checked.add(number)
            with self._errors():
                opened.group = self._read([number], columns)
            opened.number = number
        return i - int(self._starts[number])

    def _flat(self, k: int) -> np.ndarray:
        """The codes of row k of the row group in memory, flat."""
        codes = self._file.group["codes"][k].values
        if codes is None or codes.null_count:
            raise ShardError(f"{self.path}: a row lacks codes")
        return codes.to_numpy()

    def _check_group(self, number: int, columns: list[str]) -> None:
        """Raises ShardError for a row group that would take too much memory, before it is read."""
        rows = self._shapes[self._starts[number] : self._starts[number + 1]]
        n_codes = rows.astype(np.float64).prod(axis=1).sum()  # floats do not overflow
        n_bytes, n_unpacked = self._bytes_of(number, columns, n_codes)
        for what, found, most in (
            ("codes", n_codes, MAX_CODES + GROUP_CODES),
            ("codes", n_codes, EQUAL_CODES + CODES_PER_BYTE * n_bytes),
            ("values", len(rows) * (len(columns) - 1), MAX_GROUP_VALUES),
            ("bytes", n_unpacked, EQUAL_BYTES + BYTES_PER_BYTE * n_bytes),
        ):
            if found > most:
                raise ShardError(
                    f"{self.path}: a row group of {n_bytes} bytes that holds {found:.0f} {what}; "
                    f"at most {most} can be read; write it with smaller row groups"
                )

    def _bytes_of(self, number: int, columns: Sequence[str], n_codes: float = 0) -> tuple[int, int]:
        """Bytes of some columns of a row group, in the file and when decompressed.

        Raises ShardError for a column with more values than there are rows, or codes in them.
        """
        n_rows = int(self._starts[number + 1] - self._starts[number])
        n_bytes = n_unpacked = 0
        for chunk in self._file.chunks[number]:
            name = "codes" if chunk.name.startswith("codes.") else chunk.name
            if name not in columns:
                continue
            most = n_rows + (n_codes if name == "codes" else 0)
            if chunk.n_values > most:
                raise ShardError(
                    f"{self.path}: {chunk.n_values} values of {quoted(chunk.name)} in {n_rows} "
                    f"rows; there can be at most {most:.0f}"
                )
            try:
                n_unpacked += chunk.unpacked_bytes(self._file.raw)
            except PageError as error:
                raise ShardError(f"{self.path}: {quoted(name)} cannot be read: {error}") from error
            n_bytes += chunk.n_bytes
        return n_bytes, n_unpacked

    def _values(self, k: int, names: Iterable[str]) -> dict[str, Any]:
        """Values of row k of the row group in memory."""
        return {name: self._file.group[name][k].as_py() for name in names}

    def _about(self, i: int) -> tuple[str, dict[str, Value]]:
        k = self._place_in_group(i)
        with self._errors():
            values = self._values(k, ("id", *self.header.columns))
        return about_of(values, self.header, str(self.path))

    def _row(self, i: int) -> TokenRow:
        k = self._place_in_group(i)
        with self._errors():
            values = self._values(k, (*FIXED, *self.header.columns))
            codes = self._flat(k).copy()
        return row_of(values, codes, self.header, str(self.path))

    def _codes(self, i: int, start: int, stop: int) -> np.ndarray:
        with self._errors():
            flat = self._flat(self._place_in_group(i))
        name = f"{self.path}: row {i}"
        shape = tuple(map(int, self._shapes[i]))
        check_size(shape, flat.size, name)
        codes = flat.reshape(shape)[..., start:stop].copy()
        check_range(codes, self.header.codebook_size, name)
        return codes


def _is_text(kind: Any) -> bool:
    pa, _ = load_pyarrow()
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_like(schema: Any, wanted: Any) -> bool:
    """Whether the schema has that column, in its type or one that other writers use for it."""
    pa, _ = load_pyarrow()
    if schema.names.count(wanted.name) != 1:
        return False
    found, kind = schema.field(wanted.name).type, wanted.type
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_list(kind):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and found.value_type == kind.value_type
    if pa.types.is_integer(kind):
        return bool(pa.types.is_integer(found))
    return found == kind or (_is_text(kind) and _is_text(found))
