"""Compares the length that a WAV, RF64, AIFF or AVI file declares with the actual one.

libsndfile reads a truncated file as a shorter one without an error. It does report a truncated
FLAC.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from audiocodec.audio.file_view import file_view
from audiocodec.files import read_exactly

CHUNK_HEADS = {  # by form: struct of kind and size; position of the first chunk; alignment
    b"RIFF": ("<4sI", 12, 2),
    b"RIFX": (">4sI", 12, 2),
    b"RF64": ("<4sI", 12, 2),
    b"BW64": ("<4sI", 12, 2),
    b"FORM": (">4sI", 12, 2),
    b"caff": (">4sQ", 8, 1),
}
MAX_CHUNKS = 1000  # looked at in search of the sound
SIZE_IS_ELSEWHERE = 2**32 - 1  # in RF64: the chunk ds64 states it
# What programs that do not know the length write to a pipe: ffmpeg 2^32 - 1, arecord a little less,
# sox, mplayer and espeak 0x7FFFF000, lame 2^31 - 1, sox in an AIFF 0x7F000008. 0 needs no rule.
PLACEHOLDERS = (range(0x7F000000, 0x80000001), range(2**32 - 2**16, 2**32))
MAX_BYTES = 2**62


def declared_share(file: BinaryIO) -> float:
    """Declared length divided by actual length; 1.0 if they agree.

    file: any seekable file. It is 1.0 too where the file holds no sound or declares no real size.
    """
    start, n_declared = _sound_bytes(file)
    n_actual = file.seek(0, 2) - start
    if n_actual <= 0 or n_declared >= MAX_BYTES or any(n_declared in one for one in PLACEHOLDERS):
        return 1.0
    return max(1.0, n_declared / n_actual)


def missing_avi_bytes(file: BinaryIO) -> int:
    """How much shorter an AVI file is than its RIFF chunks declare; 0 if they declare no size.

    FFmpeg's own length of an AVI will not do: it shrinks with the file.
    """
    n_actual, position = file.seek(0, 2), 0
    for _ in range(MAX_CHUNKS):  # one per GB
        file.seek(position)
        head = read_exactly(file, 8)
        size = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or any(size in one for one in PLACEHOLDERS):
            break
        position += 8 + size
    return max(0, position - n_actual)


def with_size(file: BinaryIO) -> BinaryIO:
    """Return a view of the file in which an RF64 or CAF header states the actual size.

    Programs that write to a pipe leave it open; libsndfile then finds no sound, or an error.
    """
    for form, kind, start, size in _chunks(file):
        if form in (b"RF64", b"BW64") and kind == b"ds64":
            file.seek(start + 8)
            sizes = read_exactly(file, 8)
            if len(sizes) == 8 and not 0 < int.from_bytes(sizes, "little") < MAX_BYTES:
                n_bytes = _sound_bytes_there(file)
                return _patched(file, start + 8, n_bytes.to_bytes(8, "little"))
        if form == b"caff" and kind == b"data" and size >= MAX_BYTES:
            n_bytes = file.seek(0, 2) - start
            return _patched(file, start - 8, n_bytes.to_bytes(8, "big"))
    return file


def _patched(file: BinaryIO, at: int, raw: bytes) -> BinaryIO:
    file.seek(0, 2)
    return file_view(file, [(0, at), raw, (at + len(raw), file.tell())])


def _sound_bytes_there(file: BinaryIO) -> int:
    start = _sound_bytes(file)[0]
    return file.seek(0, 2) - start if start else 0


def _sound_bytes(file: BinaryIO) -> tuple[int, int]:
    """Return where the samples begin, and their declared number of bytes; 0, 0: unknown."""
    n_wide = 0
    for form, kind, start, size in _chunks(file):
        if form == b"caff":
            break
        if kind == b"data":
            return start, n_wide if size == SIZE_IS_ELSEWHERE and n_wide else size
        if kind == b"SSND":  # begins with an offset and a block size
            return start + 8, max(0, size - 8)
        if kind == b"ds64" and len(sizes := read_exactly(file, 16)) == 16:
            (n_wide,) = struct.unpack("<8xQ", sizes)
    return 0, 0


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Yield, for each chunk: form of the file, kind, where its content begins, and its size."""
    file.seek(0)
    form = read_exactly(file, 4)
    head_form, position, alignment = CHUNK_HEADS.get(form, ("", 0, 1))
    for _ in range(MAX_CHUNKS if head_form else 0):
        file.seek(position)
        head = read_exactly(file, struct.calcsize(head_form))
        if len(head) < struct.calcsize(head_form):
            break
        kind, size = struct.unpack(head_form, head)
        position += len(head)
        yield form, kind, position, size
        if size >= MAX_BYTES:
            break
        position += -(-size // alignment) * alignment
