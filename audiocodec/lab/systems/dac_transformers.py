"""The DAC family as transformers has it (DacModel)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from audiocodec.engine import pick_device
from audiocodec.errors import ArgumentError
from audiocodec.lab.systems.base import Setting, codebooks_setting, package, weights_and_counts
from audiocodec.lab.systems.neural import (
    NeuralCodec,
    PackedCodes,
    fingerprint,
    from_transformers,
    named,
    spread,
)
from audiocodec.lab.systems.published import renamed
from audiocodec.lab.systems.shapes import bytes_per_second
from audiocodec.lab.systems.workloads import (
    TimedSpec,
    Work,
    Workload,
    codec_of,
    random_codes,
    refuse_too_large,
)
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.layouts import transformers_names

WEIGHTS = "descript/dac_44khz"


class DacTransformers(NeuralCodec):
    """DacModel with some of its codebooks.

    It has no file format, so its bytes are those of the packed codes. The level is not adjusted
    before encoding, as DacModel does not do so. The output of the models at 16 and 24 kHz is 8
    samples early, which SI-SDR aligned corrects. `Ours` runs the same weights with files and level
    adjustment. Benchmarks give it the weights of our model.
    """

    timed_title = "DacModel of transformers"

    def __init__(
        self, model: Any, name: str, codebooks: tuple[int, ...] = (), device: str = "cpu"
    ) -> None:
        """codebooks: the counts to run; by default a few from one to all.

        Raises ArgumentError for a count that the model does not have.
        """
        self.device = pick_device(device)
        self._model: Any = model.eval().to(self.device)
        config = model.config
        self._bits: int = model.bits_per_codebook
        self.name = name
        version = package("transformers").__version__
        self.identity = f"DacModel of transformers {version}, {fingerprint(model)}"
        self.sample_rate, self.codebook_size = config.sampling_rate, config.codebook_size
        counts = codebooks or spread(config.n_codebooks)
        self.settings = tuple(self._setting(n) for n in sorted(set(counts)))

    @classmethod
    def pretrained(
        cls, weights: str = WEIGHTS, codebooks: tuple[int, ...] = ()
    ) -> "DacTransformers":
        """See NeuralCodec and __init__."""
        model = from_transformers("DacModel", weights)
        return cls(model, named("DacModel", weights, WEIGHTS), codebooks)

    @classmethod
    def from_argument(cls, argument: str) -> "DacTransformers":
        """See System; the argument is WEIGHTS@COUNTS of codebooks, each part optional."""
        weights, codebooks = weights_and_counts(argument)
        return cls.pretrained(weights or WEIGHTS, codebooks)

    @classmethod
    def for_timing(cls, spec: TimedSpec) -> "DacTransformers":
        """See TimedSystem."""
        package("transformers")
        return cls(like(codec_of(spec).model.cpu()), "DacModel", device=spec.device)

    def _setting(self, n: int) -> Setting:
        config = self._model.config
        if not 1 <= n <= config.n_codebooks:
            raise ArgumentError(f"{n} codebooks; {self.name} has 1 to {config.n_codebooks}")
        return codebooks_setting(n, self._bits, config.sampling_rate / config.hop_length)

    def encode(self, audio: Tensor, setting: Setting) -> Any:
        """See NeuralCodec; zeros fill up the last frame."""
        wav = F.pad(audio, (0, -audio.shape[-1] % self._model.config.hop_length))
        return self._model.encode(wav, n_quantizers=setting.codebooks).audio_codes

    def codes_in(self, state: Any) -> Sequence[Tensor]:
        """See NeuralCodec."""
        return [state]

    def packed(self, state: Any) -> PackedCodes:
        """See NeuralCodec."""
        return PackedCodes(state.numel() * self._bits, state[0].numpy())

    def decode(self, state: Any) -> Tensor:
        """See NeuralCodec."""
        wav: Tensor = self._model.decode(audio_codes=state).audio_values
        return wav if wav.dim() == 3 else wav[:, None]

    def codes(self, audio: Tensor) -> Tensor | None:
        """See TimedSystem."""
        codes: Tensor = self.encode(audio.to(self.device), self.timed_setting)
        return codes.cpu()

    def bytes_per_second(self, operation: str) -> float:
        """See NeuralCodec."""
        return bytes_per_second(self._config(), operation)

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem; decoding takes random codes, so that nothing need be encoded first."""
        if workload.operation != "decode":
            return super().prepare(workload)
        each = self.bytes_per_second(workload.operation)
        refuse_too_large(each * workload.audio_s * workload.batch, self.device)
        codes = random_codes(self._config(), workload)
        return lambda: self.decode(codes.to(self.device)).cpu()

    def _config(self) -> ModelConfig:
        config = self._model.config
        return ModelConfig(
            sample_rate=config.sampling_rate,
            encoder_dim=config.encoder_hidden_size,
            encoder_strides=tuple(config.downsampling_ratios),
            latent_dim=config.hidden_size,
            decoder_dim=config.decoder_hidden_size,
            decoder_strides=tuple(config.upsampling_ratios),
            n_codebooks=config.n_codebooks,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
        )


def like(model: DAC) -> Any:
    """A DacModel with the weights of a model of this library."""
    transformers, c = package("transformers"), model.config
    config = transformers.DacConfig(
        encoder_hidden_size=c.encoder_dim,
        downsampling_ratios=list(c.encoder_strides),
        decoder_hidden_size=c.decoder_dim,
        n_codebooks=c.n_codebooks,
        codebook_size=c.codebook_size,
        codebook_dim=c.codebook_dim,
        sampling_rate=c.sample_rate,
        hidden_size=c.latent_dim,
        upsampling_ratios=list(c.decoder_strides),
    )
    network = transformers.DacModel(config)
    names = {ours: theirs for theirs, ours in transformers_names(c).items()}
    network.load_state_dict(renamed(model.state_dict(), names), assign=True)
    return network
