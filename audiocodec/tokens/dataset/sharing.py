"""An iterable dataset and a sampler that divide shuffled rows among processes and workers.

Rank and world size are those of torch.distributed, or of torchrun's environment before it is
initialized, or the arguments rank and world_size. Give these if another library divides an
iterable's items among processes itself (accelerate: rank=0, world_size=1).

DistributedDataParallel waits forever if a process runs out of batches before the others. With
equal=True all processes get the same number of rows, and so of batches if batch size and workers
are the same; fewer than world_size rows are left out, others in each epoch.
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

    In an epoch every row comes once, in one worker of one process. Every worker keeps up to
    `buffer` samples in memory. There is no len(): the number of batches depends on the DataLoader,
    because the last batch of every worker may be smaller. See n_rows for the number of rows.

    state_dict() is the state of the worker in which it is called, as torchdata's
    StatefulDataLoader expects.
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
        """shuffle: False keeps the stored order. buffer: in rows. equal: see the module.

        Raises ArgumentError for a rank or buffer out of range, or one of rank and world_size alone.
        """
        self.dataset, self._is_given = dataset, rank is not None
        own = _place(rank, world_size)
        self._order = Order(dataset.starts, dataset.seed, shuffle, buffer, equal, *own)
        self._at = (0, 0)  # of the last iterator: its epoch, and how many rows it has given
        self._resume = (0, 0)  # epoch, and how many of its rows the next iterator skips

    @property
    def n_rows(self) -> int:
        """Rows of an epoch for this process, over all its workers."""
        return len(self._order.share())

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the crops of the next iterator, also in workers that run already."""
        self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[TokenSample]:
        """Raises ArgumentError if torch.distributed was initialized since, with another rank."""
        _check_place(self._order, self._is_given)
        epoch = self.dataset.epoch
        self._at = self._resume if self._resume[0] == epoch else (epoch, 0)
        self._resume = (0, 0)
        return self._samples(*self._at)

    def _samples(self, epoch: int, n_before: int) -> Iterator[TokenSample]:
        """Read rows as they enter the buffer, but none of the n_before that leave it first."""
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
        """Position of the last iterator, as plain numbers."""
        return {"epoch": self._at[0], "seen": self._at[1], **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state: the next iterator begins there if it is of the state's epoch.

        The epoch stays that of set_epoch, because a StatefulDataLoader defers loading states. The
        rows before the state are not read. Raises ArgumentError for a state of other rows, or of
        another rank, worker, number of either, seed or buffer.
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
                f"the state says epoch {epoch!r}, {seen!r} rows seen; 0 to {n_rows} are possible"
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
    """The same order in map style: DataLoader(dataset, sampler=TokenSampler(dataset)).

    torch's DistributedSampler repeats some rows, or leaves some out, to give all processes the
    same number; this one does neither unless equal=True. Arguments as in IterableTokenDataset.
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
        self.dataset, self._is_given = dataset, rank is not None
        own = _place(rank, world_size)
        self._order = Order(dataset.starts, dataset.seed, shuffle, buffer, equal, *own)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order, and the dataset's crops."""
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._order.share())

    def __iter__(self) -> Iterator[int]:
        """Raises ArgumentError if torch.distributed was initialized since, with another rank."""
        _check_place(self._order, self._is_given)
        return self._order.rows(self.dataset.epoch)


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Rank and world size: as given, or of torch.distributed, or of torchrun, or 0 of 1."""
    if (rank is None) != (world_size is None):
        raise ArgumentError(f"rank {rank} and world_size {world_size}; give both or neither")
    if rank is not None and world_size is not None:
        return rank, world_size
    if _is_distributed():
        return distributed.get_rank(), distributed.get_world_size()
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return 0, 1


def _check_place(order: Order, is_given: bool) -> None:
    """Refuse a dataset made before the processes joined: each of them would get all rows."""
    if is_given or not _is_distributed():
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
