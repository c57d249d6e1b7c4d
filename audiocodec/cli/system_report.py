"""What `audiocodec info --system` prints: versions, device, kernels and threads."""

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

import audiocodec

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "numpy", "soundfile", "soxr", "safetensors", "huggingface_hub", "av")
KERNELS = {
    "compiled": "compiled (C, with OpenMP on Linux)",
    "triton": "Triton",
    "torch": "none: PyTorch does their work, more slowly",
}


def system_facts() -> dict[str, str]:
    """Facts by name, to quote in bug reports and beside measurements. Imports torch."""
    import torch

    from audiocodec.engine import kernels
    from audiocodec.engine.precision import pick_device

    device = pick_device("auto")
    facts = {
        "audiocodec": audiocodec.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
    }
    facts |= dict(_libraries())
    facts |= {
        "device": _device(device),
        "cpu kernels": KERNELS[kernels.kind(torch.device("cpu"))],
    }
    if device.type != "cpu":
        facts["device kernels"] = KERNELS[kernels.kind(device)]
    return facts | {
        "cpu instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} processors",
    }


def _libraries() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def _device(device: "torch.device") -> str:
    import torch

    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda})"
    return str(device)
