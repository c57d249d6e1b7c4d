"""How much sound the header of a file promises, beside what is there.

libsndfile takes a file that is cut for a shorter one. Read here are WAV, RF64 and AIFF; a FLAC
that is cut is an error anyway.
"""

import struct
from typing import BinaryIO

from audiocodec.files import read_exactly

BYTE_ORDERS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<", b"FORM": ">"}
MAX_CHUNKS = 1000  # before the sound; more make no sense
SIZE_IS_ELSEWHERE = 2**32 - 1  # of an RF64: in its chunk ds64
# What is written to a pipe before its length is known: ffmpeg 2^32 - 1, arecord a little less,
# sox, mplayer and espeak 0x7FFFF000, lame 2^31 - 1, sox in an AIFF 0x7F000008; 0 needs no rule.
PLACEHOLDERS = (range(0x7F000000, 0x80000001), range(2**32 - 2**16, 2**32))
MAX_BYTES = 2**62


def declared_share(file: BinaryIO) -> float:
    """How many times the sound that is there the header promises; 1 where it does not lie.

    file: any; read from its start. Where nothing is there, or no true size is stated, it is 1 too.
    """
    start, n_promised = _sound_bytes(file)
    n_there = file.seek(0, 2) - start
    if n_there <= 0 or n_promised >= MAX_BYTES or any(n_promised in one for one in PLACEHOLDERS):
        return 1.0
    return max(1.0, n_promised / n_there)


def _sound_bytes(file: BinaryIO) -> tuple[int, int]:
    """Where the samples begin, and how many bytes of them are promised; 0, 0: unknown."""
    file.seek(0)
    order, position, n_wide = BYTE_ORDERS.get(read_exactly(file, 4), ""), 12, 0
    for _ in range(MAX_CHUNKS if order else 0):
        file.seek(position)
        head = read_exactly(file, 8)
        if len(head) < 8:
            break
        kind, size = struct.unpack(f"{order}4sI", head)
        position += 8
        if kind == b"data":
            return position, n_wide if size == SIZE_IS_ELSEWHERE and n_wide else size
        if kind == b"SSND":  # begins with an offset and a block size
            return position + 8, max(0, size - 8)
        if kind == b"ds64" and len(sizes := read_exactly(file, 16)) == 16:
            (n_wide,) = struct.unpack("<8xQ", sizes)
        position += size + size % 2
    return 0, 0
