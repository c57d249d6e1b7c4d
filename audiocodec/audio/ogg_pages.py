"""Finds the Vorbis and Opus streams of an Ogg file page by page; also in joined or damaged files.

Source: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), Vorbis I specification, section A.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from audiocodec.audio.byte_window import ByteWindow
from audiocodec.audio.file_view import Span, add_span
from audiocodec.errors import AudioError

CAPTURE = re.compile(b"OggS")
HEAD_BYTES = 27
MAX_PAGE_BYTES = HEAD_BYTES + 255 + 255 * 255
FIRST, LAST = 2, 4  # flags of the first and the last page of a stream
NO_GRANULE = -1  # no packet ends on this page
MAX_RUNS = 1000  # of all streams together; opening one takes about a millisecond
CHECKED_TIMES = 4  # bytes checksummed in search of pages, at most, per byte of the file
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
N_HEADER_PACKETS = {b"\x01vorbis": 3, b"OpusHead": 2}  # by how the first one begins
HEAD_PACKET_BYTES = 19  # an OpusHead up to its mapping family


class OggPage(NamedTuple):
    """A page whose checksum is right. granule: samples of the stream up to the end of the page."""

    start: int
    stop: int
    flags: int
    granule: int
    serial: int
    number: int
    n_packets: int  # that end on it
    content: bytes  # of the first page only: enough to recognise the codec


@dataclass
class PageRun:
    """Pages of one stream with none missing between them."""

    spans: list[Span] = field(default_factory=list)
    granule: int = NO_GRANULE  # at the end of its last page
    granule_before: int = NO_GRANULE  # at the end of the page before that

    def end_at(self, granule: int) -> None:
        """Take the position that the next page states."""
        self.granule_before, self.granule = self.granule, granule


@dataclass
class OggStream:
    """The pages of one audio stream. Between its runs, pages are missing.

    If the first run is empty, the pages behind the header are missing.
    """

    serial: int
    head: bytes  # the first bytes of its first packet
    header_spans: list[Span] = field(default_factory=list)
    runs: list[PageRun] = field(default_factory=lambda: [PageRun()])
    is_ended: bool = False  # whether its last page was found
    _n_packets: int = 0
    _last_page: tuple[int, int] = (-1, NO_GRANULE)  # its number and granule

    @property
    def is_known(self) -> bool:
        return self.head.startswith(tuple(N_HEADER_PACKETS))

    @property
    def _n_header_packets(self) -> int:
        return N_HEADER_PACKETS[self.head[:8] if self.is_opus else self.head[:7]]

    @property
    def is_opus(self) -> bool:
        return self.head.startswith(b"OpusHead")

    @property
    def pre_skip(self) -> int:
        """Samples at 48 kHz to be dropped from the start of an Opus stream."""
        return int.from_bytes(self.head[10:12], "little") if self.is_opus else 0

    @property
    def mapping_family(self) -> int:
        """What the channels of an Opus stream mean: RFC 7845, section 5.1.1."""
        return self.head[18] if len(self.head) > 18 else 0

    def add(self, page: OggPage) -> None:
        """Take the next page of this stream."""
        self.is_ended = bool(page.flags & LAST)
        if not self.is_known or self._is_repeated(page):
            return
        if self._n_packets < self._n_header_packets:
            add_span(self.header_spans, page.start, page.stop)
        else:
            if page.number != (self._last_page[0] + 1) % 2**32:
                self.runs.append(PageRun())
            add_span(self.runs[-1].spans, page.start, page.stop)
            if page.granule > NO_GRANULE:
                self.runs[-1].end_at(page.granule)
        self._n_packets += page.n_packets
        self._last_page = page.number, page.granule

    def _is_repeated(self, page: OggPage) -> bool:
        """Whether it is the page before once more, as some broken transfers leave it."""
        return page.granule > 0 and (page.number, page.granule) == self._last_page


def sound_streams(file: BinaryIO, name: str) -> list[OggStream]:
    """Find one audio stream in each group of streams that begin together, in order.

    It is the first Vorbis or Opus stream of the group; if there is none, the first stream, without
    pages. Empty for another kind of file. Reads the file once, in constant memory unless streams
    alternate. Raises AudioError for a file in too many pieces.
    """
    found: list[OggStream] = []
    is_group_open = False  # only first pages of streams so far
    for page in _pages(file, name):
        if page.flags & FIRST:
            stream = OggStream(page.serial, page.content)
            if not is_group_open:
                found.append(stream)
            elif stream.is_known and not found[-1].is_known:
                found[-1] = stream
        is_group_open = bool(page.flags & FIRST)
        if found and page.serial == found[-1].serial:
            found[-1].add(page)
    if sum(len(stream.runs) for stream in found) > MAX_RUNS:
        raise AudioError(f"{name}: is in more than {MAX_RUNS} pieces; too damaged to be used")
    return found


def _pages(file: BinaryIO, name: str) -> Iterator[OggPage]:
    """Yield the whole pages of a file that begins with one; skips what lies between them."""
    window = ByteWindow(file)
    position = n_checked = 0
    if window.at(0, 4) != CAPTURE.pattern:
        return
    while (position := window.search(CAPTURE, 4, position)) >= 0:
        data = _page_bytes(window, position)
        n_checked += len(data)
        if n_checked > CHECKED_TIMES * (position + MAX_PAGE_BYTES):
            raise AudioError(f"{name}: holds hardly a whole page of Ogg; too damaged to be used")
        if data and data[22:26] == _checksum(data):
            yield _page(data, position)
            position += len(data)
        else:
            position += 1


def _page_bytes(window: ByteWindow, start: int) -> bytes:
    """The bytes of the page at `start`, by its own header; none if the file ends before."""
    head = window.at(start, HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return b""
    lacing = window.at(start + HEAD_BYTES, head[26])
    size = HEAD_BYTES + head[26] + sum(lacing)
    page = window.at(start, size)
    return page if len(page) == size else b""


def _page(data: bytes, start: int) -> OggPage:
    n_lacing = data[26]
    content = data[HEAD_BYTES + n_lacing :][:HEAD_PACKET_BYTES] if data[5] & FIRST else b""
    return OggPage(
        start,
        start + len(data),
        data[5],
        int.from_bytes(data[6:14], "little", signed=True),
        int.from_bytes(data[14:18], "little"),
        int.from_bytes(data[18:22], "little"),
        n_lacing - data.count(255, HEAD_BYTES, HEAD_BYTES + n_lacing),
        content,
    )


def _checksum(page: bytes) -> bytes:
    """CRC-32 of Ogg: zlib's, with the bits of each byte, and of the result, reversed."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(MIRRORED)
    crc = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(MIRRORED)
