"""Networks of the DAC family that process a signal as a whole, timed with our model's weights."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from audiocodec.engine import pick_device
from audiocodec.lab.systems.shapes import bytes_per_second
from audiocodec.lab.systems.workloads import (
    TENSORS,
    TimedSpec,
    Work,
    Workload,
    codec_of,
    n_frames,
    noise,
    random_codes,
    refuse,
    refuse_too_large,
)
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC


class WholePass(ABC):
    """A network that processes a signal as a whole; a subclass makes and runs it."""

    timed_title: str
    operations: ClassVar[tuple[str, ...]] = TENSORS

    def __init__(self, spec: TimedSpec) -> None:
        """Raises ModelError if the model cannot be loaded, Unavailable if a package is missing."""
        self.spec, self.device = spec, pick_device(spec.device)
        model = codec_of(spec).model.cpu()
        self.config: ModelConfig = model.config
        self.network: Any = self.made(model).to(self.device)

    @classmethod
    def for_timing(cls, spec: TimedSpec) -> "WholePass":
        """See TimedSystem."""
        return cls(spec)

    @abstractmethod
    def made(self, model: DAC) -> Any:
        """Make the network with the weights of our model."""

    @abstractmethod
    def encode(self, audio: Tensor) -> Tensor:
        """Samples (B, 1, a multiple of the hop) -> codes (B, N, frames) of N codebooks."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N, frames) of N codebooks -> samples (B, 1, T)."""

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem."""
        each = bytes_per_second(self.config, workload.operation)
        refuse_too_large(workload.audio_s * workload.batch * each, self.device)
        if workload.operation == "encode":
            wav = noise(n_frames(self.config, workload) * self.config.hop, workload.batch)
            return lambda: self.encode(wav.to(self.device)).cpu()
        if workload.operation == "decode":
            codes = random_codes(self.config, workload)
            return lambda: self.decode(codes.to(self.device)).cpu()
        raise refuse(workload, self.timed_title)

    def codes(self, audio: Tensor) -> Tensor | None:
        """See TimedSystem."""
        whole = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % self.config.hop))
        return self.encode(whole.to(self.device)).cpu()
