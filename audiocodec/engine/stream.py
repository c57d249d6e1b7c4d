"""The networks, run block by block: all pushes together equal one pass over the whole signal.

A stream walks a network once, shares its weights and holds its own state, so one model serves
many streams. Each convolution keeps the inputs that it still needs, each transposed convolution
the half of its last output that is not complete yet, each residual unit the inputs that its
convolutions have not caught up with. Zeros are padded where the signal begins and ends, nowhere
else. Unpadded streams leave them out: that is how the published tool decodes its windows.

Shapes: B batch, C channels, T time steps; any T, 0 too. May import: torch, model, errors.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.model.decoder import Decoder, DecoderStage
from audiocodec.model.encoder import Encoder, EncoderStage
from audiocodec.model.layers import ResidualUnit, Snake, UpConv


class Stream(Protocol):
    """One layer, or a row of them, with the state of one signal."""

    def step(self, x: Tensor, last: bool) -> Tensor:
        """Take the next part of the signal, give what is complete; `last` ends the signal."""
        ...


class PointStream:
    """A layer that looks at one time step only."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def step(self, x: Tensor, last: bool) -> Tensor:
        return self.layer(x) if x.shape[-1] else x


class ConvStream:
    """A convolution; it keeps its left context."""

    def __init__(self, conv: nn.Conv1d, batch: int, padded: bool) -> None:
        self.conv, self.stride, self.dilation = conv, conv.stride[0], conv.dilation[0]
        self.span = self.dilation * (conv.kernel_size[0] - 1) + 1
        padding = conv.padding[0] if padded else 0
        self.edge = conv.weight.new_zeros(batch, conv.in_channels, padding)  # type: ignore[arg-type]
        self.pending = self.edge

    def step(self, x: Tensor, last: bool) -> Tensor:
        x = torch.cat([self.pending, x, self.edge] if last else [self.pending, x], dim=-1)
        n_out = max(0, (x.shape[-1] - self.span) // self.stride + 1)
        self.pending = x[..., n_out * self.stride :]
        if not n_out:
            return x.new_empty(x.shape[0], self.conv.out_channels, 0)
        return F.conv1d(
            x, self.conv.weight, self.conv.bias, self.stride, padding=0, dilation=self.dilation
        )


class UpConvStream:
    """A transposed convolution of kernel 2s; it keeps the last s outputs, half complete."""

    def __init__(self, conv: UpConv, batch: int, padded: bool) -> None:
        self.conv, self.stride = conv, conv.stride[0]
        self.to_crop = conv.crop_left if padded else 0
        self.crop_right = conv.crop_right if padded else 0
        self.tail = conv.weight.new_zeros(batch, conv.out_channels, self.stride)
        self.begun = False

    def step(self, x: Tensor, last: bool) -> Tensor:
        parts = []
        if x.shape[-1]:
            self.begun = True
            y = F.conv_transpose1d(x, self.conv.weight, None, self.stride)
            y[..., : self.stride] += self.tail
            self.tail = y[..., -self.stride :].clone()
            parts.append(y[..., : -self.stride])
        if last and self.begun:
            parts.append(self.tail[..., : self.stride - self.crop_right])
        if not parts:
            return x.new_empty(x.shape[0], self.conv.out_channels, 0)
        y = torch.cat(parts, dim=-1)[..., self.to_crop :]
        self.to_crop = max(0, self.to_crop - sum(part.shape[-1] for part in parts))
        return y + self.conv.bias[:, None] if self.conv.bias is not None else y


class ResidualStream:
    """A residual unit; the way around its convolutions waits for them."""

    def __init__(self, unit: ResidualUnit, batch: int, padded: bool) -> None:
        self.inner = Row(
            [
                PointStream(unit.snake1),
                ConvStream(unit.conv1, batch, padded),
                PointStream(unit.snake2),
                ConvStream(unit.conv2, batch, padded),
            ]
        )
        self.waiting = unit.conv1.weight.new_zeros(batch, unit.conv1.in_channels, 0)
        # Unpadded, the convolutions give less than came in: the way around loses as much.
        self.to_crop = 0 if padded else int(unit.conv1.padding[0])

    def step(self, x: Tensor, last: bool) -> Tensor:
        around = torch.cat([self.waiting, x], dim=-1)[..., self.to_crop :]
        self.to_crop = max(0, self.to_crop - self.waiting.shape[-1] - x.shape[-1])
        y = self.inner.step(x, last)
        self.waiting = around[..., y.shape[-1] :]
        return y + around[..., : y.shape[-1]]


class Row:
    """Streams one behind the other."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams

    def step(self, x: Tensor, last: bool) -> Tensor:
        for stream in self.streams:
            x = stream.step(x, last)
        return x


def stream_of(network: nn.Module, batch: int, padded: bool = True) -> Stream:
    """A fresh stream over an encoder or decoder, or a part of one."""
    if isinstance(network, UpConv):
        return UpConvStream(network, batch, padded)
    if isinstance(network, nn.Conv1d):
        return ConvStream(network, batch, padded)
    if isinstance(network, ResidualUnit):
        return ResidualStream(network, batch, padded)
    if isinstance(network, Snake | nn.Tanh):
        return PointStream(network)
    if isinstance(network, nn.Sequential | Encoder | EncoderStage | Decoder | DecoderStage):
        # Their parts are registered in the order in which the signal passes them.
        return Row([stream_of(part, batch, padded) for part in network.children()])
    raise TypeError(f"no stream for {type(network).__name__}")
