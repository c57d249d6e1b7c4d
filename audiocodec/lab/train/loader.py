"""Batches prepared ahead by worker processes, in the order of steps, starting at any step."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.lab.train.excerpts import Excerpts

PREFETCH = 4  # batches per worker that wait to be used


class _Steps(Dataset[Tensor | CodecError]):
    """Batches by step. Errors are returned: raised in a worker they would lose their message."""

    def __init__(self, excerpts: Excerpts, seed: int, items: range) -> None:
        self.excerpts, self.seed, self.items = excerpts, seed, items

    def __getitem__(self, step: int) -> Tensor | CodecError:
        try:
            return self.excerpts.items(self.seed, step, self.items)
        except CodecError as error:
            return error


class Loader:
    """The batches of a training run; a context manager that stops the workers at its end."""

    def __init__(
        self, excerpts: Excerpts, seed: int, items: range, n_steps: int, n_workers: int = 0
    ) -> None:
        """items: indices of the batch that this process trains on. n_steps: of the whole run.

        n_workers: processes that prepare batches ahead; with 0, batches are made on request.
        Raises ArgumentError for a negative n_workers.
        """
        if n_workers < 0:
            raise ArgumentError(f"--workers {n_workers}; must be 0 or more")
        self._steps = _Steps(excerpts, seed, items)
        self.n_steps, self.n_workers = n_steps, n_workers
        self._next = 0
        self._made: Iterator[Tensor | CodecError] | None = None

    def batch(self, step: int) -> Tensor:
        """Audio float32 (len(items), 1, n_samples) of a step, in pinned memory where there is CUDA.

        Fast in the order of steps; any other step restarts the workers from there.
        Raises ArgumentError for a step outside the run, and what Excerpts.items raises.
        """
        if not 0 <= step < self.n_steps:
            raise ArgumentError(f"step {step} is outside a run of {self.n_steps} steps")
        if step != self._next:
            self.close()
        if self._made is None:
            self._made = iter(self._from(step))
        batch, self._next = next(self._made), step + 1
        if isinstance(batch, CodecError):
            raise batch
        return batch

    def _from(self, step: int) -> DataLoader[Tensor | CodecError]:
        return DataLoader(
            self._steps,
            batch_size=None,
            sampler=range(step, self.n_steps),
            num_workers=self.n_workers,
            collate_fn=_unchanged,
            prefetch_factor=PREFETCH if self.n_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def close(self) -> None:
        """Stop the workers; the next batch starts new ones."""
        self._made = None  # its destructor stops and joins them

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unchanged(batch: Any) -> Any:
    return batch
