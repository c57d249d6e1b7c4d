"""The order of rows in an epoch, and their division among ranks and workers; reads no files.

An epoch is a sequence of rows: shards in an order that is drawn anew for each epoch, the rows of
each as stored. Each rank takes a contiguous part of the sequence, and each worker of a rank a
contiguous part of the rank's: parts do not overlap, leave nothing out, and each needs few shards.
Each worker shuffles its part in a buffer: a random row leaves the buffer, and the next row of the
sequence takes its place. So shards are read from front to back, and rows mix over about the length
of the buffer.

Source of shuffling in a buffer: tf.data and WebDataset do the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import ArgumentError

STREAM = 0x6F72646572  # makes these random numbers independent of those of the crops
BUFFER = 1024  # rows

Step = tuple[int | None, int | None]  # the row that enters the buffer, the row that leaves it


@dataclass(frozen=True)
class Order:
    """The order of the rows of shards for one rank.

    starts: int64 (n_shards + 1,), the first row of each shard, then the number of rows.
    buffer: in rows; 1 keeps the order of the sequence. equal: all ranks take the same number of
    rows; fewer than world_size rows at the end are left out, others in each epoch.
    Raises ArgumentError for a rank that is not below world_size, a buffer or a seed out of range.
    """

    starts: NDArray[np.int64]
    seed: int = 0
    shuffle: bool = True
    buffer: int = BUFFER
    equal: bool = False
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ArgumentError(
                f"rank {self.rank} of {self.world_size}; ranks are 0 to world_size - 1"
            )
        if self.buffer < 1:
            raise ArgumentError(f"buffer of {self.buffer} rows; 1 or more")
        if self.seed < 0:
            raise ArgumentError(f"seed {self.seed}; 0 or more")

    def share(self, worker: int = 0, n_workers: int = 1) -> range:
        """Positions in the sequence of one of the rank's workers; by default of the whole rank."""
        n_rows = int(self.starts[-1])
        if self.equal:
            n_rows -= n_rows % self.world_size
        return _stretch(_stretch(range(n_rows), self.rank, self.world_size), worker, n_workers)

    def steps(self, epoch: int, worker: int = 0, n_workers: int = 1) -> Iterator[Step]:
        """The rows that enter and leave the buffer in an epoch, step by step."""
        share = self.share(worker, n_workers)
        if not self.shuffle:
            return shuffled(self._line(share, np.arange(self._n_shards)), 1, _rng())
        shards = _rng(self.seed, epoch).permutation(self._n_shards)
        rng = _rng(self.seed, epoch, 1 + share.start)  # each worker has its own
        return shuffled(self._line(share, shards), self.buffer, rng)

    def rows(self, epoch: int) -> Iterator[int]:
        """The rank's rows in the order in which they leave the buffer."""
        return (leaving for _, leaving in self.steps(epoch) if leaving is not None)

    @property
    def _n_shards(self) -> int:
        return len(self.starts) - 1

    def _line(self, share: range, shards: NDArray[np.int64]) -> Iterator[int]:
        """The rows at the positions `share`, if shards come in the order `shards`."""
        end = 0
        for shard in shards:
            first, last = int(self.starts[shard]), int(self.starts[shard + 1])
            start, end = end, end + last - first
            yield from range(first, last)[max(share.start - start, 0) : max(share.stop - start, 0)]


def shuffled(rows: Iterable[int], size: int, rng: np.random.Generator) -> Iterator[Step]:
    """Shuffle rows in a buffer of `size` rows, which fills, exchanges rows, then empties.

    Every row enters once and later leaves once.
    """
    waiting: list[int] = []
    for row in rows:
        if len(waiting) < size:
            waiting.append(row)
            yield row, None
        else:
            place = int(rng.integers(size)) if size > 1 else 0
            leaving, waiting[place] = waiting[place], row
            yield row, leaving
    for place in rng.permutation(len(waiting)):
        yield None, waiting[place]


def _stretch(line: range, index: int, n_parts: int) -> range:
    """Part `index` of n_parts contiguous parts of nearly equal length."""
    n_rows = len(line)
    return line[n_rows * index // n_parts : n_rows * (index + 1) // n_parts]


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng((STREAM, *key))
