"""Runs the networks block by block: all steps together give the result of one whole pass.

A stream walks a network once, shares its weights and holds its own state, so one model serves
many streams. Each convolution, plain or transposed, keeps the inputs that later outputs need; each
residual unit keeps the inputs that its skip path adds later. Zeros are padded at the beginning and
the end of the signal only. Unpadded streams have no such zeros: this is how the published tool
decodes its windows.

Shapes: B batch, T time steps (any number, also 0), C channels; signals are (B, T, C), channels
contiguous.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from audiocodec.engine.conv_layouts import pack
from audiocodec.engine.kernels import SnakeRows
from audiocodec.engine.precision import Arithmetic
from audiocodec.model.layers import Chain, ResidualUnit, Snake, UpConv


class Stream(Protocol):
    """One layer or a chain of layers, with the state of a signal or a batch of signals."""

    def step(self, x: Tensor, last: bool) -> Tensor:
        """Take the next part of the signal, (B, T, C); return the outputs (B, T', C') now complete.

        last: whether the signal ends here; no step may follow.
        """
        ...


@dataclass(frozen=True)
class StreamSettings:
    """What all layer streams of one signal or batch of signals share."""

    batch: int
    arithmetic: Arithmetic
    padded: bool = True

    def zeros(self, n: int, conv: nn.Conv1d | UpConv) -> Tensor:
        """n time steps of zeros as input of a convolution: (batch, n, C)."""
        shape = (self.batch, n, conv.in_channels)
        return conv.weight.new_zeros(shape, dtype=self.arithmetic.signal)


class PointStream:
    """A layer that treats every time step by itself."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def step(self, x: Tensor, last: bool) -> Tensor:
        return self.layer(x) if x.shape[1] else x


class SnakeStream:
    """A Snake that is not followed by a convolution."""

    def __init__(self, snake: Snake) -> None:
        self.snake = SnakeRows.of(snake)

    def step(self, x: Tensor, last: bool) -> Tensor:
        return self.snake(x, torch.empty_like(x)) if x.shape[1] else x


class ConvStream:
    """A convolution with the Snake before and the Snake after it, if any; keeps its left context.

    The Snake before it writes directly after the context, which saves a copy to join the two.
    """

    def __init__(
        self,
        conv: nn.Conv1d | UpConv,
        settings: StreamSettings,
        edges: tuple[int, int],
        before: Snake | None = None,
        after: Snake | None = None,
    ) -> None:
        """edges: the number of zeros at the beginning and at the end of the signal."""
        self.layer, (first, self.edge) = pack(conv, settings.arithmetic), edges
        self.pending = settings.zeros(first, conv)
        self.channels = conv.out_channels
        self.fill = SnakeRows.of(before) if before else copy_into
        self.after = SnakeRows.of(after) if after else None

    def step(self, x: Tensor, last: bool, around: Tensor | None = None) -> Tensor:
        """As Stream.step. around: added to the output, (B, T', C')."""
        x = self._joined(x, self.edge if last else 0)
        group, groups = self.layer.group, x.shape[1] // self.layer.group
        n_out = max(0, groups - self.layer.span + 1)
        if not last:
            self.pending = x[:, n_out * group :].clone()  # a view would keep all of x alive
        if not n_out:
            return x.new_empty(len(x), 0, self.channels)
        grouped = x[:, : groups * group].unflatten(1, (groups, group)).flatten(2)
        y = self.layer.run(grouped, self.after, around)
        return y.unflatten(2, (self.layer.ungroup, -1)).flatten(1, 2)

    def _joined(self, x: Tensor, edge: int) -> Tensor:
        """The context, the new input x, and `edge` zeros, in one tensor."""
        n_before, n = self.pending.shape[1], x.shape[1]
        if self.fill is copy_into and not n_before and not edge:
            return x
        joined = self.pending.new_empty(len(x), n_before + n + edge, x.shape[2])
        joined[:, :n_before] = self.pending
        joined[:, n_before + n :] = 0
        if n:
            self.fill(x, joined[:, n_before : n_before + n])
        return joined


def copy_into(x: Tensor, out: Tensor) -> Tensor:
    """Copy x to out: takes the place of a Snake where there is none."""
    return out.copy_(x)


