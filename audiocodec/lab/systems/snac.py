"""SNAC (arXiv 2410.14411) in its own package."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from audiocodec.engine import pick_device
from audiocodec.lab.systems.base import Setting, package
from audiocodec.lab.systems.neural import NeuralCodec, PackedCodes, fingerprint, named, weights_of
from audiocodec.lab.systems.shapes import bytes_per_second
from audiocodec.lab.systems.workloads import TimedSpec
from audiocodec.model.config import ModelConfig

WEIGHTS = "hubertsiuzdak/snac_44khz"
# They give the token rates, codebooks and 54.5 M parameters of the model card at 44.1 kHz.
SHAPE_44KHZ: dict[str, Any] = {
    "sampling_rate": 44100,
    "encoder_dim": 64,
    "encoder_rates": [2, 3, 8, 8],
    "decoder_dim": 1536,
    "decoder_rates": [8, 8, 3, 2],
    "attn_window_size": 32,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [8, 4, 2, 1],
}


class Snac(NeuralCodec):
    """SNAC with all its codebooks, its only setting.

    It has no file format, so its bytes are those of the packed codes, with the silence that it
    appends to a clip. Its codebooks run at different frame rates, so that its codes form no array
    and are given as None. Its decoder adds noise, which is seeded the same for every clip. Its
    package computes weight norm in every pass.
    """

    timed_title = "SNAC 44 kHz"

    def __init__(self, model: Any, name: str, device: str = "cpu") -> None:
        self.device = pick_device(device)
        self._model: Any = model.eval().to(self.device)
        self.name = name
        self.identity = f"SNAC, noise of seed 0, {fingerprint(model)}"
        self.sample_rate, self.codebook_size = model.sampling_rate, model.codebook_size
        self._bits = (model.codebook_size - 1).bit_length()
        frame_rate = model.sampling_rate / int(model.hop_length)
        tokens = sum(frame_rate / stride for stride in model.vq_strides)
        kbps = tokens * self._bits / 1000
        n = model.n_codebooks
        self.settings = (Setting(f"{n} codebooks", kbps, n, tokens),)

    @classmethod
    def pretrained(cls, weights: str = WEIGHTS) -> "Snac":
        """See NeuralCodec."""
        snac = package("snac")
        model = weights_of(weights, lambda on_disk: _loaded(snac, weights, on_disk))
        return cls(model, named("SNAC", weights, WEIGHTS))

    @classmethod
    def for_timing(cls, spec: TimedSpec) -> "Snac":
        """See TimedSystem."""
        torch.manual_seed(0)
        return cls(package("snac").SNAC(**SHAPE_44KHZ), "SNAC", spec.device)

    def encode(self, audio: Tensor, setting: Setting) -> Any:
        """See NeuralCodec."""
        return self._model.encode(audio)

    def codes_in(self, state: Any) -> Sequence[Tensor]:
        """See NeuralCodec; (batch, frames) of each codebook."""
        codes: Sequence[Tensor] = state
        return codes

    def packed(self, state: Any) -> PackedCodes:
        """See NeuralCodec."""
        return PackedCodes(sum(part.numel() for part in state) * self._bits, None)

    def decode(self, state: Any) -> Tensor:
        """See NeuralCodec."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            wav: Tensor = self._model.decode(state)
        return wav

    def bytes_per_second(self, operation: str) -> float:
        """See NeuralCodec; the same as for the published DAC, which has the same widths."""
        return bytes_per_second(ModelConfig(), operation)


def _loaded(snac: Any, weights: str, on_disk: bool) -> Any:
    return snac.SNAC.from_pretrained(weights, **({"local_files_only": True} if on_disk else {}))
