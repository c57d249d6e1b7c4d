"""The configuration of a codec's networks, and the sizes that follow from it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from audiocodec.errors import ModelError, quoted

DILATIONS = (1, 3, 9)  # of the residual units of every stage (paper, section 3.1)
ALIGNMENTS = ("aligned", "published")
MAX_STAGES, MAX_STRIDE, MAX_WIDTH, MAX_CODEBOOKS, MAX_CODEBOOK_SIZE = 8, 64, 8192, 64, 65536


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of a codec of the Descript Audio Codec family (arXiv 2306.06546).

    encoder_dim: channels after the encoder's first convolution; each stage doubles them.
    encoder_strides, decoder_strides: downsampling and upsampling factors of the stages.
    latent_dim: channels of the latents; 0 stands for encoder_dim * 2 ** stages.
    decoder_dim: channels after the decoder's first convolution; each stage halves them.
    n_codebooks, codebook_size, codebook_dim: of the residual vector quantizer.
    alignment: how the output of an upsampling with an odd stride is cropped. "aligned" keeps
        exactly stride samples per input, in place; "published" crops one sample more at the
        start, as the published models do: the audio is shorter and early (by 8 samples for strides
        8, 5, 4, 2).

    Raises ModelError for values that are out of bounds or do not fit together.
    """

    sample_rate: int = 44100
    encoder_dim: int = 64
    encoder_strides: tuple[int, ...] = (2, 4, 8, 8)
    latent_dim: int = 0
    decoder_dim: int = 1536
    decoder_strides: tuple[int, ...] = (8, 8, 4, 2)
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8
    alignment: str = "aligned"

    def __post_init__(self) -> None:
        for name in ("encoder_strides", "decoder_strides"):
            object.__setattr__(self, name, _strides(name, getattr(self, name)))
        _check_int("encoder_dim", self.encoder_dim, 1, MAX_WIDTH)
        if self.latent_dim == 0:
            latent_dim = self.encoder_dim << len(self.encoder_strides)
            object.__setattr__(self, "latent_dim", latent_dim)
        _check_int("sample_rate", self.sample_rate, 1000, 768_000)
        for name in ("decoder_dim", "latent_dim", "codebook_dim"):
            _check_int(name, getattr(self, name), 1, MAX_WIDTH)
        _check_int("n_codebooks", self.n_codebooks, 1, MAX_CODEBOOKS)
        _check_int("codebook_size", self.codebook_size, 2, MAX_CODEBOOK_SIZE)
        if math.prod(self.decoder_strides) != self.hop:
            raise ModelError(
                f"decoder strides {self.decoder_strides} do not multiply to the encoder's "
                f"hop of {self.hop}"
            )
        if self.decoder_dim % (1 << len(self.decoder_strides)):
            raise ModelError(f"decoder_dim {self.decoder_dim} cannot be halved at every stage")
        if self.alignment not in ALIGNMENTS:
            raise ModelError(
                f"alignment {quoted(self.alignment)} is none of {', '.join(ALIGNMENTS)}"
            )

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.encoder_strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def bits_per_code(self) -> int:
        """Bits needed to store one code."""
        return (self.codebook_size - 1).bit_length()

    @property
    def kbps(self) -> float:
        """Nominal bit rate of one channel with all codebooks."""
        return self.kbps_of(self.n_codebooks)

    def kbps_of(self, n_codebooks: int) -> float:
        """Nominal bit rate of one channel with the first `n_codebooks`."""
        return self.frame_rate * n_codebooks * self.bits_per_code / 1000

    def n_frames(self, n_samples: int) -> int:
        """Frames needed for `n_samples`, the last one filled up with zeros."""
        return -(-n_samples // self.hop)

    def decoded_length(self, n_frames: int) -> int:
        """Samples that the decoder gives for `n_frames`: `hop` each, unless "published"."""
        length = n_frames
        for stride in self.decoder_strides:
            length *= stride
            if self.alignment == "published" and length:
                length -= stride % 2
        return length

    @property
    def encoder_reach(self) -> int:
        """How many samples after the first sample of a frame its codes depend on."""
        reach = 1  # the last convolution, kernel 3
        for stride in reversed(self.encoder_strides):
            reach = reach * stride + (2 * stride - 1) - _half_up(stride)  # strided, kernel 2s
            reach += 3 * sum(DILATIONS)  # residual units, kernel 7
        return reach + 3  # the first convolution, kernel 7

    @property
    def decoder_context(self) -> int:
        """How many frames on each side the samples of a frame depend on."""
        reach = 3  # the last convolution, kernel 7
        for stride in reversed(self.decoder_strides):
            reach += 3 * sum(DILATIONS)
            reach = -(-reach // stride) + 1  # each sample comes from two neighbouring inputs
        return reach + 3

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; from_dict reads them back."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Configuration from JSON values, checked. Raises ModelError that names the field."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelError(f"unknown settings in the model's configuration: {quoted(unknown)}")
        return cls(**values)

    def code_space(self) -> bytes:
        """The configuration that gives codes their meaning, without alignment, as JSON bytes."""
        values = {k: v for k, v in self.to_dict().items() if k != "alignment"}
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def _half_up(stride: int) -> int:
    return -(-stride // 2)


def _check_int(name: str, value: object, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ModelError(
            f"{name} is {quoted(value)}; it must be a whole number {lowest} to {highest}"
        )


def _strides(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_STAGES:
        raise ModelError(f"{name} is {quoted(value)}; it must list 1 to {MAX_STAGES} strides")
    for stride in value:
        _check_int(name, stride, 1, MAX_STRIDE)
    return tuple(value)
