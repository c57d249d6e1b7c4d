"""Shards of tokens as safetensors: a uint16 tensor (channels, n_codebooks, frames) for each row.

Tensors are named by the ids of their rows. The metadata has one key, `audiocodec.tokens`: the
ShardHeader as JSON, with `rows`, the values of each row except its codes, in order.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from audiocodec.errors import ArgumentError, quoted
from audiocodec.files import output_file
from audiocodec.tokens.shards.header import (
    MAX_CODES,
    ShardError,
    ShardHeader,
    about_of,
    check_range,
    checked_rows,
    checked_value,
    row_of,
)
from audiocodec.tokens.shards.row import TokenRow, Value
from audiocodec.tokens.shards.shard import Shard, parsed, shard_errors

KEY = "audiocodec.tokens"
NOT_AN_ID = "__metadata__"  # reserved by the format
MAX_HEADER_BYTES = 100_000_000  # the most that safetensors reads


def write_shard(
    path: Path, rows: Iterable[TokenRow], header: ShardHeader, overwrite: bool = False
) -> None:
    """Write a shard, which appears whole or not at all; equal rows give equal bytes.

    Holds all codes of the shard in memory. Raises ArgumentError or ModelMismatch for rows
    that do not fit, OutputExists, OutputError.
    """
    tensors: dict[str, np.ndarray] = {}
    listed: list[dict[str, Any]] = []
    for values, row in checked_rows(rows, header):
        if values["id"] == NOT_AN_ID:
            raise ArgumentError(f"id {NOT_AN_ID!r} cannot be used with safetensors")
        tensors[values["id"]] = np.ascontiguousarray(row.codes)
        listed.append(values)
    # one key, because safetensors writes several in arbitrary order
    content = save(tensors, {KEY: json.dumps({**header.to_dict(), "rows": listed})})
    if int.from_bytes(content[:8], "little") > MAX_HEADER_BYTES:
        raise ArgumentError(f"{path}: too many rows for a safetensors file; make smaller shards")
    with output_file(path, overwrite) as file:
        file.write(content)


@dataclass
class _SafetensorsFile:
    """An open file, and its metadata as parsed."""

    tensors: Any  # safe_open
    header: ShardHeader
    rows: list[dict[str, Any]]


class SafetensorsShard(Shard):
    """Reads a shard by memory map, of a row only the wanted frames."""

    @cached_property
    def header(self) -> ShardHeader:
        return self._file.header

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.array([row["frames"] for row in self._file.rows], np.int64)

    def _open(self) -> _SafetensorsFile:
        with self._errors():
            tensors = safe_open(self.path, framework="np")
            stored = (tensors.metadata() or {}).get(KEY)
        if stored is None:
            raise ShardError(f"{self.path}: is no shard of tokens: its metadata lack {KEY}")
        content = parsed(stored, str(self.path))
        header = ShardHeader.from_dict(content, str(self.path))
        rows = content.get("rows")
        if not isinstance(rows, list):
            raise ShardError(f"{self.path}: its metadata have no rows")
        for number, row in enumerate(rows):
            _check_place(row, f"{self.path}: row {number}")
        if sorted(row["id"] for row in rows) != sorted(tensors.keys()):
            raise ShardError(f"{self.path}: its tensors are not those that its metadata name")
        return _SafetensorsFile(tensors, header, rows)

    def _close(self, file: _SafetensorsFile) -> None:
        """Nothing to do: the memory map is closed with the object."""

    def _errors(self) -> Any:
        return shard_errors(self.path, SafetensorError, KeyError, TypeError, MemoryError)

    def _sliced(self, i: int, start: int, stop: int) -> np.ndarray:
        values = self._file.rows[i]
        name = f"{self.path}: row {quoted(values['id'])}"
        with self._errors():
            tensor = self._file.tensors.get_slice(values["id"])
            shape = tuple(tensor.get_shape())
            listed = tuple(values.get(key) for key in ("channels", "n_codebooks", "frames"))
            if shape != listed or tensor.get_dtype() != "U16":
                raise ShardError(
                    f"{name}: is {tensor.get_dtype()} shaped {shape}; the metadata say U16 shaped "
                    f"{listed}"
                )
            if shape[0] * shape[1] * (stop - start) > MAX_CODES:
                raise ShardError(f"{name}: more than {MAX_CODES} codes at once")
            # safetensors cannot slice zero frames
            return (
                tensor[:, :, start:stop] if stop > start else np.zeros((*shape[:2], 0), np.uint16)
            )

    def _about(self, i: int) -> tuple[str, dict[str, Value]]:
        return about_of(self._file.rows[i], self._file.header, str(self.path))

    def _row(self, i: int) -> TokenRow:
        values = self._file.rows[i]
        codes = self._sliced(i, 0, values["frames"])
        return row_of(values, codes, self._file.header, str(self.path))

    def _codes(self, i: int, start: int, stop: int) -> np.ndarray:
        codes = self._sliced(i, start, stop)
        check_range(codes, self.header.codebook_size, f"{self.path}: row {i}")
        return codes


def _check_place(row: Any, name: str) -> None:
    """Raises ShardError unless a row has an id and a length."""
    if not isinstance(row, dict):
        raise ShardError(f"{name}: is not an object")
    checked_value(row.get("id"), str, "id", name)
    if not 0 <= checked_value(row.get("frames"), int, "frames", name) < 2**32:
        raise ShardError(f"{name}: its frames are {quoted(row['frames'])}")
