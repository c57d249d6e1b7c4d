"""Reads what an MP4 file declares, to compare it with the file's size before FFmpeg opens it.

FFmpeg allocates memory for every declared sample, and a box of a few bytes can declare billions.
Source: ISO/IEC 14496-12, sections 4.2 and 8.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from audiocodec.files import read_exactly

CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts")
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")
MAX_BOXES = 1_000_000


@dataclass
class Movie:
    """What the boxes of a file declare.

    has_index: whether there is a moov box; without it, nothing in the file can be found.
    time_scale: units per second of the lengths of its edits; 0: unknown.
    n_samples: an upper bound of the packets that it declares.
    """

    has_index: bool = False
    time_scale: int = 0
    n_samples: int = 0


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content
    stop: int


def read_movie(file: BinaryIO) -> Movie | None:
    """Read the boxes of an MP4 or MOV file; None for a file that does not begin as one."""
    n_bytes = file.seek(0, 2)
    file.seek(4)
    if read_exactly(file, 4) not in FIRST_BOXES:
        return None
    movie = Movie()
    for box in _boxes(file, 0, n_bytes):
        file.seek(box.start)
        head = read_exactly(file, min(24, box.stop - box.start))
        movie.has_index |= box.kind == b"moov"
        if box.kind == b"mvhd" and len(head) == 24:
            (movie.time_scale,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
        if box.kind in (b"stsz", b"stz2", b"trun") and len(head) >= 12:
            movie.n_samples += struct.unpack_from(">I", head, 4 if box.kind == b"trun" else 8)[0]
        if box.kind in (b"stts", b"ctts"):
            movie.n_samples += _n_timed(file, box, n_bytes)
    return movie


def _n_timed(file: BinaryIO, box: _Box, n_bytes: int) -> int:
    """Samples in a table of times; 0 where a file of this size can have so many."""
    file.seek(box.start + 8)
    table = read_exactly(file, min(box.stop - box.start - 8, n_bytes) // 8 * 8)
    n_samples = sum(count for count, _ in struct.iter_unpack(">II", table))
    return n_samples if n_samples > n_bytes else 0


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[_Box]:
    """Yield boxes, each before those that it contains, as far as they are valid."""
    todo, n_boxes = [(start, stop)], 0
    while todo and n_boxes < MAX_BOXES:
        start, stop = todo.pop()
        n_boxes += 1
        file.seek(start)
        head = read_exactly(file, 16)
        if start + 8 > stop or len(head) < 8:
            continue
        size, kind = struct.unpack_from(">I4s", head)
        n_head = 8
        if size == 1 and len(head) == 16:
            size, n_head = struct.unpack_from(">8xQ", head)[0], 16
        end = stop if size == 0 else min(stop, start + size)
        if size and size < n_head:
            continue
        todo.append((end, stop))
        yield _Box(kind, start + n_head, end)
        if kind in CONTAINERS:
            todo.append((start + n_head, end))
