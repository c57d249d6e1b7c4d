"""Training in one process or several: rank, shares of a batch, averages, devices.

Under torchrun every process trains on its share of each batch. Without torchrun these functions
do nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed
from torch.nn import Module
from torch.nn.parallel import DistributedDataParallel

from audiocodec.engine import pick_device

PATIENCE = timedelta(hours=12)  # others wait while the first process fills the cache


def rank() -> int:
    """Rank of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def share_of(n_items: int) -> range:
    """This process's items of a batch; n_items must be a multiple of world_size()."""
    each = n_items // world_size()
    return range(rank() * each, (rank() + 1) * each)


def mean(values: Tensor) -> Tensor:
    """Average of a tensor of any shape over the processes."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total / world_size()


def shared(module: Module) -> Module:
    """The module with gradients averaged over the processes."""
    if world_size() == 1:
        return module
    device = next(module.parameters()).device
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)


def barrier() -> None:
    """Wait until all processes get here."""
    if world_size() > 1:
        distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if any; yields this process's device.

    device: "auto" (CUDA if available), "cpu" or "cuda". Raises ArgumentError for a device that
    cannot be used here.
    """
    own = _own_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if own.type == "cuda":
        torch.cuda.set_device(own)
        torch.backends.cudnn.benchmark = True  # all batches have one shape
    if "RANK" not in os.environ:
        yield own
        return
    backend = "nccl" if own.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield own
    finally:
        distributed.destroy_process_group()


def _own_device(name: str, local: int) -> torch.device:
    """The device of the process with this local rank; each takes a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local:
        name = f"cuda:{local}"  # pick_device tries it; trying the first GPU would use its memory
    device = pick_device(name)
    return torch.device(device.type, device.index or 0) if device.type == "cuda" else device
