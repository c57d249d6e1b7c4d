"""The building blocks of encoder and decoder (paper, section 3.1).

Shapes: B batch, C channels, T time steps.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.model.config import DILATIONS


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, one alpha a channel (paper, equation 1; arXiv 2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        # 1e-9, as in the published weights' code, keeps a zero alpha finite.
        square = torch.sin(self.alpha * x).square()
        return torch.addcmul(x, (self.alpha + 1e-9).reciprocal(), square)


class Chain(nn.Module):
    """Runs its layers in the order in which they are assigned as attributes.

    The engine and the ONNX export rely on the same order; forward() makes sure that it is right.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> the output of the last layer, (B, C', T')."""
        for layer in self.children():
            x = layer(x)
        return x


def same_conv(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the length: (B, C, T) -> (B, C', T)."""
    padding = dilation * (kernel - 1) // 2
    return nn.Conv1d(in_channels, out_channels, kernel, padding=padding, dilation=dilation)


def down_conv(in_channels: int, out_channels: int, stride: int) -> nn.Conv1d:
    """A convolution of kernel 2s: (B, C, T) -> (B, C', T / stride), T a multiple of the stride."""
    return nn.Conv1d(in_channels, out_channels, 2 * stride, stride=stride, padding=-(-stride // 2))


class UpConv(nn.ConvTranspose1d):
    """A transposed convolution of kernel 2s that multiplies the length by the stride s.

    The full output is s samples too long; half of them are cropped on each side. For an odd stride,
    "aligned" crops the greater half on the right, which keeps every sample in place; "published"
    crops the greater half on both sides, which loses the first sample.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, alignment: str = "aligned"
    ) -> None:
        super().__init__(in_channels, out_channels, 2 * stride, stride=stride)
        self.crop_right = -(-stride // 2)
        self.crop_left = stride // 2 if alignment == "aligned" else self.crop_right

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, T) -> (B, C', T * stride), or one sample less for an odd "published" stride."""
        y = F.conv_transpose1d(x, self.weight, self.bias, self.stride)
        return y[..., self.crop_left : y.shape[-1] - self.crop_right]


class ResidualUnit(nn.Module):
    """Snake, dilated convolution, Snake, pointwise convolution, and a skip connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1 = Snake(channels)
        self.conv1 = same_conv(channels, channels, 7, dilation)
        self.snake2 = Snake(channels)
        self.conv2 = same_conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        return x + self.conv2(self.snake2(self.conv1(self.snake1(x))))


def residual_units(channels: int) -> nn.Sequential:
    """The three residual units of a stage."""
    return nn.Sequential(*(ResidualUnit(channels, dilation) for dilation in DILATIONS))
