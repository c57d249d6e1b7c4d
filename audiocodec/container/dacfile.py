"""A .dac file in memory: its header and all its codes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

import numpy as np

from audiocodec.container.header import Header
from audiocodec.container.output import dac_output
from audiocodec.container.reader import Reader
from audiocodec.container.records import Block
from audiocodec.container.writer import LONGEST_BLOCK_FRAMES, Writer, checked_codes
from audiocodec.errors import ArgumentError, CodesError, ContainerError
from audiocodec.files import open_binary


@dataclass(frozen=True, eq=False)
class DacFile:
    """Compressed sound in memory.

    header: a Header. codes: uint16 (channels, n_codebooks, frames).
    Raises CodesError if they do not fit together.
    """

    header: Header
    codes: np.ndarray

    def __post_init__(self) -> None:
        checked_codes(self.codes, self.header)
        if self.header.n_frames not in (None, self.codes.shape[-1]):
            raise CodesError(
                f"codes of {self.codes.shape[-1]} frames; {self.header.n_samples} samples make "
                f"{self.header.n_frames}"
            )

    @property
    def path(self) -> str:
        """A name for messages."""
        return "<DacFile>"

    @property
    def n_samples(self) -> int:
        """Samples of the sound; those of whole frames if the header has no length."""
        return self.extent()[0]

    @property
    def n_intact(self) -> int:
        """Number of intact frames: all of them."""
        return self.codes.shape[-1]

    def extent(self, recover: bool = False) -> tuple[int, int]:
        """Samples of the sound and frames that hold them, as in Reader.extent."""
        n_frames = self.codes.shape[-1]
        n_samples = self.header.n_samples
        return self.header.samples_of(n_frames) if n_samples is None else n_samples, n_frames

    def blocks(
        self, recover: bool = False, first_frame: int = 0, stop_frame: int | None = None
    ) -> Iterator[Block]:
        """Yield the codes of frames first_frame to stop_frame, as in Reader.blocks."""
        stop = self.codes.shape[-1] if stop_frame is None else stop_frame
        for first in range(first_frame, stop, LONGEST_BLOCK_FRAMES):
            last = min(stop, first + LONGEST_BLOCK_FRAMES)
            yield Block(first, self.codes[..., first:last])

    @classmethod
    def load(cls, source: str | os.PathLike[str] | BinaryIO) -> "DacFile":
        """Read a whole file.

        Raises ContainerError for a damaged file or one of another kind, ArgumentError if `source`
        is neither a path nor a binary file object.
        """
        if not isinstance(source, str | os.PathLike):
            return cls._read(source)
        with open_binary(source) as file:
            return cls._read(file)

    @classmethod
    def from_bytes(cls, data: bytes) -> "DacFile":
        """Read the bytes of a file. Raises ContainerError."""
        return cls._read(BytesIO(data))

    @classmethod
    def _read(cls, file: BinaryIO) -> "DacFile":
        reader = Reader(file)
        header = reader.header
        parts = [np.zeros((header.channels, header.n_codebooks, 0), np.uint16)]
        for block in reader.blocks():
            if block.codes.shape[1] != header.n_codebooks:
                raise ContainerError(
                    f"{reader.path}: its blocks differ in codebooks; read them with Reader.blocks()"
                )
            parts.append(block.codes)
        header = replace(header, n_samples=reader.n_samples)
        return cls(header, np.concatenate(parts, axis=-1))

    def save(self, target: str | os.PathLike[str] | BinaryIO, overwrite: bool = False) -> None:
        """Write to a path or a binary file object.

        Raises OutputExists, OutputError, and ArgumentError for another kind of target or a path
        with the suffix of another kind of file.
        """
        with dac_output(target, overwrite) as file:
            self._write(file)

    def to_bytes(self) -> bytes:
        """The bytes that save() would write."""
        file = BytesIO()
        self._write(file)
        return file.getvalue()

    def _write(self, file: BinaryIO) -> None:
        with Writer(file, self.header) as writer:
            writer.write(self.codes)

    def truncated(self, n_codebooks: int) -> "DacFile":
        """The same sound with its first codebooks only: fewer bits, less detail.

        Raises ArgumentError for more codebooks than there are.
        """
        if not 1 <= n_codebooks <= self.header.n_codebooks:
            raise ArgumentError(
                f"{n_codebooks} codebooks; this file has 1 to {self.header.n_codebooks}"
            )
        header = replace(self.header, n_codebooks=n_codebooks)
        return DacFile(header, self.codes[:, :n_codebooks])
