"""SNAC (arXiv 2410.14411), by its own package."""

from typing import Any

import torch
from torch import Tensor

from audiocodec.lab.evaluate.systems.base import Setting
from audiocodec.lab.evaluate.systems.neural import (
    Encoded,
    NeuralCodec,
    fingerprint,
    named,
    package,
    weights_of,
)

WEIGHTS = "hubertsiuzdak/snac_44khz"


class Snac(NeuralCodec):
    """SNAC with all its codebooks, the only setting that it has.

    No file format: the bytes are those of the packed codes, with those of the silence that it
    fills a clip up with. Its codebooks run at different frame rates, so its codes are not an array
    and come back as None. Its decoder adds noise: it is seeded, the same for every clip.
    """

    def __init__(self, weights: str = WEIGHTS) -> None:
        """weights: hub repository or folder. Raises Unavailable."""
        snac = package("snac")
        self._model: Any = weights_of(weights, lambda on_disk: _loaded(snac, weights, on_disk))
        model = self._model
        self.name = named("SNAC", weights, WEIGHTS)
        self.identity = f"SNAC, noise of seed 0, {fingerprint(model)}"
        self.sample_rate, self.codebook_size = model.sampling_rate, model.codebook_size
        self._bits = (model.codebook_size - 1).bit_length()
        frame_rate = model.sampling_rate / int(model.hop_length)
        tokens = sum(frame_rate / stride for stride in model.vq_strides)
        kbps = tokens * self._bits / 1000
        n = model.n_codebooks
        self.settings = (Setting(f"{n} codebooks", kbps, n, tokens),)

    def encode(self, audio: Tensor, setting: Setting) -> Encoded:
        """Codes of audio (1, 1, n_samples), (1, frames) for each codebook."""
        codes = self._model.encode(audio)
        return Encoded(codes, sum(part.numel() for part in codes) * self._bits, None)

    def decode(self, state: Any) -> Tensor:
        """Audio of the codes."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            wav: Tensor = self._model.decode(state)
        return wav[0, 0]


def _loaded(snac: Any, weights: str, on_disk: bool) -> Any:
    return snac.SNAC.from_pretrained(weights, **({"local_files_only": True} if on_disk else {}))
