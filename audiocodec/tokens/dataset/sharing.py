"""Rows in a shuffled order, each for one worker of one process only: an iterable and a sampler.

The processes are those of torch.distributed, or of torchrun's environment before it is initialized,
or are told by rank and world_size: so they must be where another library deals out an iterable's
items by itself (accelerate: rank=0, world_size=1).

DistributedDataParallel waits for ever when a process runs out of batches before the others. With
equal=True all processes get as many rows, and so as many batches, if batch size and workers are
alike; fewer than world_size rows are left out, other ones in every epoch.
"""

import os
from collections.abc import Iterator
from typing import Any

from torch import distributed
from torch.utils.data import IterableDataset, Sampler, get_worker_info

from audiocodec.errors import ArgumentError
from audiocodec.tokens.dataset.mapped import TokenDataset, TokenSample
from audiocodec.tokens.dataset.order import BUFFER, Order


class IterableTokenDataset(IterableDataset[TokenSample]):
    """The samples of a TokenDataset in shuffled order, read from front to back of each shard.

    In an epoch every row comes once: in one worker of one process. Every worker keeps up to
    `buffer` samples in memory. It has no len(): how many batches there are depends on the
    DataLoader, because the last batch of every worker may be smaller; n_rows is known.

    Its state is that of the one worker which asks, as torchdata's StatefulDataLoader does.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        *,
        shuffle: bool = True,
        buffer: int = BUFFER,
        equal: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        """shuffle: False keeps the stored order. buffer: rows. equal: see the module.

        Raises ArgumentError for a rank or buffer out of range, or one of rank and world_size alone.
        """
        self.dataset, self._told = dataset, rank is not None
        own = _place(rank, world_size)
        self._order = Order(dataset.starts, dataset.seed, shuffle, buffer, equal, *own)
        self._at = (0, 0)  # the last iterator: its epoch, and how many rows of it are given
        self._resume = (0, 0)  # epoch, and how many rows of it the next iterator leaves out

    @property
    def n_rows(self) -> int:
        """How many rows of an epoch this process gets, over all its workers."""
        return len(self._order.share())

    def set_epoch(self, epoch: int) -> None:
        """Choose order and crops: the next iterator's. Reaches workers that run already."""
        self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[TokenSample]:
        """Raises ArgumentError where torch.distributed has begun since and tells another rank."""
        _check_place(self._order, self._told)
        epoch = self.dataset.epoch
        self._at = self._resume if self._resume[0] == epoch else (epoch, 0)
        self._resume = (0, 0)
        return self._samples(*self._at)

    def _samples(self, epoch: int, n_before: int) -> Iterator[TokenSample]:
        """Read rows as they enter the buffer; of those that left it before, none."""
        waiting: dict[int, TokenSample] = {}
        n_left = 0
        for entering, leaving in self._order.steps(epoch, *_worker()):
            if entering is not None and n_left >= n_before:
                waiting[entering] = self.dataset.sample(entering, epoch)
            if leaving is None:
                continue
            n_left += 1
            if n_left > n_before:
                self._at = (epoch, n_left)
                read = leaving in waiting
                yield waiting.pop(leaving) if read else self.dataset.sample(leaving, epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the last iterator is; plain numbers."""
        return {"epoch": self._at[0], "seen": self._at[1], **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state: the next iterator begins there, if it is of the state's epoch.

        The epoch stays what set_epoch said, because a StatefulDataLoader loads states later than
        it is told to. The rows before are not read. Raises ArgumentError for a state of other rows,
        or of another rank, worker, number of either, seed or buffer.
        """
        own = self._identity()
        if other := [name for name, value in own.items() if state.get(name) != value]:
            raise ArgumentError(
                f"the state is of another {', '.join(other)}: {[state.get(n) for n in other]}, "
                f"here {[own[n] for n in other]}; resume with the same, or begin the epoch anew"
            )
        epoch, seen = state.get("epoch"), state.get("seen")
        n_rows = len(self._order.share(*_worker()))
        if not isinstance(epoch, int) or not isinstance(seen, int) or not 0 <= seen <= n_rows:
            raise ArgumentError(
                f"the state says epoch {epoch!r}, {seen!r} rows seen; from 0 to {n_rows} can be"
            )
        self._at = self._resume = (epoch, seen)

    def _identity(self) -> dict[str, int]:
        order = self._order
        worker, n_workers = _worker()
        return {
            "n_rows": int(order.starts[-1]),
            "n_shards": len(order.starts) - 1,
            "seed": order.seed,
            "buffer": order.buffer if order.shuffle else 0,
            "equal": int(order.equal),
            "rank": order.rank,
            "world_size": order.world_size,
            "worker": worker,
            "n_workers": n_workers,
        }


class TokenSampler(Sampler[int]):
    """The same order for a map-style loader: DataLoader(dataset, sampler=TokenSampler(dataset)).

    torch's DistributedSampler gives some rows to two processes to make them even, or leaves some
    out; this one does neither unless equal=True. Arguments as in IterableTokenDataset.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        *,
        shuffle: bool = True,
        buffer: int = BUFFER,
        equal: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        """Raises what IterableTokenDataset does."""
        self.dataset, self._told = dataset, rank is not None
        own = _place(rank, world_size)
        self._order = Order(dataset.starts, dataset.seed, shuffle, buffer, equal, *own)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order, and the dataset's crops."""
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._order.share())

    def __iter__(self) -> Iterator[int]:
        """Raises ArgumentError where torch.distributed has begun since and tells another rank."""
        _check_place(self._order, self._told)
        return self._order.rows(self.dataset.epoch)


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Rank and world size: as told, or of torch.distributed, or of torchrun, or of one process."""
    if (rank is None) != (world_size is None):
        raise ArgumentError(f"rank {rank} and world_size {world_size}; give both or neither")
    if rank is not None and world_size is not None:
        return rank, world_size
    if _is_distributed():
        return distributed.get_rank(), distributed.get_world_size()
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return 0, 1


def _check_place(order: Order, told: bool) -> None:
    """A dataset made before the processes joined would give all rows to each of them."""
    if told or not _is_distributed():
        return
    now = distributed.get_rank(), distributed.get_world_size()
    if now != (order.rank, order.world_size):
        raise ArgumentError(
            f"made for rank {order.rank} of {order.world_size}, but torch.distributed says rank "
            f"{now[0]} of {now[1]}; make it after init_process_group, or give rank and world_size"
        )


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _worker() -> tuple[int, int]:
    """This DataLoader worker, and how many there are; (0, 1) outside of workers."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
