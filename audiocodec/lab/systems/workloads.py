"""What a benchmark asks of a codec, the inputs that it gives, and what fits into memory.

Benchmarks download no weights, since their values do not change the time that a codec takes.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from audiocodec.audio import AudioWriter, audio_output
from audiocodec.codec import Codec
from audiocodec.errors import ArgumentError, CodecError
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.registry import DEFAULT_MODEL, KNOWN_MODELS

TENSORS, FILES = ("encode", "decode"), ("compress", "decompress")
SHARE_OF_MEMORY = 0.8  # of the free memory; a workload that needs more is refused
Work = Callable[[], object]


class TooLarge(CodecError):
    """A measurement that would not fit into memory."""


@dataclass(frozen=True)
class Workload:
    """An operation to time, and the length and batch size of its audio."""

    operation: str
    audio_s: float
    batch: int = 1


@dataclass(frozen=True)
class TimedSpec:
    """The plain values from which a worker process makes its system."""

    system: str  # a name in catalogue.TIMED or worker.ROOFLINE
    model: str  # a known name, a folder, a file or a hub repository
    folder: str  # for temporary files
    device: str = "cpu"
    precision: str = "exact"  # of this library; other codecs compute in float32
    threads: int = 0  # 0: torch's default


class TimedSystem(Protocol):
    """A codec that a worker process can time."""

    timed_title: str  # in tables
    operations: tuple[str, ...]  # of TENSORS and FILES

    @classmethod
    def for_timing(cls, spec: TimedSpec) -> "TimedSystem":
        """Make it with seeded weights or with our model's. Raises Unavailable, ModelError."""

    def prepare(self, workload: Workload) -> Work:
        """Make the input, and return the function to time. Raises TooLarge, ArgumentError."""

    def codes(self, audio: Tensor) -> Tensor | None:
        """Encode samples (batch, 1, n) to codes (batch, n_codebooks, frames) comparable to ours.

        None if this codec's codes mean something else.
        """


@runtime_checkable
class Decodes(Protocol):
    """A system whose decoding can be compared."""

    def decoded(self, codes: Tensor) -> Tensor:
        """Decode codes (batch, n_codebooks, frames) to samples (batch, 1, n)."""


def is_seeded(model: str) -> bool:
    """Whether codec_of gives this model seeded weights."""
    return model in KNOWN_MODELS and model != DEFAULT_MODEL


def codec_of(spec: TimedSpec) -> Codec:
    """Load the model; known ones that are not built in get seeded weights, which are as fast.

    Raises ModelError.
    """
    if is_seeded(spec.model):
        torch.manual_seed(0)
        model = DAC(KNOWN_MODELS[spec.model].config)
        return Codec(model, f"{spec.model}, seeded", spec.device, spec.precision)
    return Codec.from_pretrained(spec.model, device=spec.device, precision=spec.precision)


def codec_config(model: str) -> ModelConfig:
    """The configuration of the model from codec_of. Raises ModelError if it cannot be loaded."""
    known = KNOWN_MODELS.get(model)
    return known.config if known else Codec.from_pretrained(model, device="cpu").config


def noise(n_samples: int, batch: int, channels: int = 1) -> Tensor:
    """Seeded noise (batch, channels, n_samples)."""
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(batch, channels, n_samples, generator=generator)


def random_codes(config: ModelConfig, workload: Workload) -> Tensor:
    """Seeded codes int64 (batch, n_codebooks, frames)."""
    generator = torch.Generator().manual_seed(1)
    shape = (workload.batch, config.n_codebooks, n_frames(config, workload))
    return torch.randint(config.codebook_size, shape, generator=generator)


def n_frames(config: ModelConfig, workload: Workload) -> int:
    """The number of frames in a workload's audio."""
    return config.n_frames(math.ceil(workload.audio_s * config.sample_rate))


def noise_file(folder: str, sample_rate: int, audio_s: float) -> Path:
    """A WAV file of mono noise, made once, whose level rises and falls as that of speech does."""
    path = Path(folder, f"noise_{sample_rate}_{audio_s:g}.wav")
    if not path.exists():
        with audio_output(path, sample_rate, 1, overwrite=True) as file:
            _write_noise(file, sample_rate, round(audio_s * sample_rate))
    return path


def _write_noise(file: AudioWriter, sample_rate: int, n_samples: int) -> None:
    rng = np.random.default_rng(0)
    for second, start in enumerate(range(0, n_samples, sample_rate)):
        level = 0.02 + 0.1 * (second % 7 > 2)
        n = min(sample_rate, n_samples - start)
        file.write((level * rng.standard_normal((n, 1))).astype(np.float32))


def refuse_too_large(n_bytes: float, device: torch.device) -> None:
    """Raise TooLarge if a system that needs about n_bytes would run out of memory."""
    free = free_bytes(device)
    if n_bytes > SHARE_OF_MEMORY * free:
        raise TooLarge(
            f"needs about {n_bytes / 2**30:.1f} GiB at once; {free / 2**30:.1f} GiB are free"
        )


def free_bytes(device: torch.device) -> float:
    """Free memory in bytes, of the CUDA device or of the machine; infinite if unknown."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * float(line.split()[1])
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError, AttributeError):
        return math.inf


def refuse(workload: Workload, system: str) -> ArgumentError:
    """The error to raise for an operation that a system does not have."""
    return ArgumentError(f"{system} has no {workload.operation}")
