"""EnCodec (arXiv 2210.13438), as transformers has it."""

from typing import Any

import torch
from torch import Tensor

from audiocodec.lab.evaluate.systems.base import Setting
from audiocodec.lab.evaluate.systems.neural import (
    Encoded,
    NeuralCodec,
    fingerprint,
    from_transformers,
    named,
    package,
)

WEIGHTS = "facebook/encodec_24khz"
BITS_OF_A_SCALE = 32  # the model at 48 kHz keeps a level for each chunk


class Encodec(NeuralCodec):
    """EnCodec at each of its bandwidths.

    No file format: the bytes are those of the packed codes, without the entropy coder of the
    paper. A stereo model (48 kHz) gets the clip on both channels and the mean of what it gives
    counts; its bits are those of a stereo signal.
    """

    def __init__(self, weights: str = WEIGHTS) -> None:
        """weights: hub repository or folder. Raises Unavailable."""
        self._model: Any = from_transformers("EncodecModel", weights)
        config = self._model.config
        self.name = named("EnCodec", weights, WEIGHTS)
        version = package("transformers").__version__
        self.identity = f"EncodecModel of transformers {version}, {fingerprint(self._model)}"
        self.sample_rate, self.codebook_size = config.sampling_rate, config.codebook_size
        self._bandwidths = {
            self._setting(bandwidth): bandwidth for bandwidth in sorted(config.target_bandwidths)
        }
        self.settings = tuple(self._bandwidths)

    def _setting(self, bandwidth: float) -> Setting:
        n = self._model.quantizer.get_num_quantizers_for_bandwidth(bandwidth)
        config = self._model.config
        tokens = n * config.sampling_rate / config.hop_length
        return Setting(f"{bandwidth:g} kbps", tokens * config.codebook_nbits / 1000, n, tokens)

    def encode(self, audio: Tensor, setting: Setting) -> Encoded:
        """Codes of audio (1, 1, n_samples); of overlapping chunks one after the other."""
        config, bandwidth = self._model.config, self._bandwidths[setting]
        wav = audio.expand(-1, config.audio_channels, -1)
        chunks = self._model.encode(wav, bandwidth=bandwidth)
        codes = torch.cat(list(chunks.audio_codes[:, 0]), dim=-1)  # (n_codebooks, frames)
        codes = codes[:, : codes.shape[-1] - chunks.last_frame_pad_length]
        n_scales = sum(scale is not None for scale in chunks.audio_scales)
        n_bits = codes.numel() * config.codebook_nbits + n_scales * BITS_OF_A_SCALE
        return Encoded(chunks, n_bits, codes.numpy())

    def decode(self, state: Any) -> Tensor:
        """Mono audio of the chunks."""
        decoded = self._model.decode(
            state.audio_codes,
            state.audio_scales,
            last_frame_pad_length=state.last_frame_pad_length,
        )
        wav: Tensor = decoded.audio_values
        return wav[0].mean(dim=0)
