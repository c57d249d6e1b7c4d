"""Counts what the columns of a Parquet file hold, from its footer and page headers, undecoded.

A page of a few bytes can stand for any number of equal values, and pyarrow decodes as many as the
header of the page declares, whatever the footer declares. So page headers are checked before
pyarrow decodes a column. pyarrow has no Python API for page headers, and asking it about the
columns of a malformed footer can end the process. So both are read here; they are structs in
Thrift's compact protocol.
Source: https://parquet.apache.org/docs/file-format/metadata/ (FileMetaData, PageHeader).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from audiocodec.files import read_exactly

MAX_HEADER_BYTES = 2**16  # of a page
MAX_DEPTH = 16
# Types of the compact protocol
BOOLEANS, BYTE, I16, I32, I64, DOUBLE, BINARY, LISTS, STRUCT = (1, 2), 3, 4, 5, 6, 7, 8, (9, 10), 12

# The fields to keep of a struct, by their numbers in parquet.thrift: a name, and a type. A type is
# one of the above, the Fields of a struct, or a list that holds the type of its items.
Fields = Mapping[int, tuple[str, Any]]
COLUMN: Fields = {
    3: ("path", [BINARY]),
    5: ("n_values", I64),
    7: ("n_bytes", I64),  # compressed, page headers included
    9: ("data_offset", I64),
    11: ("dictionary_offset", I64),
}
FOOTER: Fields = {4: ("row_groups", [{1: ("columns", [{3: ("metadata", COLUMN)}])}])}
PAGE: Fields = {
    1: ("type", I32),
    2: ("n_unpacked", I32),  # bytes of the page
    3: ("n_packed", I32),
    5: ("data", {1: ("n_values", I32), 2: ("encoding", I32)}),
    7: ("dictionary", {1: ("n_values", I32), 2: ("encoding", I32)}),
    8: ("data_v2", {1: ("n_values", I32), 4: ("encoding", I32)}),
}
PAGE_TYPES = {0: "data", 2: "dictionary", 3: "data_v2"}  # others hold no values
DELTA_BYTE_ARRAY = 7  # shares prefixes with the text before: a few bytes can grow without bound


class PageError(Exception):
    """Why a column of a Parquet file cannot be read; the caller says which."""


@dataclass(frozen=True)
class Chunk:
    """The pages of a column in a row group: their place, and the values that the footer declares.

    name: with dots between the levels. start, n_bytes: of the pages in the file.
    """

    name: str
    n_values: int
    start: int
    n_bytes: int

    def unpacked_bytes(self, file: BinaryIO) -> int:
        """Bytes of the pages when decompressed.

        Raises PageError unless the pages hold as many values as the footer declares.
        """
        n_values = n_bytes = 0
        for page in pages(file, self.start, self.n_bytes):
            if page.encoding == DELTA_BYTE_ARRAY:
                raise PageError("its encoding is DELTA_BYTE_ARRAY; write it plain or by dictionary")
            n_values, n_bytes = n_values + page.n_values, n_bytes + page.n_bytes
        if n_values != self.n_values:
            raise PageError(
                f"its pages hold {n_values} values, and not {self.n_values} as the footer says"
            )
        return n_bytes


@dataclass(frozen=True)
class ParquetPage:
    """A page: values of the column in it, bytes when decompressed, number of its encoding."""

    n_values: int
    n_bytes: int
    encoding: int


def chunks(file: BinaryIO) -> list[list[Chunk]]:
    """The columns of each row group, from the footer. Raises PageError."""
    stop = file.seek(0, 2) - 8  # of the footer: its length and a magic follow
    file.seek(max(0, stop))
    n_bytes = int.from_bytes(read_exactly(file, 4), "little")
    file.seek(max(0, stop - n_bytes))
    footer = _CompactReader(read_exactly(file, n_bytes)).struct(FOOTER)
    groups = (group.get("columns", []) for group in footer.get("row_groups", []))
    return [[_chunk(column.get("metadata", {})) for column in group] for group in groups]


def _chunk(column: Mapping[str, Any]) -> Chunk:
    name = b".".join(column.get("path", [])).decode(errors="replace")
    start, dictionary = column.get("data_offset", -1), column.get("dictionary_offset", 0)
    start = dictionary if 0 < dictionary < start else start
    if min(start, column.get("n_bytes", -1)) < 0:
        raise PageError("the footer does not say where a column lies")
    return Chunk(name, column.get("n_values", -1), start, column["n_bytes"])


def pages(file: BinaryIO, start: int, n_bytes: int) -> Iterator[ParquetPage]:
    """Yield the pages in the `n_bytes` bytes from offset `start` on. Raises PageError."""
    position, stop = start, start + n_bytes
    while position < stop:
        file.seek(position)
        reader = _CompactReader(file.read(min(MAX_HEADER_BYTES, stop - position)))
        header = reader.struct(PAGE)
        kind, unpacked, packed = (header.get(key, -1) for key in ("type", "n_unpacked", "n_packed"))
        position += reader.position + packed
        if min(kind, unpacked, packed) < 0 or position > stop:
            raise PageError("one of its pages extends beyond it")
        if kind in PAGE_TYPES:
            own = header.get(PAGE_TYPES[kind], {})
            n_values, encoding = own.get("n_values", -1), own.get("encoding", -1)
            if n_values < 0:
                raise PageError("one of its pages does not say how many values it holds")
            in_column = 0 if PAGE_TYPES[kind] == "dictionary" else n_values
            yield ParquetPage(in_column, unpacked, encoding)


class _CompactReader:
    """Reads structs of Thrift's compact protocol: checks all fields, keeps those asked for."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.position = raw, 0

    def struct(self, wanted: Fields, depth: int = 0) -> dict[str, Any]:
        """The wanted fields that are there, by name. Field numbers must rise, as writers have them.

        Raises PageError for a field of another type than wanted, and for malformed bytes.
        """
        found: dict[str, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            after = number + step if step else self._integer()
            if after <= number or depth > MAX_DEPTH:
                raise PageError("the footer or the header of a page makes no sense")
            number = after
            name, wanted_kind = wanted.get(number, (None, None))
            value = self._value(kind, wanted_kind, depth)
            if name is not None:
                found[name] = value
        return found

    def _value(self, kind: int, wanted: Any, depth: int) -> Any:
        """A value of the type `kind`, which must be `wanted` unless that is None."""
        if wanted is not None and kind != _type_number(wanted):
            raise PageError("the footer or the header of a page has a field of a wrong kind")
        if kind in BOOLEANS:
            return None  # the type is the value
        if kind == STRUCT:
            return self.struct(wanted or {}, depth + 1)
        if kind in LISTS:
            return self._list(wanted[0] if wanted else None, depth + 1)
        if kind in (I16, I32, I64):
            return self._integer()
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (BYTE, DOUBLE):
            return self._bytes(1 if kind == BYTE else 8)
        raise PageError("the footer or the header of a page has a field of an unknown kind")

    def _list(self, wanted: Any, depth: int) -> list[Any]:
        """The items of a list or set; none of them unless they are wanted."""
        head = self._byte()
        kind, size = head & 15, head >> 4
        size = self._varint() if size == 15 else size
        kind = BYTE if kind in BOOLEANS else kind  # in a list, a boolean takes a byte
        kept = []
        for _ in range(size):
            value = self._value(kind, wanted, depth)
            if wanted is not None:
                kept.append(value)
        return kept

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, n_bytes: int) -> bytes:
        self.position += n_bytes
        if self.position > len(self.raw):
            raise PageError("it is cut, or the header of a page is too long")
        return self.raw[self.position - n_bytes : self.position]

    def _integer(self) -> int:
        """A signed integer: a varint in zigzag order, 0, -1, 1, -2, ..."""
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        """An unsigned integer, seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128 and value < 2**64:
                return value
            if shift > 63:
                raise PageError("a number in the footer or the header of a page is too large")


def _type_number(wanted: Any) -> int:
    if isinstance(wanted, list):
        return LISTS[0]
    return STRUCT if isinstance(wanted, Mapping) else int(wanted)
