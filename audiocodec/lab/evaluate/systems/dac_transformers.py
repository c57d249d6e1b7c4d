"""The DAC family as transformers has it (DacModel)."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from audiocodec.errors import ArgumentError
from audiocodec.lab.evaluate.systems.base import Setting, codebooks_setting
from audiocodec.lab.evaluate.systems.neural import (
    Encoded,
    NeuralCodec,
    fingerprint,
    from_transformers,
    named,
    package,
    spread,
)

WEIGHTS = "descript/dac_44khz"


class DacTransformers(NeuralCodec):
    """DacModel with some of its codebooks.

    No file format: the bytes are those of the packed codes. The level is not adjusted before
    encoding, as DacModel does not either. The models at 16 and 24 kHz come out 8 samples early:
    see SI-SDR aligned. The same weights in this library, with both: a CodecSystem.
    """

    def __init__(self, weights: str = WEIGHTS, codebooks: tuple[int, ...] = ()) -> None:
        """weights: hub repository or folder. codebooks: counts, a few from one to all by default.

        Raises Unavailable, ArgumentError for a count that the model does not have.
        """
        self._model: Any = from_transformers("DacModel", weights)
        config = self._model.config
        self._bits: int = self._model.bits_per_codebook
        self.name = named("DacModel", weights, WEIGHTS)
        version = package("transformers").__version__
        self.identity = f"DacModel of transformers {version}, {fingerprint(self._model)}"
        self.sample_rate, self.codebook_size = config.sampling_rate, config.codebook_size
        counts = codebooks or spread(config.n_codebooks)
        self.settings = tuple(self._setting(n) for n in sorted(set(counts)))

    def _setting(self, n: int) -> Setting:
        config = self._model.config
        if not 1 <= n <= config.n_codebooks:
            raise ArgumentError(f"{n} codebooks; {self.name} has 1 to {config.n_codebooks}")
        return codebooks_setting(n, self._bits, config.sampling_rate / config.hop_length)

    def encode(self, audio: Tensor, setting: Setting) -> Encoded:
        """Codes of audio (1, 1, n_samples); the last frame is filled with zeros."""
        wav = F.pad(audio, (0, -audio.shape[-1] % self._model.config.hop_length))
        codes = self._model.encode(wav, n_quantizers=setting.codebooks).audio_codes
        return Encoded(codes, codes.numel() * self._bits, codes[0].numpy())

    def decode(self, state: Any) -> Tensor:
        """Audio of the codes."""
        wav: Tensor = self._model.decode(audio_codes=state).audio_values
        return wav[0]
