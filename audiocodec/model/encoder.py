"""From samples to latents (paper, section 3.1)."""

from torch import Tensor, nn

from audiocodec.model.config import ModelConfig
from audiocodec.model.layers import Snake, down_conv, residual_units, same_conv


class EncoderStage(nn.Module):
    """Residual units at one resolution, then a strided convolution that doubles the channels."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.units = residual_units(channels)
        self.snake = Snake(channels)
        self.down = down_conv(channels, 2 * channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, 2 C, T / stride)"""
        return self.down(self.snake(self.units(x)))


class Encoder(nn.Module):
    """Samples to latents, one latent a hop."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = [config.encoder_dim << i for i in range(len(config.encoder_strides) + 1)]
        self.conv_in = same_conv(1, widths[0], 7)
        self.stages = nn.Sequential(
            *(EncoderStage(w, s) for w, s in zip(widths, config.encoder_strides))
        )
        self.snake_out = Snake(widths[-1])
        self.conv_out = same_conv(widths[-1], config.latent_dim, 3)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 1, T * hop) -> (B, latent_dim, T)"""
        return self.conv_out(self.snake_out(self.stages(self.conv_in(audio))))
