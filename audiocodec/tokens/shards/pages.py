"""What the pages of a Parquet file hold, by their headers, before a page is decoded.

pyarrow decodes as many values as a page's header says, whatever the footer of the file says, and a
page of a few bytes can stand for any number of equal values. It has no way to ask for the headers,
which are structs of Thrift's compact protocol.
Source: https://parquet.apache.org/docs/file-format/metadata/ (PageHeader).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_HEADER_BYTES = 2**16
MAX_DEPTH = 8
BOOLEANS, BYTE, INTEGERS, I32, DOUBLE, BINARY, STRUCT = (1, 2), 3, (4, 5, 6), 5, 7, 8, 12
HEADERS = {
    0: 5,
    2: 7,
    3: 8,
}  # type of a page -> the field of its header; other types hold no values
DICTIONARY_PAGE = 2
ENCODING_FIELD = {0: 2, 2: 2, 3: 4}
DELTA_BYTE_ARRAY = 7  # a text in it repeats the one before: a few bytes can grow without bound


class PageError(Exception):
    """Why a column of a Parquet file cannot be read; the caller says which."""


@dataclass(frozen=True)
class Page:
    """A page: values of the column in it, bytes when decompressed, how they are encoded."""

    n_values: int
    n_bytes: int
    encoding: int


def unpacked_bytes(file: BinaryIO, chunk: Any) -> int:
    """Bytes of a column chunk when decompressed. chunk: a pyarrow.parquet.ColumnChunkMetaData.

    Raises PageError unless its pages hold as many values as it says.
    """
    start, n_values, n_bytes = chunk.data_page_offset, 0, 0
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    for page in pages(file, start, chunk.total_compressed_size):
        if page.encoding == DELTA_BYTE_ARRAY:
            raise PageError("it is encoded by DELTA_BYTE_ARRAY; write it plain or by dictionary")
        n_values, n_bytes = n_values + page.n_values, n_bytes + page.n_bytes
    if n_values != chunk.num_values:
        raise PageError(f"its pages hold {n_values} values, and not {chunk.num_values} as it says")
    return n_bytes


def pages(file: BinaryIO, start: int, n_bytes: int) -> Iterator[Page]:
    """The pages that lie in so many bytes from `start` on. Raises PageError."""
    position, stop = start, start + n_bytes
    while position < stop:
        file.seek(position)
        header = _Thrift(file.read(MAX_HEADER_BYTES))
        fields = header.struct()
        kind, unpacked, packed = (fields.get(i, -1) for i in (1, 2, 3))
        position += header.position + packed
        if min(kind, unpacked, packed) < 0 or position > stop:
            raise PageError("a page of it does not fit into it")
        if kind in HEADERS:
            own = fields.get(HEADERS[kind], {})
            n_values, encoding = own.get(1, -1), own.get(ENCODING_FIELD[kind], -1)
            if n_values < 0:
                raise PageError("a page of it does not say how many values it holds")
            yield Page(0 if kind == DICTIONARY_PAGE else n_values, unpacked, encoding)


class _Thrift:
    """A struct of the compact protocol, of which integers and structs are kept."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.position = raw, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Fields by their numbers, which rise, as every writer has them."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            after = number + step if step else self._integer()
            if after <= number or depth > MAX_DEPTH:
                raise PageError("the header of a page makes no sense")
            number, value = after, self._value(kind, depth)
            if kind in (I32, STRUCT):
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in INTEGERS:
            return self._integer()
        if kind in BOOLEANS:
            return None  # the kind is the value
        if kind == BINARY:
            return self._skip(self._varint())
        if kind in (BYTE, DOUBLE):
            return self._skip(1 if kind == BYTE else 8)
        raise PageError("the header of a page has a field of an unknown kind")

    def _byte(self) -> int:
        if self.position >= len(self.raw):
            raise PageError("it is cut, or the header of a page is too long")
        self.position += 1
        return self.raw[self.position - 1]

    def _skip(self, n_bytes: int) -> None:
        self.position += n_bytes

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 35:
                raise PageError("the header of a page has a number that is too large")
