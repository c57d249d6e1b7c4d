"""One process or several: who this one is, and what they agree on.

Started by torchrun, every process trains on its share of each batch. Without torchrun all of this
does nothing.
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

PATIENCE = timedelta(hours=12)  # the first process decodes all recordings while the others wait


def rank() -> int:
    """Of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def share_of(n_items: int) -> range:
    """The items of a batch that are this process's; n_items is a multiple of world_size()."""
    each = n_items // world_size()
    return range(rank() * each, (rank() + 1) * each)


def mean(values: Tensor) -> Tensor:
    """Average of a small tensor over the processes."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total / world_size()


def shared(module: Module) -> Module:
    """The module, its gradients averaged over the processes."""
    if world_size() == 1:
        return module
    device = next(module.parameters()).device
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)


def barrier() -> None:
    """Wait for the others."""
    if world_size() > 1:
        distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; gives this one's device.

    device: "auto" (CUDA where there is one), "cpu" or "cuda". Raises ArgumentError for one that
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
    """The device of this machine's process number `local`; of GPUs, each takes its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local:
        name = f"cuda:{local}"  # tried there: the first GPU is no other process's to fill
    device = pick_device(name)
    return torch.device(device.type, device.index or 0) if device.type == "cuda" else device
