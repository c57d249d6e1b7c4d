"""What the columns of a Parquet file hold, by its footer and its pages, before one is decoded.

pyarrow decodes as many values as the header of a page says, whatever the footer of the file says,
and a page of a few bytes can stand for any number of equal values. It has no way to ask for the
headers, and ends the process for some footers that it is asked about; so both are read here. They
are structs of Thrift's compact protocol.
Source: https://parquet.apache.org/docs/file-format/metadata/ (FileMetaData, PageHeader).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from audiocodec.files import read_exactly

MAX_HEADER_BYTES = 2**16  # of a page
MAX_DEPTH = 16
BOOLEANS, BYTE, I16, I32, I64, DOUBLE, BINARY, LISTS, STRUCT = (1, 2), 3, 4, 5, 6, 7, 8, (9, 10), 12
Fields = Mapping[int, Any]  # what is wanted of a struct: a kind, the Fields of a struct, or a list
CHUNK: Fields = {3: [BINARY], 5: I64, 7: I64, 9: I64, 11: I64}
FOOTER: Fields = {4: [{1: [{3: CHUNK}]}]}
PAGE: Fields = {
    **{1: I32, 2: I32, 3: I32},
    **{5: {1: I32, 2: I32}, 7: {1: I32, 2: I32}, 8: {1: I32, 4: I32}},
}
HEADERS = {0: (5, 2), 2: (7, 2), 3: (8, 4)}  # type of a page -> its header, the encoding there
DICTIONARY_PAGE = 2
DELTA_BYTE_ARRAY = 7  # a text in it repeats the one before: a few bytes can grow without bound


class PageError(Exception):
    """Why a column of a Parquet file cannot be read; the caller says which."""


@dataclass(frozen=True)
class Chunk:
    """The pages of a column in a row group: where they lie, and what the footer says of them."""

    name: str  # with dots between the levels
    n_values: int
    start: int
    n_bytes: int

    def unpacked_bytes(self, file: BinaryIO) -> int:
        """Its bytes when decompressed.

        Raises PageError unless its pages hold as many values as the footer says.
        """
        n_values = n_bytes = 0
        for page in pages(file, self.start, self.n_bytes):
            if page.encoding == DELTA_BYTE_ARRAY:
                raise PageError("its encoding is DELTA_BYTE_ARRAY; write it plain or by dictionary")
            n_values, n_bytes = n_values + page.n_values, n_bytes + page.n_bytes
        if n_values != self.n_values:
            raise PageError(f"its pages hold {n_values} values, and not {self.n_values} as it says")
        return n_bytes


@dataclass(frozen=True)
class Page:
    """A page: values of the column in it, bytes when decompressed, how they are encoded."""

    n_values: int
    n_bytes: int
    encoding: int


def chunks(file: BinaryIO) -> list[list[Chunk]]:
    """The columns of each row group, by the footer. Raises PageError."""
    stop = file.seek(0, 2) - 8
    file.seek(max(0, stop))
    n_bytes = int.from_bytes(read_exactly(file, 4), "little")
    file.seek(max(0, stop - n_bytes))
    footer = _Thrift(read_exactly(file, n_bytes)).struct(FOOTER)
    groups = (group.get(1, []) for group in footer.get(4, []))
    return [[_chunk(column.get(3, {})) for column in group] for group in groups]


def _chunk(told: Mapping[int, Any]) -> Chunk:
    name = b".".join(told.get(3, [])).decode(errors="replace")
    start, dictionary = told.get(9, -1), told.get(11, 0)
    start = dictionary if 0 < dictionary < start else start
    if min(start, told.get(7, -1)) < 0:
        raise PageError("the footer does not say where a column lies")
    return Chunk(name, told.get(5, -1), start, told[7])


def pages(file: BinaryIO, start: int, n_bytes: int) -> Iterator[Page]:
    """The pages that lie in so many bytes from `start` on. Raises PageError."""
    position, stop = start, start + n_bytes
    while position < stop:
        file.seek(position)
        header = _Thrift(file.read(min(MAX_HEADER_BYTES, stop - position)))
        fields = header.struct(PAGE)
        kind, unpacked, packed = (fields.get(i, -1) for i in (1, 2, 3))
        position += header.position + packed
        if min(kind, unpacked, packed) < 0 or position > stop:
            raise PageError("a page of it does not fit into it")
        if kind in HEADERS:  # others hold no values
            place, encoding = HEADERS[kind]
            own = fields.get(place, {})
            if own.get(1, -1) < 0:
                raise PageError("a page of it does not say how many values it holds")
            n_values = 0 if kind == DICTIONARY_PAGE else own[1]
            yield Page(n_values, unpacked, own.get(encoding, -1))


class _Thrift:
    """Structs of the compact protocol, of which what is wanted is kept."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.position = raw, 0

    def struct(self, wanted: Fields, depth: int = 0) -> dict[int, Any]:
        """Fields by their numbers, which rise, as every writer has them."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            after = number + step if step else self._integer()
            if after <= number or depth > MAX_DEPTH:
                raise PageError("the footer or the header of a page makes no sense")
            number = after
            value = self._value(kind, wanted.get(number), depth)
            if number in wanted:
                fields[number] = value
        return fields

    def _value(self, kind: int, wanted: Any, depth: int) -> Any:
        if wanted is not None and kind != _kind_of(wanted):
            raise PageError("the footer or the header of a page has a field of a wrong kind")
        if kind in BOOLEANS:
            return None  # the kind is the value; in a list it takes a byte
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
        head = self._byte()
        kind, size = head & 15, head >> 4
        size = self._varint() if size == 15 else size
        kept = []
        for _ in range(size):
            value = self._value(BYTE if kind in BOOLEANS else kind, wanted, depth)
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
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128 and value < 2**64:
                return value
            if shift > 63:
                raise PageError("a number in the footer or the header of a page is too large")


def _kind_of(wanted: Any) -> int:
    if isinstance(wanted, list):
        return LISTS[0]
    return STRUCT if isinstance(wanted, Mapping) else int(wanted)
