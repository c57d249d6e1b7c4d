"""Opens .dac files to edit: a path, a binary file object or a pipe."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from audiocodec.container import Header, PublishedFile, Reader, open_dac
from audiocodec.errors import ContainerError
from audiocodec.files import is_seekable, name_of, open_binary, spooled

Source = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True, eq=False)
class TokenFile:
    """An open .dac file whose length is known: n_samples of each channel, n_frames."""

    reader: Reader
    n_samples: int
    n_frames: int

    @property
    def header(self) -> Header:
        """The header as stored; n_samples has the length even if the header does not."""
        return self.reader.header

    @property
    def path(self) -> str:
        """The file's name in messages."""
        return self.reader.path

    def codes(
        self, n_codebooks: int, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yield codes of frames start to stop, block by block: uint16 (channels, n_codebooks, any).

        Raises ContainerError for a block that has fewer codebooks, or is damaged.
        """
        if start == (self.n_frames if stop is None else stop):
            return
        for block in self.reader.blocks(first_frame=start, stop_frame=stop):
            found = block.codes.shape[1]
            if found < n_codebooks:
                at_s = block.first_frame / self.header.frame_rate
                raise ContainerError(
                    f"{self.path}: the block at {at_s:.1f} s has only {found} codebooks, not "
                    f"{n_codebooks}; truncate the file to {found} first"
                )
            yield block.codes[:, :n_codebooks]


@contextmanager
def opened(source: Source) -> Iterator[TokenFile]:
    """Open a .dac file; a pipe is first copied to a temporary file.

    Raises ContainerError for a damaged file, or one of the published tool or another kind.
    """
    with _seekable(source) as file:
        dac = open_dac(file, name_of(source))
        if isinstance(dac, PublishedFile):
            raise ContainerError(
                f"{dac.path}: a file of the published tool cannot be edited; decode it and encode "
                "the sound again"
            )
        yield TokenFile(dac, *dac.extent())


@contextmanager
def _seekable(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, str | os.PathLike):
        with open_binary(source) as file, _seekable(file) as seekable:
            yield seekable
    elif is_seekable(source):
        yield source
    else:
        with spooled(source) as copy:
            yield copy
