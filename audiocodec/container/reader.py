"""Reads .dac files: header, then blocks in order or by time; says what is damaged.

Follows FORMAT.md, which wins where they differ. Counts in frames. Nothing that a file declares
is believed before it is checked.
"""

import io
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from audiocodec.container.header import read_header
from audiocodec.container.records import (
    BLOCK,
    BLOCK_MARKER,
    CRC,
    END_MARKER,
    MIN_BLOCK_BYTES,
    TRAILER,
    TRAILER_MAGIC,
    Block,
    EndRecord,
    RecordCutError,
    RecordError,
    read_block,
    read_end,
)
from audiocodec.errors import ArgumentError, ContainerError, DamagedBlock, TruncatedFile
from audiocodec.files import is_seekable, name_of, read_exactly, spooled

SEARCH_BYTES = 4096
SEARCH_EFFORT = 64  # how many times its own size a damaged file may make us read in vain
SEARCH_SIZE = 2**20  # what a smaller file counts as
SPARE_FRAMES = 2**18  # how many frames may be missing with all their bytes, in one file


def check_readable(file: BinaryIO) -> None:
    """Whether a .dac file can be read from a file object, told before anything is read.

    Raises ContainerError for one that is closed or opened for writing, ArgumentError for what is
    no binary file object.
    """
    name = name_of(file)
    try:
        nothing = file.read(0)
    except AttributeError as error:
        raise ArgumentError(f"{name}: neither a path nor a binary file object") from error
    except (OSError, ValueError) as error:
        is_target = isinstance(error, io.UnsupportedOperation)
        reason = "not opened for reading" if is_target else error
        raise ContainerError(f"{name}: cannot be read: {reason}") from error
    if isinstance(nothing, str):
        raise ArgumentError(f"{name}: opened as text; open it in binary mode ('rb')")


