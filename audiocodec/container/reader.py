"""Reads .dac files: header, then blocks in order or by time; reports what is damaged.

Follows FORMAT.md, which wins where they differ. Counts in frames. Trusts nothing that a file
declares before it is checked. The only place that decides whether a file is whole: a header, the
blocks that header, index and end record describe, and nothing else.
"""

import io
import weakref
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

import numpy as np

from audiocodec.container.header import read_header
from audiocodec.container.records import (
    BLOCK,
    BLOCK_MARKER,
    END_MARKER,
    ENTRY,
    TRAILER,
    TRAILER_MAGIC,
    Block,
    EndRecord,
    RecordCutError,
    RecordError,
    block_size,
    read_block,
    read_end,
)
from audiocodec.errors import ArgumentError, ContainerError, DamagedBlock, TruncatedFile
from audiocodec.files import is_seekable, name_of, read_exactly, spooled

SEARCH_BYTES = 4096
SEARCH_EFFORT = 32  # times its size that we read in vain before we give up a damaged file
SEARCH_SIZE = 2**20  # size that a smaller file counts as


def check_readable(file: BinaryIO) -> None:
    """Check that a file object can be read, before anything is read from it.

    Raises ContainerError if it is closed or opened for writing, ArgumentError for anything but a
    binary file object.
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
    """A .dac file, read from the file object's position on; a pipe can be read once, in order.

    header: a Header. path: the file's name in messages.
    The constructor raises ContainerError for anything but a .dac file of this version,
    ArgumentError for anything but a binary file object.
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
        """Samples of the sound; None until they are known from header or end record."""
        if self.header.n_samples is not None:
            return self.header.n_samples
        return self._end.n_samples if self._end else None

    def extent(self, recover: bool = False) -> tuple[int, int]:
        """Samples of the sound, and frames that hold them.

        recover: up to the last intact block, whatever header and end record declare.
        A seekable file without an intact end record is read through, to report what is wrong.
        Raises TruncatedFile if the end is missing, ContainerError if header, index and end record
        contradict each other, or if something follows the end.
        """
        if recover:
            return self._recovered_extent()
        if self.seekable and self._end is None:
            self.file.seek(self._first_block)
            for _ in self._in_order():
                pass
        n_samples = self.n_samples
        if n_samples is None:
            raise self._truncated()
        n_frames = self.header.frames_of(n_samples)
        if self._end and (self._end.n_samples, self._end.n_frames) != (n_samples, n_frames):
            raise ContainerError(
                f"{self.path}: says {n_samples} samples at its start, and {self._end.n_samples} "
                f"in {self._end.n_frames} frames at its end; recover=True (--recover) decodes it"
            )
        return n_samples, n_frames

    def blocks(
        self, recover: bool = False, first_frame: int = 0, stop_frame: int | None = None
    ) -> Iterator[Block]:
        """Yield the blocks that hold frames first_frame to stop_frame, cut to them.

        Reads no other blocks if the file is seekable. With recover, damaged parts are left out,
        and the gaps show in the blocks' first_frame; the rest of a pipe is first copied to a
        temporary file.
        Unless recovering, raises DamagedBlock, and what extent() raises: for a part of a seekable
        file before the first block, otherwise after the last one.
        """
        offset, index, position = self._first_block, 0, 0
        if recover:
            self._make_seekable()
        elif self.seekable:
            if first_frame or stop_frame is not None:
                self.extent()  # a part does not reach the end of the file
                offset, index, position = self._place_of(first_frame)
            self.file.seek(offset)
        for block in self._recovered() if recover else self._in_order(index, position):
            if stop_frame is not None and block.first_frame >= stop_frame:
                return
            if block.stop_frame > first_frame:
                yield _cut(block, first_frame, stop_frame)
            if stop_frame is not None and block.stop_frame >= stop_frame:
                return

    def check(self) -> list[str]:
        """Read the whole file and return its problems as messages; none if it is intact."""
        self._make_seekable()
        try:
            for _ in self.blocks():
                pass
        except ContainerError as error:
            reason = str(error).removeprefix(f"{self.path}: ")
            return self._losses() or [reason]
        return []

    def _losses(self) -> list[str]:
        """Messages about what a damaged file lacks."""
        problems, position = [], 0
        for block in self.blocks(recover=True):
            if block.first_frame > position:
                problems.append(f"{self._span(position, block.first_frame)} is damaged")
            position = block.stop_frame
        n_samples = self.n_samples
        if n_samples is None:
            problems.append("the end record, which holds the length, is missing or damaged")
        elif position < (n_frames := self.header.frames_of(n_samples)):
            problems.append(f"{self._span(position, n_frames)} is missing")
        if n_samples is not None and not self.has_index:
            problems.append("the index at its end is missing or damaged, or something follows it")
        return problems

    def _make_seekable(self) -> None:
        """Copy the rest of a pipe to a temporary file."""
        if not self.seekable:
            self.file, self.seekable, self._first_block = spooled(self.file), True, 0
            weakref.finalize(self, self.file.close)
            self._end = self._found_end()

    def _span(self, first: int, stop: int) -> str:
        return f"{first / self.header.frame_rate:.2f} s to {stop / self.header.frame_rate:.2f} s"

    def _truncated(self) -> TruncatedFile:
        return TruncatedFile(
            f"{self.path}: its end is missing; recover=True (--recover) decodes what is there"
        )

    # In order

    def _in_order(self, index: int = 0, position: int = 0) -> Iterator[Block]:
        """Blocks from the current position on: first block `index`, from frame `position` on.

        Anything but the next block, as the index lists it, is an error.
        """
        found = bytearray()  # the index, built from the blocks
        while True:
            start = read_exactly(self.file, BLOCK.size)
            if start[:4] == END_MARKER[: len(start)]:
                self._check_end(start, index, found)
                return
            try:
                block, n_bytes = self._checked_block(start, index, position)
            except RecordCutError as error:
                raise self._truncated() from error
            except RecordError as error:
                start_s = position / self.header.frame_rate
                raise DamagedBlock(self.path, index, start_s, str(error)) from error
            if self._end is None:
                found += np.array((n_bytes, block.codes.shape[-1]), ENTRY).tobytes()
            yield block
            position, index = block.stop_frame, index + 1

    def _checked_block(self, start: bytes, index: int, position: int) -> tuple[Block, int]:
        """Block `index` and its length in bytes. Raises RecordError."""
        if start[:4] != BLOCK_MARKER[: len(start)]:
            raise RecordError("no block begins there")
        if len(start) < BLOCK.size:
            raise RecordCutError
        block = read_block(start, self.file, self.header)
        if block.first_frame != position:
            raise RecordError("a block before it is missing")
        n_bytes, n_frames = block_size(start), block.codes.shape[-1]
        if self._end and (n_bytes, n_frames) != tuple(self._end.entries[index : index + 1][0]):
            raise RecordError("the index lists another block there")
        return block, n_bytes

    def _check_end(self, start: bytes, n_blocks: int, found: bytearray) -> None:
        """Check that an end record that fits the blocks follows them, and nothing else."""
        if self._end is None:
            end = self._end_here(start, found)
            if end.entries.tobytes() != found:
                raise ContainerError(
                    f"{self.path}: its index lists other blocks than it has; "
                    "recover=True (--recover) decodes it"
                )
            self._end = end
        elif n_blocks < len(self._end.entries):
            raise self._truncated()
        self.extent()

    def _end_here(self, start: bytes, found: bytearray) -> EndRecord:
        n_bytes = int(np.frombuffer(found, ENTRY)["n_bytes"].sum(dtype=np.uint64))
        try:
            end = read_end(start, self.file, self.header, n_bytes)
        except RecordCutError as error:
            raise self._truncated() from error
        except RecordError as error:
            raise ContainerError(
                f"{self.path}: its end record is damaged ({error}); recover=True (--recover) "
                "decodes what is there"
            ) from error
        if self.file.read(1):
            raise ContainerError(
                f"{self.path}: other bytes follow its end; recover=True (--recover) decodes it"
            )
        return end

    # By time

    def _found_end(self) -> EndRecord | None:
        """The end record, found by the trailer; None if it is missing or damaged."""
        size = self.file.seek(0, 2)
        if size - self._first_block < TRAILER.size:
            return None
        self.file.seek(size - TRAILER.size)
        n_bytes, magic = TRAILER.unpack(read_exactly(self.file, TRAILER.size))
        offset = size - TRAILER.size - n_bytes
        if magic != TRAILER_MAGIC or offset < self._first_block:
            return None
        self.file.seek(offset)
        start = read_exactly(self.file, BLOCK.size)
        if start[:4] != END_MARKER:
            return None
        try:
            return read_end(start, self.file, self.header, offset - self._first_block)
        except RecordError:
            return None

    def _place_of(self, frame: int) -> tuple[int, int, int]:
        """Offset, number and first frame of the block that holds a frame, by the index.

        For a frame past the end, those of the end.
        """
        if not frame or not self._end:
            return self._first_block, 0, 0
        entries = self._end.entries
        stops = entries["n_frames"].cumsum(dtype=np.uint64)
        index = int(np.searchsorted(stops, frame, side="right"))
        offset = self._first_block + int(entries["n_bytes"][:index].sum(dtype=np.uint64))
        return offset, index, int(stops[index - 1]) if index else 0

    # Recovery

    def _recovered_extent(self) -> tuple[int, int]:
        n_frames = max((block.stop_frame for block in self.blocks(recover=True)), default=0)
        header, n_samples = self.header, self.n_samples
        most = header.samples_of(n_frames)
        n_samples = most if n_samples is None else min(n_samples, most)
        return n_samples, min(n_frames, header.frames_of(n_samples))

    def _recovered(self) -> Iterator[Block]:
        """Intact blocks in the order of their frames, with bounded gaps.

        A gap has no more frames than its bytes could have held. Beyond that, all gaps together
        have no more than the file holds intact, lest a few bytes make hours of silence.
        """
        spare, n_codebooks = self._intact_size
        if not spare:
            return
        frame_bits = self.header.channels * n_codebooks * self.header.bits_per_code
        position, last_stop = 0, self._first_block
        for start, stop, block in self._intact():
            most = position + (start - last_stop) * 8 // frame_bits
            if position <= block.first_frame <= most + spare:
                spare -= max(0, block.first_frame - most)
                position, last_stop = block.stop_frame, stop
                yield block

    @property
    def n_intact(self) -> int:
        """Frames of all intact blocks; reads the whole file, which must be seekable."""
        return self._intact_size[0]

    @cached_property
    def _intact_size(self) -> tuple[int, int]:
        """Frames of all intact blocks, and the fewest codebooks of one."""
        shapes = [block.codes.shape[1:] for _, _, block in self._intact()]
        fewest = min((n_codebooks for n_codebooks, _ in shapes), default=1)
        return sum(n_frames for _, n_frames in shapes), fewest

    def _intact(self) -> Iterator[tuple[int, int, Block]]:
        """Start offset, stop offset and block, wherever a block's checksum matches."""
        offset = self._first_block
        effort = SEARCH_EFFORT * max(self.file.seek(0, 2), SEARCH_SIZE)
        while effort > 0 and (start := self._next_marker(offset)) is not None:
            block = self._block_at(start)
            if block:
                offset = self.file.tell()
                yield start, offset, block
            else:
                effort -= SEARCH_BYTES + self.file.tell() - start
                offset = start + 1

    def _block_at(self, offset: int) -> Block | None:
        self.file.seek(offset)
        try:
            return read_block(read_exactly(self.file, BLOCK.size), self.file, self.header)
        except RecordError:
            return None

    def _next_marker(self, offset: int) -> int | None:
        """Offset of the next block marker from `offset` on; None if there is none."""
        overlap, n_bytes = b"", BLOCK.size  # usually the next block follows at once
        self.file.seek(offset)
        while piece := self.file.read(n_bytes):
            found = (overlap + piece).find(BLOCK_MARKER)
            if found >= 0:
                start = offset - len(overlap) + found
                return start if self.file.seek(0, 2) - start >= BLOCK.size else None
            offset += len(piece)
            overlap, n_bytes = (overlap + piece)[-3:], SEARCH_BYTES
        return None


def _cut(block: Block, first: int, stop: int | None) -> Block:
    skip = max(0, first - block.first_frame)
    n_kept = None if stop is None else stop - block.first_frame
    return Block(block.first_frame + skip, block.codes[..., skip:n_kept])
