"""Encodes and decodes the records after the header: blocks, and the end record with the index.

Follows FORMAT.md, which wins where they differ.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from audiocodec.container.header import Header
from audiocodec.container.packing import pack, packed_size, unpack
from audiocodec.files import read_exactly

BLOCK_MARKER, END_MARKER, TRAILER_MAGIC = b"\xdaBLK", b"\xdaEND", b"\xdaIDX"
PACKED = 0  # the only payload coding so far
MAX_BLOCK_FRAMES = 4096

BLOCK = struct.Struct("<4sIIHBB")  # marker, payload bytes, first frame, frames, codebooks, coding
END = struct.Struct("<4sQQI")  # marker, samples, frames, blocks
ENTRY = np.dtype([("n_bytes", "<u4"), ("n_frames", "<u2")])  # of the index, for each block
TRAILER = struct.Struct("<I4s")  # bytes of the end record, magic
CRC = struct.Struct("<I")
MIN_BLOCK_BYTES = BLOCK.size + CRC.size + 1


class RecordError(Exception):
    """Why a record cannot be used; the reader says where and of which file."""


class RecordCutError(RecordError):
    """The file ends inside a record."""

    def __init__(self) -> None:
        super().__init__("the file ends inside it")


@dataclass(frozen=True, eq=False)
class Block:
    """Some frames: codes uint16 (channels, n_codebooks, frames), from `first_frame` on."""

    first_frame: int
    codes: np.ndarray

    @property
    def stop_frame(self) -> int:
        """The frame after the last."""
        return self.first_frame + self.codes.shape[-1]


@dataclass(frozen=True, eq=False)
class EndRecord:
    """Totals and index, written after the last block."""

    n_samples: int
    n_frames: int
    entries: np.ndarray  # ENTRY (n_blocks,)


def block_bytes(block: Block, header: Header) -> bytes:
    """A block as stored: codebook by codebook, so that the first ones come first."""
    _, n_codebooks, n_frames = block.codes.shape
    payload = pack(block.codes.transpose(1, 0, 2), header.bits_per_code)
    start = BLOCK.pack(BLOCK_MARKER, len(payload), block.first_frame, n_frames, n_codebooks, PACKED)
    return start + CRC.pack(zlib.crc32(payload, zlib.crc32(start))) + payload


def block_size(start: bytes) -> int:
    """Length of a block in the file in bytes; start: its first BLOCK.size bytes."""
    return BLOCK.size + CRC.size + int(BLOCK.unpack(start)[1])


def read_block(start: bytes, file: BinaryIO, header: Header) -> Block:
    """Read the rest of a block; start: its first BLOCK.size bytes. Raises RecordError."""
    _, n_bytes, first_frame, n_frames, n_codebooks, coding = BLOCK.unpack(start)
    if coding != PACKED:
        raise RecordError(f"its coding, {coding}, is unknown to this release")
    n_codes = n_codebooks * header.channels * n_frames
    if not (0 < n_frames <= MAX_BLOCK_FRAMES and 0 < n_codebooks <= header.n_codebooks):
        raise RecordError("its size makes no sense")
    if n_bytes != packed_size(n_codes, header.bits_per_code):
        raise RecordError("its length does not fit its frames")
    rest = read_exactly(file, CRC.size + n_bytes)
    if len(rest) < CRC.size + n_bytes:
        raise RecordCutError
    payload = memoryview(rest)[CRC.size :]
    if zlib.crc32(payload, zlib.crc32(start)) != CRC.unpack_from(rest)[0]:
        raise RecordError("its checksum is wrong")
    codes = unpack(payload, n_codes, header.bits_per_code)
    if int(codes.max()) >= header.codebook_size:
        raise RecordError("it holds a code out of range")
    codes = codes.reshape(n_codebooks, header.channels, n_frames).transpose(1, 0, 2)
    return Block(first_frame, np.ascontiguousarray(codes))


def end_bytes(end: EndRecord) -> bytes:
    """The end record as stored, with its trailer."""
    record = END.pack(END_MARKER, end.n_samples, end.n_frames, len(end.entries))
    record += end.entries.tobytes()
    record += CRC.pack(zlib.crc32(record))
    return record + TRAILER.pack(len(record), TRAILER_MAGIC)


def read_end(start: bytes, file: BinaryIO, header: Header, n_bytes_before: int) -> EndRecord:
    """Read the rest of an end record and its trailer; start: its first BLOCK.size bytes.

    n_bytes_before: of all blocks; an index of more blocks than fit into them is not read.
    Raises RecordError.
    """
    start += read_exactly(file, END.size - len(start))
    if len(start) < END.size:
        raise RecordCutError
    _, n_samples, n_frames, n_blocks = END.unpack(start)
    if n_blocks * MIN_BLOCK_BYTES > n_bytes_before:
        raise RecordError("its index has more blocks than the file")
    n_bytes = n_blocks * ENTRY.itemsize
    rest = read_exactly(file, n_bytes + CRC.size + TRAILER.size)
    if len(rest) < n_bytes + CRC.size + TRAILER.size:
        raise RecordCutError
    if zlib.crc32(rest[:n_bytes], zlib.crc32(start)) != CRC.unpack_from(rest, n_bytes)[0]:
        raise RecordError("its checksum is wrong")
    end = EndRecord(n_samples, n_frames, np.frombuffer(rest[:n_bytes], ENTRY))
    if start + rest != end_bytes(end):
        raise RecordError("its trailer is damaged")
    _check_index(end, header, n_bytes_before)
    return end


def _check_index(end: EndRecord, header: Header, n_bytes_before: int) -> None:
    """Raises RecordError unless each entry fits a block, and all together fit the file."""
    n_bytes, n_frames = (end.entries[name].astype(np.int64) for name in ENTRY.names or ())
    if int(n_frames.sum()) != end.n_frames or int(n_bytes.sum()) != n_bytes_before:
        raise RecordError("its index does not fit the length of the file")
    if not ((n_frames > 0) & (n_frames <= MAX_BLOCK_FRAMES)).all():
        raise RecordError("its index has a block of a size that is not allowed")
    payload = n_bytes - (BLOCK.size + CRC.size)
    codebook_bits = n_frames * (header.channels * header.bits_per_code)
    n_codebooks = np.minimum(payload * 8 // codebook_bits, header.n_codebooks)
    if not ((n_codebooks > 0) & ((n_codebooks * codebook_bits + 7) // 8 == payload)).all():
        raise RecordError("its index has a block whose length does not fit its frames")
