"""Rows of token shards as samples by number: random crops, one channel or all, some codebooks.

A crop depends on (seed, epoch, row) only, not on workers, ranks or order.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from audiocodec.errors import ArgumentError, CodesError, quoted

STREAM = 0x63726F7073  # makes these random numbers independent of others with the same seed
SHORT = ("pad", "drop")
CHANNELS = ("random", "first", "all")

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class TokenRows(Protocol):
    """The methods of audiocodec.tokens.shards.Shards that a dataset needs."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each row."""

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first row of each shard, then the number of rows: (n_shards + 1,)."""

    def about(self, i: int) -> tuple[str, Mapping[str, Any]]:
        """Id and carried columns of row i."""

    def codes(self, i: int, start: int = 0, stop: int | None = None) -> NDArray[np.uint16]:
        """Frames start to stop of row i, (channels, n_codebooks, stop - start)."""


@dataclass(frozen=True)
class TokenSample:
    """A row, or a crop of it.

    codes: uint16 (channels, n_codebooks, frames); one channel, or all with channel="all".
    row: its number in the shards. start: the frame of the row at which codes begin. channel: the
    row's channel that is the first of codes. columns: the row's carried columns.
    """

    id: str
    codes: NDArray[np.uint16]
    row: int
    start: int
    channel: int
    columns: Mapping[str, Any]


class TokenDataset(Dataset[TokenSample]):
    """Rows by number, for a DataLoader with collate_fn=collate.

    A row gives one crop per epoch, however long it is: tokenise long recordings in excerpts (start
    and duration in the manifest) to draw from them in proportion to their length.
    Parquet is read by row groups: in random order, each sample costs a whole one. So use
    IterableTokenDataset, which reads from front to back, or another format.
    """

    def __init__(
        self,
        shards: TokenRows | Paths,
        frames: int | None = None,
        *,
        short: str = "pad",
        n_codebooks: int | None = None,
        channel: str = "random",
        seed: int = 0,
    ) -> None:
        """shards: opened, or an argument of open_shards. frames: of a crop; None for whole rows.

        short: "pad" returns rows shorter than a crop as they are, which collate pads and masks;
        "drop" leaves them out. Rows of no frames are always left out.
        n_codebooks: how many of the first; None for all. channel: "random" draws one per row and
        epoch; "first" takes the first; "all" takes the same crop of all channels.
        Raises ArgumentError for an argument out of range, or when no row is left; and what
        open_shards raises.
        """
        _check(frames, short, n_codebooks, channel, seed)
        self.shards = _opened(shards)
        self.frames, self.n_codebooks, self.channel, self.seed = frames, n_codebooks, channel, seed
        self._lengths = np.asarray(self.shards.lengths, np.int64)
        shortest = frames if frames is not None and short == "drop" else 1
        self._kept = np.flatnonzero(self._lengths >= shortest)
        if not len(self._kept):
            raise ArgumentError(
                f"none of {len(self._lengths)} rows has {shortest} frames or more; "
                "tokenise longer recordings or ask for shorter crops"
            )
        # shared memory, so that running workers see a new epoch
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first sample of each shard, then the number of samples: (n_shards + 1,)."""
        return np.searchsorted(self._kept, np.asarray(self.shards.starts)).astype(np.int64)

    @property
    def epoch(self) -> int:
        """The epoch for which crops are drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw other crops; call it before making the DataLoader's next iterator.

        Raises ArgumentError for an epoch below 0.
        """
        if not isinstance(epoch, int) or not 0 <= epoch < 2**63:
            raise ArgumentError(f"epoch {epoch!r}; 0 or more")
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> TokenSample:
        """The row's crop in this epoch. Raises IndexError, CodesError for too few codebooks."""
        return self.sample(index, self.epoch)

    def sample(self, index: int, epoch: int) -> TokenSample:
        """A row's crop in a given epoch, whatever set_epoch set."""
        row = int(self._kept[range(len(self))[index]])
        rng = np.random.default_rng((STREAM, self.seed, epoch, row))
        start, stop = self._crop(int(self._lengths[row]), rng)
        id, columns = self.shards.about(row)
        codes = self.shards.codes(row, start, stop)
        if self.n_codebooks is not None and codes.shape[1] < self.n_codebooks:
            raise CodesError(
                f"row {quoted(id)} has {codes.shape[1]} codebooks, not the {self.n_codebooks} "
                "asked for; ask for fewer"
            )
        first, n_channels = self._channels(len(codes), rng)
        codes = codes[first : first + n_channels, : self.n_codebooks]
        return TokenSample(id, codes, row, start, first, columns)

    def _crop(self, length: int, rng: np.random.Generator) -> tuple[int, int]:
        """First frame and the one after the last; all positions are equally likely."""
        if self.frames is None or length <= self.frames:
            return 0, length
        start = int(rng.integers(length - self.frames + 1))
        return start, start + self.frames

    def _channels(self, n_channels: int, rng: np.random.Generator) -> tuple[int, int]:
        """The first channel to take, and how many."""
        if self.channel == "all":
            return 0, n_channels
        return (int(rng.integers(n_channels)) if self.channel == "random" else 0), 1


def _check(
    frames: int | None, short: str, n_codebooks: int | None, channel: str, seed: int
) -> None:
    for name, value in (("frames", frames), ("n_codebooks", n_codebooks)):
        if value is not None and value < 1:
            raise ArgumentError(f"{name} {value}; 1 or more, or None for all")
    if short not in SHORT:
        raise ArgumentError(f"short {short!r}; one of {', '.join(SHORT)}")
    if channel not in CHANNELS:
        raise ArgumentError(f"channel {channel!r}; one of {', '.join(CHANNELS)}")
    if seed < 0:
        raise ArgumentError(f"seed {seed}; 0 or more")


def _opened(shards: TokenRows | Paths) -> TokenRows:
    if isinstance(shards, str | os.PathLike | Sequence):
        from audiocodec.tokens.shards import open_shards

        return open_shards(shards)
    return shards