class Reader:
    """A .dac file, from the file object's position on; a pipe can be read once, in order.

    header: a Header. path: what the file is called in messages.
    Raises ContainerError from the constructor for what is not a .dac file of this version,
    ArgumentError for what is no binary file object.
    """

    def __init__(self, file: BinaryIO, path: str | None = None) -> None:
        check_readable(file)
        self.file, self.path = file, path or name_of(file)
        self.seekable = is_seekable(file)
        base = file.tell() if self.seekable else 0
        self.header, n_bytes = read_header(file, self.path)
        self._first_block = base + n_bytes
        self._end: EndRecord | None = None
        if self.seekable:
            self._end = self._found_end()
            self.file.seek(self._first_block)

    @property
    def has_index(self) -> bool:
        """Whether an intact end record has been seen."""
        return self._end is not None

    @property
    def n_samples(self) -> int | None:
        """Length of the sound; None while neither header nor end record has told it."""
        if self.header.n_samples is not None:
            return self.header.n_samples
        return self._end.n_samples if self._end else None

    def extent(self, recover: bool = False) -> tuple[int, int]:
        """Samples of the sound, and frames that hold them.

        recover: up to the last intact block, where the end is missing.
        Raises TruncatedFile if that is not known, ContainerError if header and end disagree.
        """
        n_samples = self.n_samples
        if recover:
            n_frames = max((block.stop_frame for block in self.blocks(recover=True)), default=0)
            most = n_frames * self.header.hop * self.header.sample_rate // self.header.model_rate
            n_samples = most if n_samples is None else min(n_samples, most)
            return n_samples, min(n_frames, self.header.frames_of(n_samples))
        if n_samples is None:
            raise self._truncated()
        n_frames = self.header.frames_of(n_samples)
        if self._end and (self._end.n_samples, self._end.n_frames) != (n_samples, n_frames):
            raise ContainerError(
                f"{self.path}: says {n_samples} samples at its start and {self._end.n_samples} "
                f"in {self._end.n_frames} frames at its end; recover=True (--recover) decodes it"
            )
        return n_samples, n_frames

    def blocks(
        self, recover: bool = False, first_frame: int = 0, stop_frame: int | None = None
    ) -> Iterator[Block]:
        """Yield the blocks that hold frames first_frame to stop_frame, cut to them.

        Reads no other blocks if the file can be sought in. With recover, what is damaged is
        left out, and the gap shows in the blocks' first_frame; what is left of a pipe is first
        copied to a temporary file.
        Raises DamagedBlock or TruncatedFile, unless recovering.
        """
        if recover and not self.seekable:
            self.file, self.seekable, self._first_block = spooled(self.file), True, 0
            weakref.finalize(self, self.file.close)
            self._end = self._found_end()
        offset, index, position = self._first_block, 0, 0
        if self.seekable and not recover:
            offset, index, position = self._place_of(first_frame)
            self.file.seek(offset)
        for block in self._intact() if recover else self._in_order(index, position):
            if stop_frame is not None and block.first_frame >= stop_frame:
                return
            if block.stop_frame > first_frame:
                yield _cut(block, first_frame, stop_frame)
            if stop_frame is not None and block.stop_frame >= stop_frame:
                return

    def check(self) -> list[str]:
        """Read the whole file; returns what is wrong with it, in words. Empty if it is intact."""
        problems, position = [], 0
        for block in self.blocks(recover=True):
            if block.first_frame > position:
                problems.append(f"{self._span(position, block.first_frame)} is damaged")
            position = block.stop_frame
        n_samples = self.n_samples
        if n_samples is None:
            problems.append("the end record, which tells the length, is missing or damaged")
        elif position < (n_frames := self.header.frames_of(n_samples)):
            problems.append(f"{self._span(position, n_frames)} is missing")
        if n_samples is not None and not self.has_index:
            problems.append("the index is missing or damaged; seeking reads all block headers")
        try:
            self.extent()
        except TruncatedFile:
            pass  # said above
        except ContainerError as error:
            problems.append(str(error).removeprefix(f"{self.path}: "))
        return problems

    def _span(self, first: int, stop: int) -> str:
        return f"{first / self.header.frame_rate:.2f} s to {stop / self.header.frame_rate:.2f} s"

    def _truncated(self) -> TruncatedFile:
        return TruncatedFile(
            f"{self.path}: its end is missing; recover=True (--recover) decodes what is there"
        )

    # In order

    def _in_order(self, index: int, position: int) -> Iterator[Block]:
        """Blocks from where the file stands: block `index`, whose first frame is `position`.

        Whatever is not that block is an error.
        """
        while True:
            start = read_exactly(self.file, BLOCK.size)
            if start[:4] == END_MARKER or len(start) < len(END_MARKER):
                self._check_complete(start, index, position)
                return
            try:
                block = self._checked_block(start, position)
            except RecordCutError as error:
                raise self._truncated() from error
            except RecordError as error:
                start_s = position / self.header.frame_rate
                raise DamagedBlock(self.path, index, start_s, str(error)) from error
            yield block
            position, index = block.stop_frame, index + 1

    def _checked_block(self, start: bytes, position: int) -> Block:
        if start[:4] != BLOCK_MARKER:
            raise RecordError("no block begins there")
        if len(start) < BLOCK.size:
            raise RecordCutError
        block = read_block(start, self.file, self.header)
        if block.first_frame != position:
            raise RecordError("a block before it is missing")
        return block

    def _check_complete(self, start: bytes, n_blocks: int, position: int) -> None:
        """At the end: as many frames as were promised, and an end record if only it knows."""
        if start and self._end is None:
            with suppress(RecordError):  # the index can be rebuilt; the length below cannot
                self._end = read_end(start, self.file, n_blocks * MIN_BLOCK_BYTES)
        n_samples = self.n_samples
        if n_samples is None or position < self.header.frames_of(n_samples):
            raise self._truncated()
        _, n_frames = self.extent()
        if position != n_frames:
            raise ContainerError(f"{self.path}: holds {position} frames, but says {n_frames}")

    # By time

    def _found_end(self) -> EndRecord | None:
        """The end record, by the trailer; None where there is none or it is damaged."""
        size = self.file.seek(0, 2)
        if size - self._first_block < TRAILER.size:
            return None
        self.file.seek(size - TRAILER.size)
        n_bytes, magic = TRAILER.unpack(read_exactly(self.file, TRAILER.size))
        offset = size - TRAILER.size - n_bytes
        if magic != TRAILER_MAGIC or offset < self._first_block:
            return None
        self.file.seek(offset)
        try:
            start = read_exactly(self.file, BLOCK.size)
            if start[:4] != END_MARKER:
                return None
            end = read_end(start, self.file, offset - self._first_block)
        except RecordError:
            return None
        n_bytes = int(end.entries["n_bytes"].sum(dtype=np.uint64))
        return end if n_bytes == offset - self._first_block else None

    def _place_of(self, frame: int) -> tuple[int, int, int]:
        """The block with this frame: its offset, its number, its first frame.

        By the block headers where there is no index; past the end, where the blocks end.
        """
        offset, index, first = self._first_block, 0, 0
        if frame and self._end:
            entries = self._end.entries
            stops = entries["n_frames"].cumsum(dtype=np.uint64)
            index = int(np.searchsorted(stops, frame, side="right"))
            offset += int(entries["n_bytes"][:index].sum(dtype=np.uint64))
            first = int(stops[index - 1]) if index else 0
        elif frame:
            for n_bytes, n_frames in self._walked():
                if first + n_frames > frame:
                    break
                offset, index, first = offset + n_bytes, index + 1, first + n_frames
        return offset, index, first

    def _walked(self) -> Iterator[tuple[int, int]]:
        """Bytes and frames of each block, read from the block headers alone."""
        self.file.seek(self._first_block)
        while (start := read_exactly(self.file, BLOCK.size))[:4] == BLOCK_MARKER:
            if len(start) < BLOCK.size:
                return
            _, n_payload, _, n_frames, _, _ = BLOCK.unpack(start)
            self.file.seek(CRC.size + n_payload, 1)
            yield BLOCK.size + CRC.size + n_payload, n_frames

    # What is left of a damaged file

    def _intact(self) -> Iterator[Block]:
        """Every intact block, wherever it stands, in the order of their frames."""
        file, position, offset = self.file, 0, self._first_block
        effort = SEARCH_EFFORT * max(file.seek(0, 2), SEARCH_SIZE)
        last_good, spare = offset, SPARE_FRAMES
        least_bits = self.header.channels * self.header.bits_per_code  # of a frame
        while effort > 0 and (found := self._next_marker(offset)) is not None:
            block = self._block_at(found)
            # A gap is no longer than the bytes between intact blocks could have held, or not
            # by much: otherwise a few bytes could make hours of silence.
            most = position + (found - last_good) * 8 // least_bits
            if block and position <= block.first_frame <= most + spare:
                offset = last_good = file.tell()
                position, spare = block.stop_frame, spare - max(0, block.first_frame - most)
                yield block
            else:
                effort -= SEARCH_BYTES + file.tell() - found
                offset = found + 1

    def _block_at(self, offset: int) -> Block | None:
        self.file.seek(offset)
        try:
            return read_block(read_exactly(self.file, BLOCK.size), self.file, self.header)
        except RecordError:
            return None

    def _next_marker(self, offset: int) -> int | None:
        """Where the next four bytes that may begin a block are, from `offset` on."""
        overlap = b""
        self.file.seek(offset)
        while piece := self.file.read(SEARCH_BYTES):
            found = (overlap + piece).find(BLOCK_MARKER)
            if found >= 0:
                start = offset - len(overlap) + found
                self.file.seek(0, 2)
                return start if self.file.tell() - start >= BLOCK.size else None
            offset += len(piece)
            overlap = (overlap + piece)[-3:]
        return None


def _cut(block: Block, first: int, stop: int | None) -> Block:
    skip = max(0, first - block.first_frame)
    n_kept = None if stop is None else stop - block.first_frame
    return Block(block.first_frame + skip, block.codes[..., skip:n_kept])
