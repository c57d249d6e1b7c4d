"""Convolutions with their weights rearranged for speed; signals are (B, T, C), channels contiguous.

A convolution of kernel 2s and stride s equals one of two taps over groups of s time steps, and a
transposed one likewise gives groups of s; so all that run here have stride 1 and 1, 2, 3 or 7 taps.

Shapes: B batch, T time steps, C channels, r taps, d dilation.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.engine.kernels import SnakeRows, is_built, tiles_in, tiles_out, triton_works
from audiocodec.engine.precision import Arithmetic
from audiocodec.engine.transform import Transform
from audiocodec.engine.weight_cache import WeightCache
from audiocodec.model.layers import UpConv

# Winograd: pairs of points by number of taps. Where bfloat16 is allowed, more rounding is, too.
PAIRS, PAIRS_FAST = {2: 1, 3: 2, 7: 4}, {3: 2, 7: 5}
WIDE = 96  # channels from which matrix products and Winograd are faster
MANY = 1 << 20  # weights per tap from which reading them dominates the cost of a two-tap layer
SCRATCH = 1 << 20  # numbers in one round of tiles: they should stay in a cache


class Packed(Protocol):
    """A convolution with its weights rearranged."""

    def __call__(
        self, x: Tensor, snake: SnakeRows | None = None, around: Tensor | None = None
    ) -> Tensor:
        """Convolve (B, T, C) -> (B, T - d (r - 1), C'), then apply Snake, then add `around`.

        around: shaped like the output. Either may be left out.
        """
        ...


class Products:
    """A convolution of one or two taps, as one matrix product."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        """weight: (C', C, r)"""
        self.taps, self.dtype = weight.shape[2], dtype
        self.weight = weight.transpose(1, 2).flatten(1).to(dtype)  # (C', r C)
        self.bias = bias.to(dtype)

    def __call__(
        self, x: Tensor, snake: SnakeRows | None = None, around: Tensor | None = None
    ) -> Tensor:
        """See Packed."""
        typed = x.to(self.dtype)
        if self.taps == 2:
            typed = torch.cat([typed[:, :-1], typed[:, 1:]], dim=2)
        y = F.linear(typed, self.weight, self.bias).to(x.dtype)
        return _finished(y, snake, around)


class Direct:
    """Any convolution, computed by torch."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int, dtype: torch.dtype) -> None:
        """weight: (C', C, r)"""
        self.weight, self.bias = weight[:, :, None].to(dtype), bias.to(dtype)
        self.dilation, self.dtype = dilation, dtype

    def __call__(
        self, x: Tensor, snake: SnakeRows | None = None, around: Tensor | None = None
    ) -> Tensor:
        """See Packed."""
        # (B, T, C) is the memory format of a channels-last image that is one row high.
        picture = x.to(self.dtype).transpose(1, 2)[:, :, None]
        y = F.conv2d(picture, self.weight, self.bias, dilation=(1, self.dilation))
        y = y[:, :, 0].transpose(1, 2).contiguous().to(x.dtype)
        return _finished(y, snake, around)


class Winograd:
    """Winograd convolution of several taps, in float32 on a CPU, with the compiled kernels."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int, pairs: int) -> None:
        """weight: (C', C, r)"""
        out_channels, in_channels, taps = weight.shape
        self.transform, self.bias, self.dilation = Transform(taps, pairs), bias, dilation
        self.factors = weight.new_empty(self.transform.points, in_channels, out_channels)
        for first in range(0, out_channels, 64):  # in parts: float64 takes memory
            part = weight[first : first + 64].double()
            made = torch.einsum("pr,ocr->pco", self.transform.of_weights, part)
            self.factors[:, :, first : first + 64] = made
        width = self.transform.points * (in_channels + out_channels)
        # Odd, because rows a multiple of 4096 bytes apart would compete for the same cache lines.
        self.n_tiles = max(64, SCRATCH // width) | 1

    def __call__(
        self, x: Tensor, snake: SnakeRows | None = None, around: Tensor | None = None
    ) -> Tensor:
        """See Packed."""
        shape, d = self.transform, self.dilation
        n = x.shape[1] - d * (shape.taps - 1)
        groups = -(-n // (d * shape.outputs))
        y = x.new_empty(x.shape[0], groups * d * shape.outputs, len(self.bias))
        most = min(self.n_tiles, groups * d)
        into = x.new_empty(shape.points * most * x.shape[2])  # reused, because fresh memory is slow
        back = x.new_empty(shape.points * most * y.shape[2])
        for x_item, y_item in zip(x.contiguous(), y, strict=True):
            for first in range(0, groups * d, most):
                tiles = (shape.points, min(most, groups * d - first), -1)
                v = into[: shape.points * tiles[1] * x.shape[2]].view(tiles)
                products = back[: shape.points * tiles[1] * y.shape[2]].view(tiles)
                tiles_in(x_item, shape, d, first, v)
                torch.bmm(v, self.factors, out=products)
                tiles_out(products, shape, d, first, self.bias, snake, y_item)
        return _finished(y[:, :n], None, around)


class Fused:
    """Any convolution on a GPU with tensor cores, in one kernel with Snake and the addition."""

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int, dtype: torch.dtype) -> None:
        """weight: (C', C, r). With one input channel, the taps are treated as channels."""
        from audiocodec.engine.triton_kernels import tf32_parts

        self.window = weight.shape[2] if weight.shape[1] == dilation == 1 else 1
        rows = weight if self.window > 1 else weight.transpose(1, 2)
        rows = rows.to(dtype).contiguous()
        self.weights = tf32_parts(rows) if dtype == torch.float32 else (rows,)
        self.bias, self.dilation, self.dtype = bias.float(), dilation, dtype

    def __call__(
        self, x: Tensor, snake: SnakeRows | None = None, around: Tensor | None = None
    ) -> Tensor:
        """See Packed."""
        from audiocodec.engine.triton_kernels import convolve

        x = x.to(self.dtype)
        if self.window > 1:
            x = x[..., 0].contiguous().unfold(1, self.window, 1)
        x = x if x.stride(2) == 1 else x.contiguous()
        out_channels, taps, _ = self.weights[0].shape
        n = x.shape[1] - self.dilation * (taps - 1)
        y = x.new_empty(len(x), n, out_channels)
        alphas = (snake.alpha, snake.inverse) if snake else None
        convolve(x, self.weights, self.bias, self.dilation, alphas, around, y)
        return y


def _finished(y: Tensor, snake: SnakeRows | None, around: Tensor | None) -> Tensor:
    """Apply Snake to y and add `around`, in place."""
    y = snake(y, y) if snake else y
    return y if around is None else y.add_(around)


@dataclass(frozen=True)
class ConvLayout:
    """A packed convolution, and how time steps are grouped for it."""

    run: Packed
    span: int  # input groups that one output depends on
    group: int = 1  # input time steps per group
    ungroup: int = 1  # output time steps per group


def pack(conv: nn.Conv1d | UpConv, arithmetic: Arithmetic) -> ConvLayout:
    """Rearrange the weights of a convolution; cached while the module and its weights stay."""
    weights = [conv.weight] if conv.bias is None else [conv.weight, conv.bias]
    return _LAYOUTS.of(conv, weights, arithmetic, lambda: _packed(conv, arithmetic))


_LAYOUTS: WeightCache[ConvLayout] = WeightCache()


def _packed(conv: nn.Conv1d | UpConv, arithmetic: Arithmetic) -> ConvLayout:
    weight, stride = conv.weight.detach(), conv.stride[0]
    bias = weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    if isinstance(conv, UpConv):
        now, before = weight.split(stride, dim=2)  # (C, C', s): for its own group, for the next
        taps = torch.stack([before, now], dim=-1).permute(2, 1, 0, 3).flatten(0, 1)
        return ConvLayout(_laid_out(taps, bias.repeat(stride), 1, arithmetic), 2, ungroup=stride)
    dilation, kernel = conv.dilation[0], conv.kernel_size[0]
    if kernel == 2 * stride:
        taps = weight.unflatten(2, (2, stride)).permute(0, 3, 1, 2).flatten(1, 2)
        return ConvLayout(_laid_out(taps, bias, 1, arithmetic), 2, group=stride)
    span = dilation * (kernel - 1) + 1
    return ConvLayout(_laid_out(weight, bias, dilation, arithmetic), span)


def _laid_out(weight: Tensor, bias: Tensor, dilation: int, arithmetic: Arithmetic) -> Packed:
    """weight: (C', C, r)"""
    taps, dtype = weight.shape[2], arithmetic.products
    if triton_works(weight.device, dtype):
        return Fused(weight, bias, dilation, dtype)
    if min(weight.shape[:2]) < WIDE:
        return Direct(weight, bias, dilation, dtype)
    pairs = (PAIRS if dtype == weight.dtype else PAIRS_FAST).get(taps)
    if (
        arithmetic.transforms
        and is_built()
        and pairs
        and (taps > 2 or weight[..., 0].numel() < MANY)
    ):
        return Winograd(weight, bias, dilation, pairs)
    return Products(weight, bias, dtype) if taps <= 2 else Direct(weight, bias, dilation, dtype)
