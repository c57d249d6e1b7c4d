"""The networks, run block by block: all pushes together equal one pass over the whole signal.

A stream walks a network once, shares its weights and holds its own state, so one model serves
many streams. Each convolution keeps the inputs that it still needs, each transposed convolution
the half of its last output that is not complete yet, each residual unit the inputs that its
convolutions have not caught up with. Zeros are padded where the signal begins and ends, nowhere
else. Unpadded streams leave them out: that is how the published tool decodes its windows.

Shapes: B batch, T time steps, C channels, which lie side by side: (B, T, C); any T, 0 too.
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
    """One layer, or a row of them, with the state of one signal."""

    def step(self, x: Tensor, last: bool) -> Tensor:
        """Take the next part of the signal, give what is complete; `last` ends it, for good."""
        ...


@dataclass(frozen=True)
class Setting:
    """What the streams of one signal, or of a batch of them, have in common."""

    batch: int
    arithmetic: Arithmetic
    padded: bool = True

    def zeros(self, n: int, conv: nn.Conv1d | UpConv) -> Tensor:
        """Time steps before a convolution."""
        shape = (self.batch, n, conv.in_channels)
        return conv.weight.new_zeros(shape, dtype=self.arithmetic.signal)


class PointStream:
    """A layer that looks at one time step only."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def step(self, x: Tensor, last: bool) -> Tensor:
        return self.layer(x) if x.shape[1] else x


class SnakeStream:
    """A Snake that no convolution follows directly."""

    def __init__(self, snake: Snake) -> None:
        self.snake = SnakeRows.of(snake)

    def step(self, x: Tensor, last: bool) -> Tensor:
        return self.snake(x, torch.empty_like(x)) if x.shape[1] else x


class ConvStream:
    """A convolution, with the Snakes beside it if there are any; it keeps its left context.

    The Snake before it writes right behind the context, so that nothing is copied to join the two.
    """

    def __init__(
        self,
        conv: nn.Conv1d | UpConv,
        setting: Setting,
        edges: tuple[int, int],
        before: Snake | None = None,
        behind: Snake | None = None,
    ) -> None:
        """edges: zeros at the begin and at the end of the signal."""
        self.layer, (first, self.edge) = pack(conv, setting.arithmetic), edges
        self.pending = setting.zeros(first, conv)
        self.channels = conv.out_channels
        self.fill = SnakeRows.of(before) if before else copy_into
        self.behind = SnakeRows.of(behind) if behind else None

    def step(self, x: Tensor, last: bool, around: Tensor | None = None) -> Tensor:
        """around: what to add to the output, (B, what is complete, C')."""
        x = self._joined(x, self.edge if last else 0)
        group, groups = self.layer.group, x.shape[1] // self.layer.group
        n_out = max(0, groups - self.layer.span + 1)
        if not last:
            self.pending = x[:, n_out * group :].clone()  # a view would keep all of x alive
        if not n_out:
            return x.new_empty(len(x), 0, self.channels)
        grouped = x[:, : groups * group].unflatten(1, (groups, group)).flatten(2)
        y = self.layer.run(grouped, self.behind, around)
        return y.unflatten(2, (self.layer.ungroup, -1)).flatten(1, 2)

    def _joined(self, x: Tensor, edge: int) -> Tensor:
        """Context, what comes in, and zeros at the end of the signal, in one tensor."""
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
    """What takes the place of a Snake where there is none."""
    return out.copy_(x)


def conv_stream(
    conv: nn.Conv1d, setting: Setting, before: Snake | None = None, behind: Snake | None = None
) -> ConvStream:
    """A convolution, padded at both ends of the signal or not at all."""
    padding = int(conv.padding[0]) if setting.padded else 0
    return ConvStream(conv, setting, (padding, padding), before, behind)


class UpConvStream:
    """A transposed convolution, which crops the ends of its output.

    In the full output, the first input makes s samples more than it completes, and so does the
    last: a zero at each end of the signal stands for the inputs that are not there.
    """

    def __init__(self, conv: UpConv, setting: Setting, before: Snake | None = None) -> None:
        self.conv = ConvStream(conv, setting, (1, 1), before)
        self.to_crop = conv.crop_left if setting.padded else 0
        self.crop_right = conv.crop_right if setting.padded else 0
        self.begun = False

    def step(self, x: Tensor, last: bool) -> Tensor:
        self.begun = self.begun or x.shape[1] > 0
        ends = last and self.begun
        y = self.conv.step(x, ends)
        cropped = y[:, self.to_crop : y.shape[1] - (self.crop_right if ends else 0)]
        self.to_crop = max(0, self.to_crop - y.shape[1])
        return cropped


class ResidualStream:
    """A residual unit; the way around its convolutions waits for them."""

    def __init__(self, unit: ResidualUnit, setting: Setting) -> None:
        self.dilated = conv_stream(unit.conv1, setting, unit.snake1, unit.snake2)
        self.pointwise = conv_stream(unit.conv2, setting)
        self.waiting = setting.zeros(0, unit.conv1)
        # Unpadded, the convolutions give less than came in: the way around loses as much.
        self.to_crop = 0 if setting.padded else int(unit.conv1.padding[0])

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


class Row:
    """Streams one behind the other."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams

    def step(self, x: Tensor, last: bool) -> Tensor:
        for stream in self.streams:
            x = stream.step(x, last)
        return x


def stream_of(network: nn.Module, setting: Setting) -> Stream:
    """A fresh stream over an encoder or decoder, or a part of one."""
    if isinstance(network, UpConv):
        return UpConvStream(network, setting)
    if isinstance(network, nn.Conv1d):
        return conv_stream(network, setting)
    if isinstance(network, ResidualUnit):
        return ResidualStream(network, setting)
    if isinstance(network, Snake):
        return SnakeStream(network)
    if isinstance(network, nn.Tanh):
        return PointStream(network)
    if isinstance(network, nn.Sequential | Chain):  # the signal passes their parts in order
        return Row(list(_streams(list(network.children()), setting)))
    raise TypeError(f"no stream for {type(network).__name__}")


def _streams(parts: list[nn.Module], setting: Setting) -> Iterator[Stream]:
    """Of parts one behind the other; a Snake goes along with the convolution behind it."""
    before: list[nn.Module | None] = [None, *parts[:-1]]
    behind: list[nn.Module | None] = [*parts[1:], None]
    for previous, part, following in zip(before, parts, behind, strict=True):
        if isinstance(part, Snake) and type(following) in (nn.Conv1d, UpConv):
            continue
        if type(part) is nn.Conv1d and isinstance(previous, Snake):
            yield conv_stream(part, setting, previous)
        elif type(part) is UpConv and isinstance(previous, Snake):
            yield UpConvStream(part, setting, previous)
        else:
            yield stream_of(part, setting)
