"""The networks, run block by block: all pushes together equal one pass over the whole signal.

A stream walks a network once, shares its weights and holds its own state, so one model serves
many streams. Each convolution keeps the inputs that it still needs, each transposed convolution
the half of its last output that is not complete yet, each residual unit the inputs that its
convolutions have not caught up with. Zeros are padded where the signal begins and ends, nowhere
else. Unpadded streams leave them out: that is how the published tool decodes its windows.

Shapes: B batch, C channels, T time steps; any T, 0 too. May import: torch, model, errors,
engine.snake.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.engine.snake import SnakeInto
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


class SnakeStream:
    """A Snake that no convolution follows directly."""

    def __init__(self, snake: Snake) -> None:
        self.into = SnakeInto(snake)

    def step(self, x: Tensor, last: bool) -> Tensor:
        out = torch.empty_like(x)
        if x.shape[-1]:
            self.into(x, out)
        return out


class ConvStream:
    """A convolution, with the Snake before it if there is one; it keeps its left context.

    Snake writes right behind the context, so that nothing is copied to join the two.
    """

    def __init__(
        self, conv: nn.Conv1d, batch: int, padded: bool, snake: Snake | None = None
    ) -> None:
        self.conv, self.stride, self.dilation = conv, conv.stride[0], conv.dilation[0]
        self.span = self.dilation * (conv.kernel_size[0] - 1) + 1
        self.padding = int(conv.padding[0]) if padded else 0
        self.pending = conv.weight.new_zeros(batch, conv.in_channels, self.padding)  # type: ignore[arg-type]
        self.fill = SnakeInto(snake) if snake else copy_into

    def step(self, x: Tensor, last: bool) -> Tensor:
        x = self._joined(x, self.padding if last else 0)
        n_out = max(0, (x.shape[-1] - self.span) // self.stride + 1)
        self.pending = x[..., n_out * self.stride :].clone()  # a view would keep all of x alive
        if not n_out:
            return x.new_empty(x.shape[0], self.conv.out_channels, 0)
        return F.conv1d(
            x, self.conv.weight, self.conv.bias, self.stride, padding=0, dilation=self.dilation
        )

    def _joined(self, x: Tensor, edge: int) -> Tensor:
        """Context, what comes in, and zeros at the end of the signal, in one tensor."""
        n_before, n = self.pending.shape[-1], x.shape[-1]
        joined = self.pending.new_empty(x.shape[0], x.shape[1], n_before + n + edge)
        joined[..., :n_before] = self.pending
        joined[..., n_before + n :] = 0
        if n:
            self.fill(x, joined[..., n_before : n_before + n])
        return joined


def copy_into(x: Tensor, out: Tensor) -> None:
    """What takes the place of a Snake where there is none."""
    out.copy_(x)


class UpConvStream:
    """A transposed convolution of kernel 2s; it keeps the last s outputs, half complete.

    Each input makes 2s outputs, the first s of which add to the last s of the input before: one
    product of matrices, which is several times faster than transposed convolution is on a CPU.
    """

    def __init__(self, conv: UpConv, batch: int, padded: bool) -> None:
        self.bias, self.stride, self.channels = conv.bias, conv.stride[0], conv.out_channels
        self.to_crop = conv.crop_left if padded else 0
        self.crop_right = conv.crop_right if padded else 0
        self.weight = conv.weight.detach().flatten(1)  # (C, C' 2s), the same memory
        self.tail = conv.weight.new_zeros(batch, conv.out_channels, self.stride)
        self.begun = False

    def step(self, x: Tensor, last: bool) -> Tensor:
        parts = []
        if x.shape[-1]:
            self.begun = True
            parts.append(self._outputs(x))
        if last and self.begun:
            parts.append(self.tail[..., : self.stride - self.crop_right])
        if not parts:
            return x.new_empty(x.shape[0], self.channels, 0)
        y = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        y, self.to_crop = y[..., self.to_crop :], max(0, self.to_crop - y.shape[-1])
        return y.add_(self.bias[:, None]) if self.bias is not None else y

    def _outputs(self, x: Tensor) -> Tensor:
        """The outputs (B, C', T s) that are complete, the first with the last tail."""
        made = torch.matmul(x.transpose(1, 2), self.weight)  # (B, T, C' 2s)
        made = made.unflatten(2, (self.channels, 2 * self.stride)).transpose(1, 2)
        first, second = made.split(self.stride, dim=-1)  # (B, C', T, s) each
        y = torch.empty_like(first, memory_format=torch.contiguous_format)  # (B, C', T, s)
        y[:, :, 0] = first[:, :, 0] + self.tail
        torch.add(first[:, :, 1:], second[:, :, :-1], out=y[:, :, 1:])
        self.tail = second[:, :, -1].clone()
        return y.flatten(2)


class ResidualStream:
    """A residual unit; the way around its convolutions waits for them."""

    def __init__(self, unit: ResidualUnit, batch: int, padded: bool) -> None:
        self.inner = Row(
            [
                ConvStream(unit.conv1, batch, padded, unit.snake1),
                ConvStream(unit.conv2, batch, padded, unit.snake2),
            ]
        )
        self.waiting = unit.conv1.weight.new_zeros(batch, unit.conv1.in_channels, 0)
        # Unpadded, the convolutions give less than came in: the way around loses as much.
        self.to_crop = 0 if padded else int(unit.conv1.padding[0])

    def step(self, x: Tensor, last: bool) -> Tensor:
        y = self.inner.step(x, last)
        around = torch.cat([self.waiting, x], dim=-1) if self.waiting.shape[-1] else x
        around, self.to_crop = (
            around[..., self.to_crop :],
            max(0, self.to_crop - around.shape[-1]),
        )
        self.waiting = around[..., y.shape[-1] :].clone()
        return y.add_(around[..., : y.shape[-1]])


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
    if isinstance(network, Snake):
        return SnakeStream(network)
    if isinstance(network, nn.Tanh):
        return PointStream(network)
    if isinstance(network, nn.Sequential | Encoder | EncoderStage | Decoder | DecoderStage):
        # Their parts are registered in the order in which the signal passes them.
        return Row(list(_streams(list(network.children()), batch, padded)))
    raise TypeError(f"no stream for {type(network).__name__}")


def _streams(parts: list[nn.Module], batch: int, padded: bool) -> Iterator[Stream]:
    """Of parts one behind the other; a Snake goes along with the convolution behind it."""
    before: list[nn.Module | None] = [None, *parts[:-1]]
    behind: list[nn.Module | None] = [*parts[1:], None]
    for previous, part, following in zip(before, parts, behind, strict=True):
        if isinstance(part, Snake) and type(following) is nn.Conv1d:
            continue
        if type(part) is nn.Conv1d and isinstance(previous, Snake):
            yield ConvStream(part, batch, padded, previous)
        else:
            yield stream_of(part, batch, padded)
