"""Writes .dac files: header, blocks as they become full, end record. Never seeks.

Follows FORMAT.md, which wins where they differ.
"""

import io
from types import TracebackType
from typing import BinaryIO

import numpy as np

from audiocodec.container.header import MAX_FRAMES, Header
from audiocodec.container.records import (
    ENTRY,
    MAX_BLOCK_FRAMES,
    Block,
    EndRecord,
    block_bytes,
    end_bytes,
)
from audiocodec.errors import ArgumentError, CodesError, OutputError
from audiocodec.files import name_of, write_whole

PAYLOAD_BYTES = 4096  # about as much per block: damage costs little, and so do block heads
MIN_BLOCK_FRAMES, LONGEST_BLOCK_FRAMES, STEP_FRAMES = 64, 1024, 64


class Writer:
    """Writes codes, in pieces of any length, to a file object, which it leaves open.

    As a context manager it calls close(), unless the `with` block ended with an error.
    Raises OutputError for a file object that is closed or opened for reading, ArgumentError for
    anything but a binary file object; lets OSError through.
    """

    def __init__(self, file: BinaryIO, header: Header, frames_per_block: int | None = None) -> None:
        self.file, self.header = file, header
        self.block_frames = _block_frames(header) if frames_per_block is None else frames_per_block
        if not 1 <= self.block_frames <= MAX_BLOCK_FRAMES:
            raise ArgumentError(f"{self.block_frames} frames a block; 1 to {MAX_BLOCK_FRAMES} fit")
        self.n_frames = 0
        self._entries: list[tuple[int, int]] = []
        self._is_closed = False
        self._pending = np.zeros((header.channels, header.n_codebooks, 0), np.uint16)
        self._append(header.to_bytes())

    def write(self, codes: np.ndarray) -> None:
        """Append codes, integers (channels, n_codebooks, any number of frames).

        Raises CodesError for another shape, a code out of range or more frames than MAX_FRAMES,
        ArgumentError after close().
        """
        if self._is_closed:
            raise ArgumentError("the container is closed; no codes can follow")
        checked_codes(codes, self.header)
        if self.n_frames + self._pending.shape[-1] + codes.shape[-1] > MAX_FRAMES:
            raise CodesError(f"a file holds at most {MAX_FRAMES} frames")
        pending = np.concatenate([self._pending, codes.astype(np.uint16)], axis=-1)
        while pending.shape[-1] >= self.block_frames:
            self._write_block(pending[..., : self.block_frames])
            pending = pending[..., self.block_frames :]
        self._pending = pending.copy()

    def close(self, n_samples: int | None = None) -> None:
        """Write the last block and the end record; a second call does nothing.

        n_samples: length of the sound if the header does not have it; whole frames by default.
        Raises ArgumentError if a sound of that length does not have the frames written.
        """
        if self._is_closed:
            return
        if self._pending.shape[-1]:
            self._write_block(self._pending)
            self._pending = self._pending[..., :0]
        if n_samples is None:
            n_samples = self.header.n_samples
        if n_samples is None:
            n_samples = self.header.samples_of(self.n_frames)
        expected = self.header.frames_of(n_samples)
        is_as_declared = self.header.n_samples in (None, n_samples)
        if not is_as_declared or n_samples < 0 or expected != self.n_frames:
            raise ArgumentError(
                f"{self.n_frames} frames were written; {n_samples} samples make {expected}"
            )
        entries = np.array(self._entries, ENTRY)
        self._append(end_bytes(EndRecord(n_samples, self.n_frames, entries)))
        self._is_closed = True

    def _write_block(self, codes: np.ndarray) -> None:
        raw = block_bytes(Block(self.n_frames, codes), self.header)
        self._append(raw)
        self._entries.append((len(raw), codes.shape[-1]))
        self.n_frames += codes.shape[-1]

    def _append(self, raw: bytes) -> None:
        try:
            write_whole(self.file, raw)
        except ValueError as error:
            is_source = isinstance(error, io.UnsupportedOperation)
            reason = "not opened for writing" if is_source else error
            raise OutputError(f"{name_of(self.file)}: cannot be written: {reason}") from error
        except (AttributeError, TypeError) as error:
            raise ArgumentError(
                f"{name_of(self.file)}: not a binary file object; open it in binary mode ('wb')"
            ) from error

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()


def _block_frames(header: Header) -> int:
    frame_bits = header.channels * header.n_codebooks * header.bits_per_code
    frames = PAYLOAD_BYTES * 8 // frame_bits // STEP_FRAMES * STEP_FRAMES
    return min(LONGEST_BLOCK_FRAMES, max(MIN_BLOCK_FRAMES, frames))


def checked_codes(codes: np.ndarray, header: Header) -> None:
    """Raises CodesError unless codes are integers, in range, and of the header's shape."""
    expected = (header.channels, header.n_codebooks)
    if codes.ndim != 3 or codes.shape[:2] != expected or codes.dtype.kind not in "iu":
        raise CodesError(
            f"codes are {codes.dtype} shaped {codes.shape}; the header wants whole numbers shaped "
            f"({expected[0]}, {expected[1]}, frames)"
        )
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < header.codebook_size:
        raise CodesError(
            f"codes are {codes.min()} to {codes.max()}; entries are 0 to {header.codebook_size - 1}"
        )