def conv_stream(
    conv: nn.Conv1d,
    settings: StreamSettings,
    before: Snake | None = None,
    after: Snake | None = None,
) -> ConvStream:
    """A convolution, padded at both ends of the signal or not at all."""
    padding = int(conv.padding[0]) if settings.padded else 0
    return ConvStream(conv, settings, (padding, padding), before, after)


class UpConvStream:
    """A transposed convolution of kernel 2s and stride s, whose output is cropped at both ends.

    Each group of s outputs depends on two neighbouring inputs. For the first and the last group,
    a zero at each end of the signal stands for the missing neighbour.
    """

    def __init__(self, conv: UpConv, settings: StreamSettings, before: Snake | None = None) -> None:
        self.conv = ConvStream(conv, settings, (1, 1), before)
        self.to_crop = conv.crop_left if settings.padded else 0
        self.crop_right = conv.crop_right if settings.padded else 0
        self.begun = False

    def step(self, x: Tensor, last: bool) -> Tensor:
        self.begun = self.begun or x.shape[1] > 0
        ends = last and self.begun
        y = self.conv.step(x, ends)
        cropped = y[:, self.to_crop : y.shape[1] - (self.crop_right if ends else 0)]
        self.to_crop = max(0, self.to_crop - y.shape[1])
        return cropped


class ResidualStream:
    """A residual unit; the input of its skip path waits until the convolutions catch up."""

    def __init__(self, unit: ResidualUnit, settings: StreamSettings) -> None:
        self.dilated = conv_stream(unit.conv1, settings, unit.snake1, unit.snake2)
        self.pointwise = conv_stream(unit.conv2, settings)
        self.waiting = settings.zeros(0, unit.conv1)
        # Unpadded convolutions shorten the signal, so the skip path is cropped to match.
        self.to_crop = 0 if settings.padded else int(unit.conv1.padding[0])

    def step(self, x: Tensor, last: bool) -> Tensor:
        y = self.dilated.step(x, last)
        x, self.to_crop = x[:, self.to_crop :], max(0, self.to_crop - x.shape[1])
        n, n_waiting = y.shape[1], self.waiting.shape[1]
        if n_waiting:
            y = self.pointwise.step(y, last)
            y[:, :n_waiting] += self.waiting[:, :n]
            y[:, n_waiting:] += x[:, : max(0, n - n_waiting)]
        else:
            y = self.pointwise.step(y, last, x[:, :n])
        if not last:
            rest = [self.waiting[:, n:], x[:, max(0, n - n_waiting) :]]
            self.waiting = torch.cat(rest, dim=1)
        return y


class ChainStream:
    """Streams in series: each takes the output of the one before."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams

    def step(self, x: Tensor, last: bool) -> Tensor:
        for stream in self.streams:
            x = stream.step(x, last)
        return x


def stream_of(network: nn.Module, settings: StreamSettings) -> Stream:
    """A new stream for an encoder, a decoder or any layer of them.

    Raises TypeError for another kind of module.
    """
    if isinstance(network, UpConv):
        return UpConvStream(network, settings)
    if isinstance(network, nn.Conv1d):
        return conv_stream(network, settings)
    if isinstance(network, ResidualUnit):
        return ResidualStream(network, settings)
    if isinstance(network, Snake):
        return SnakeStream(network)
    if isinstance(network, nn.Tanh):
        return PointStream(network)
    if isinstance(network, nn.Sequential | Chain):  # run their children in order
        return ChainStream(list(_streams(list(network.children()), settings)))
    raise TypeError(f"no stream for {type(network).__name__}")


def _streams(parts: list[nn.Module], settings: StreamSettings) -> Iterator[Stream]:
    """The streams of consecutive layers; a Snake is merged into the convolution after it."""
    before: list[nn.Module | None] = [None, *parts[:-1]]
    after: list[nn.Module | None] = [*parts[1:], None]
    for previous, part, following in zip(before, parts, after, strict=True):
        if isinstance(part, Snake) and type(following) in (nn.Conv1d, UpConv):
            continue
        if type(part) is nn.Conv1d and isinstance(previous, Snake):
            yield conv_stream(part, settings, previous)
        elif type(part) is UpConv and isinstance(previous, Snake):
            yield UpConvStream(part, settings, previous)
        else:
            yield stream_of(part, settings)
