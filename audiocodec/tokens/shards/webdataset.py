"""Shards of tokens as WebDataset tars: for each row KEY.dac, a complete .dac file, and KEY.json.

The JSON holds id, source and the carried columns; the rest is in the .dac file.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audiocodec.container import DacFile, Reader
from audiocodec.errors import ContainerError, printable, quoted
from audiocodec.files import open_binary, output_file
from audiocodec.recordings.tars import Member, Section, TarError, members
from audiocodec.tokens.shards.header import (
    MAX_CODES,
    MAX_COLUMNS,
    MAX_ROWS,
    RESERVED,
    ShardError,
    ShardHeader,
    about_of,
    checked_rows,
    column_types,
    row_of,
)
from audiocodec.tokens.shards.row import TokenRow, Value
from audiocodec.tokens.shards.shard import Shard, parsed

MAX_JSON_BYTES = 2**20  # of a row
KEY_CHARACTERS = 60  # of the id; with hash and suffix, the name fits the oldest tar format


def write_shard(
    path: Path, rows: Iterable[TokenRow], header: ShardHeader, overwrite: bool = False
) -> None:
    """Write a shard, which appears whole or not at all; equal rows give equal bytes.

    Raises ArgumentError or ModelMismatch for rows that do not fit, OutputExists, OutputError.
    """
    with (
        output_file(path, overwrite) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for values, row in checked_rows(rows, header):
            key = key_of(values["id"])
            stored = {name: values[name] for name in ("id", "source", *header.columns)}
            _add(tar, f"{key}.dac", header.dac(row).to_bytes())
            _add(tar, f"{key}.json", json.dumps(stored).encode())


def key_of(id: str) -> str:
    """The key of a row: the readable part of its id, and a hash that tells ids apart.

    Without dots, because WebDataset ends a key at the first dot.
    """
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", id)[-KEY_CHARACTERS:].strip("_-")
    return f"{readable or 'row'}-{hashlib.sha256(id.encode()).hexdigest()[:16]}"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # user and time are 0, for equal bytes
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


class TarShard(Shard):
    """Reads a shard in place, of a row only the blocks that hold the wanted frames."""

    @cached_property
    def header(self) -> ShardHeader:
        """From the first .dac file and all JSON files, which takes a while."""
        types = column_types(self._stored(i)[2] for i in range(len(self)))
        return replace(self.model_header, columns=types)

    @cached_property
    def model_header(self) -> ShardHeader:
        """From the first .dac file, without columns."""
        return ShardHeader.of(self._reader(0).header)

    def __len__(self) -> int:
        return len(self._index)

    @cached_property
    def _index(self) -> list[tuple[Member, Member]]:
        """The .dac and the .json of each row."""
        index = []
        try:
            for key, group in groupby(members(self._file), lambda member: member.key):
                found = {member.name[len(key) :]: member for member in group}
                if not {".dac", ".json"} <= found.keys():
                    raise ShardError(
                        f"{self.path}: is no shard of tokens: {quoted(key)} is not a .dac with a "
                        ".json"
                    )
                index.append((found[".dac"], found[".json"]))
                if len(index) > MAX_ROWS:
                    raise ShardError(f"{self.path}: more than {MAX_ROWS} rows")
        except TarError as error:
            raise ShardError(f"{self.path}: cannot be read as a tar: {error}") from error
        if not index:
            raise ShardError(f"{self.path}: holds no .dac files")
        return index

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.array([self._reader(i).extent()[1] for i in range(len(self))], np.int64)

    def _open(self) -> BinaryIO:
        return open_binary(self.path)

    def _close(self, file: BinaryIO) -> None:
        file.close()

    def _name(self, i: int, part: int) -> str:
        return f"{self.path}/{printable(self._index[i][part].name[:120])}"

    def _section(self, i: int, part: int) -> Section:
        """The .dac (0) or the .json (1) of a row."""
        return Section(self._file, self._index[i][part], self._name(i, part))

    def _reader(self, i: int) -> Reader:
        return Reader(self._section(i, 0))  # type: ignore[arg-type]

    def _stored(self, i: int) -> tuple[str, str, dict[str, Value]]:
        """id, source and carried columns of a row."""
        name = self._name(i, 1)
        if self._index[i][1].n_bytes > MAX_JSON_BYTES:
            raise ShardError(f"{name}: larger than {MAX_JSON_BYTES} bytes")
        stored = parsed(self._section(i, 1).read(), name)
        if not isinstance(stored, dict) or any(isinstance(v, list | dict) for v in stored.values()):
            raise ShardError(f"{name}: is not an object of plain values")
        if len(stored) > MAX_COLUMNS:
            raise ShardError(f"{name}: has more than {MAX_COLUMNS} values")
        id, source = stored.pop("id", None), stored.pop("source", None)
        taken = next((key for key in stored if key in RESERVED or not key), None)
        if not isinstance(id, str) or not isinstance(source, str) or taken is not None:
            raise ShardError(f"{name}: has no usable id, source or column names")
        return id, source, stored

    def _about(self, i: int) -> tuple[str, dict[str, Value]]:
        id, _, columns = self._stored(i)
        values = {**columns, "id": id}
        own = replace(self.model_header, columns=column_types([columns]))
        return about_of(values, own, str(self.path))

    def _row(self, i: int) -> TokenRow:
        id, source, columns = self._stored(i)
        reader, name = self._reader(i), self._name(i, 0)
        self._check_size(reader, reader.extent()[1], name)
        dac = DacFile.load(self._section(i, 0))  # type: ignore[arg-type]
        own = ShardHeader.of(dac.header, column_types([columns]))
        self.model_header.check_same_model(own, name)
        row = TokenRow.of_dac(dac, id, source, columns)
        values: dict[str, Any] = {**vars(row), **columns}
        return row_of(values, row.codes, own, str(self.path))

    def _codes(self, i: int, start: int, stop: int) -> np.ndarray:
        reader, name = self._reader(i), self._name(i, 0)
        header = reader.header
        self.model_header.check_same_model(ShardHeader.of(header), name)
        self._check_size(reader, stop - start, name)
        parts = [np.zeros((header.channels, header.n_codebooks, 0), np.uint16)]
        for block in reader.blocks(first_frame=start, stop_frame=stop) if stop > start else ():
            if block.codes.shape[1] != header.n_codebooks:
                raise ContainerError(f"{name}: its blocks differ in codebooks")
            parts.append(block.codes)
        codes = np.concatenate(parts, axis=-1)
        if codes.shape[-1] != stop - start:
            raise ContainerError(f"{name}: holds fewer frames than it says")
        return codes

    def _check_size(self, reader: Reader, n_frames: int, name: str) -> None:
        n_codes = reader.header.channels * reader.header.n_codebooks * n_frames
        if n_codes > MAX_CODES:
            raise ShardError(f"{name}: {n_codes} codes; at most {MAX_CODES} can be read")
