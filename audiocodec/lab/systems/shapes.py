"""The convolutions of a codec, derived from its configuration, and how much they compute.

Each product of a weight and a sample counts as two floating-point operations, as in the figures
published for matrix products. Activations, biases and the codebook search are not counted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from audiocodec.model.config import DILATIONS, ModelConfig


@dataclass(frozen=True)
class ConvShape:
    """A convolution of the network."""

    c_in: int
    c_out: int
    kernel: int
    rate: Fraction  # output steps (if transposed, input steps) for each sample of audio
    stride: int = 1
    dilation: int = 1
    transposed: bool = False

    @property
    def flop_per_sample(self) -> Fraction:
        """Operations for each sample of audio."""
        return 2 * self.c_in * self.c_out * self.kernel * self.rate


def encoder_layers(config: ModelConfig) -> Iterator[ConvShape]:
    """The encoder's convolutions in the order of the signal (paper, section 3.1)."""
    width, rate = config.encoder_dim, Fraction(1)
    yield ConvShape(1, width, 7, rate)
    for stride in config.encoder_strides:
        yield from _units(width, rate)
        rate /= stride
        yield ConvShape(width, 2 * width, 2 * stride, rate, stride)
        width *= 2
    yield ConvShape(width, config.latent_dim, 3, rate)


def decoder_layers(config: ModelConfig) -> Iterator[ConvShape]:
    """The decoder's convolutions in the order of the signal (paper, section 3.1)."""
    width, rate = config.decoder_dim, Fraction(1, config.hop)
    yield ConvShape(config.latent_dim, width, 7, rate)
    for stride in config.decoder_strides:
        yield ConvShape(width, width // 2, 2 * stride, rate, stride, transposed=True)
        width, rate = width // 2, rate * stride
        yield from _units(width, rate)
    yield ConvShape(width, 1, 7, rate)


def layers(config: ModelConfig, operation: str) -> list[ConvShape]:
    """The encoder's convolutions for "encode" and "compress", else the decoder's."""
    walk = encoder_layers if operation in ("encode", "compress") else decoder_layers
    return list(walk(config))


def flop_per_second(config: ModelConfig, operation: str) -> float:
    """Floating-point operations per second of audio.

    61.4e9 to encode and 138.6e9 to decode with the published 44.1 kHz model.
    """
    each = sum(layer.flop_per_sample for layer in layers(config, operation))
    return float(each * config.sample_rate)


def bytes_per_second(config: ModelConfig, operation: str) -> float:
    """Approximate bytes that a float32 pass over a whole signal holds per second of audio.

    Assumes five copies of the largest activation: a residual unit's skip connection and Snake's
    intermediate results.
    """
    widest = max(layer.c_out * _rate_out(layer) for layer in layers(config, operation))
    return float(5 * 4 * widest * config.sample_rate)


def output_length(network: Iterable[ConvShape], n: int) -> int:
    """Output steps for n input steps without any padding; less than 0 if n is too small."""
    for layer in network:
        reach = layer.dilation * (layer.kernel - 1)
        if layer.transposed:
            n = (n - 1) * layer.stride + reach + 1
        else:
            n = (n - reach - 1) // layer.stride + 1
    return n


def input_length(network: Iterable[ConvShape], n: int) -> int:
    """The least number of input steps that give n output steps or more, without any padding."""
    for layer in reversed(list(network)):
        reach = layer.dilation * (layer.kernel - 1)
        if layer.transposed:
            n = -((reach + 1 - n) // layer.stride) + 1
        else:
            n = (n - 1) * layer.stride + reach + 1
    return n


def _units(width: int, rate: Fraction) -> Iterator[ConvShape]:
    for dilation in DILATIONS:
        yield ConvShape(width, width, 7, rate, dilation=dilation)
        yield ConvShape(width, width, 1, rate)


def _rate_out(layer: ConvShape) -> Fraction:
    return layer.rate * layer.stride if layer.transposed else layer.rate
