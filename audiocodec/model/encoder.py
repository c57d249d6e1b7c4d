"""From samples to latents (paper, section 3.1)."""

from torch import nn

from audiocodec.model.config import ModelConfig
from audiocodec.model.layers import Chain, Snake, down_conv, residual_units, same_conv


class EncoderStage(Chain):
    """Residual units at one resolution, then a strided convolution that doubles the channels.

    (B, C, T) -> (B, 2 C, T / stride)
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.units = residual_units(channels)
        self.snake = Snake(channels)
        self.down = down_conv(channels, 2 * channels, stride)


class Encoder(Chain):
    """Samples to latents, one latent a hop: (B, 1, T * hop) -> (B, latent_dim, T)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = [config.encoder_dim << i for i in range(len(config.encoder_strides) + 1)]
        self.conv_in = same_conv(1, widths[0], 7)
        self.stages = nn.Sequential(
            *(EncoderStage(w, s) for w, s in zip(widths, config.encoder_strides))
        )
        self.snake_out = Snake(widths[-1])
        self.conv_out = same_conv(widths[-1], config.latent_dim, 3)
