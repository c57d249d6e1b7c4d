"""From latents back to samples (paper, section 3.1)."""

from torch import nn

from audiocodec.model.config import ModelConfig
from audiocodec.model.layers import Chain, Snake, UpConv, residual_units, same_conv


class DecoderStage(Chain):
    """A transposed convolution that halves the channels, then residual units.

    (B, C, T) -> (B, C / 2, T * stride)
    """

    def __init__(self, channels: int, stride: int, alignment: str) -> None:
        super().__init__()
        self.snake = Snake(channels)
        self.up = UpConv(channels, channels // 2, stride, alignment)
        self.units = residual_units(channels // 2)


class Decoder(Chain):
    """Latents to samples, a hop a latent: (B, latent_dim, T) -> (B, 1, T * hop)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = [config.decoder_dim >> i for i in range(len(config.decoder_strides) + 1)]
        self.conv_in = same_conv(config.latent_dim, widths[0], 7)
        self.stages = nn.Sequential(
            *(DecoderStage(w, s, config.alignment) for w, s in zip(widths, config.decoder_strides))
        )
        self.snake_out = Snake(widths[-1])
        self.conv_out = same_conv(widths[-1], 1, 7)
        self.tanh = nn.Tanh()
