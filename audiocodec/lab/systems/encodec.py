"""EnCodec (arXiv 2210.13438) in transformers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from audiocodec.engine import pick_device
from audiocodec.lab.systems.base import Setting, package
from audiocodec.lab.systems.neural import (
    NeuralCodec,
    PackedCodes,
    fingerprint,
    from_transformers,
    named,
)
from audiocodec.lab.systems.workloads import TimedSpec

WEIGHTS = "facebook/encodec_24khz"
BITS_OF_A_SCALE = 32  # the model at 48 kHz stores a level for each chunk
SHAPE_48KHZ: dict[str, Any] = {  # config.json of facebook/encodec_48khz
    "sampling_rate": 48000,
    "audio_channels": 2,
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "norm_type": "time_group_norm",
    "use_causal_conv": False,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
}
TIMED_KBPS = 6.0  # 4 codebooks of 10 bits, for both channels


class Encodec(NeuralCodec):
    """EnCodec at each of its bandwidths.

    It has no file format, so its bytes are those of the packed codes, without the paper's entropy
    coder. A stereo model (48 kHz) receives the clip on both channels, and its output is averaged
    over them; its bits are those of a stereo signal. Benchmarks run the model at 48 kHz, in chunks
    of one second.
    """

    timed_title = "EnCodec 48 kHz, stereo"

    def __init__(self, model: Any, name: str, device: str = "cpu") -> None:
        self.device = pick_device(device)
        self._model: Any = model.eval().to(self.device)
        config = model.config
        self.name, self.channels = name, config.audio_channels
        version = package("transformers").__version__
        self.identity = f"EncodecModel of transformers {version}, {fingerprint(model)}"
        self.sample_rate, self.codebook_size = config.sampling_rate, config.codebook_size
        self._bandwidths = {
            self._setting(bandwidth): bandwidth for bandwidth in sorted(config.target_bandwidths)
        }
        self.settings = tuple(self._bandwidths)

    @classmethod
    def pretrained(cls, weights: str = WEIGHTS) -> "Encodec":
        """See NeuralCodec."""
        return cls(from_transformers("EncodecModel", weights), named("EnCodec", weights, WEIGHTS))

    @classmethod
    def for_timing(cls, spec: TimedSpec) -> "Encodec":
        """See TimedSystem."""
        transformers = package("transformers")
        torch.manual_seed(0)
        model = transformers.EncodecModel(transformers.EncodecConfig(**SHAPE_48KHZ))
        return cls(model, "EnCodec", spec.device)

    def _setting(self, bandwidth: float) -> Setting:
        n = self._model.quantizer.get_num_quantizers_for_bandwidth(bandwidth)
        config = self._model.config
        tokens = n * config.sampling_rate / config.hop_length
        return Setting(f"{bandwidth:g} kbps", tokens * config.codebook_nbits / 1000, n, tokens)

    @property
    def timed_setting(self) -> Setting:
        """See NeuralCodec."""
        return next(s for s, kbps in self._bandwidths.items() if kbps == TIMED_KBPS)

    def encode(self, audio: Tensor, setting: Setting) -> Any:
        """See NeuralCodec."""
        return self._model.encode(audio, bandwidth=self._bandwidths[setting])

    def codes_in(self, state: Any) -> Sequence[Tensor]:
        """See NeuralCodec."""
        return [state.audio_codes]

    def packed(self, state: Any) -> PackedCodes:
        """See NeuralCodec; joins the codes of overlapping chunks one after the other."""
        codes = torch.cat(list(state.audio_codes[:, 0]), dim=-1)  # (n_codebooks, frames)
        codes = codes[:, : codes.shape[-1] - state.last_frame_pad_length]
        n_scales = sum(scale is not None for scale in state.audio_scales)
        n_bits = codes.numel() * self._model.config.codebook_nbits + n_scales * BITS_OF_A_SCALE
        return PackedCodes(n_bits, codes.numpy())

    def decode(self, state: Any) -> Tensor:
        """See NeuralCodec."""
        decoded = self._model.decode(
            state.audio_codes,
            state.audio_scales,
            last_frame_pad_length=state.last_frame_pad_length,
        )
        wav: Tensor = decoded.audio_values
        return wav
