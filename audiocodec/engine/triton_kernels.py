"""Triton kernels for CUDA: Snake, and convolutions fused with the Snake and addition after them.

Signals are (B, T, C), channels contiguous, as everywhere in the engine. Matrix products run on
tensor cores: in bfloat16, or as three TF32 products with the accuracy of one in float32. For these
each float32 number is split into a sum of two TF32 numbers, and only the product of the two small
parts is left out ("Recovering single precision accuracy from Tensor Cores", Ootomo and Yokota,
2022).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
TILES = {  # rows, channels out, channels in, warps, stages: fastest of those tried on an H200
    torch.float32: (128, 64, 32, 8, 3),
    torch.bfloat16: (128, 128, 64, 4, 3),
}
NARROW = (128, 64, 32, 4, 4)  # in bfloat16, where the channels are few
LEAST = 16  # rows and columns of a matrix that tensor cores take


def snake(x: Tensor, alpha: Tensor, inverse: Tensor, out: Tensor) -> None:
    """Write Snake of x to out.

    x, out: (B, T, C), each item contiguous. alpha, inverse (1 / alpha): float32 (C,).
    """
    n = x.shape[1] * x.shape[2]
    grid = (triton.cdiv(n, BLOCK), x.shape[0])
    with torch.cuda.device_of(x):
        _snake[grid](
            x, alpha, inverse, out, n, x.stride(0), out.stride(0), x.shape[2], BLOCK,
            enable_fp_fusion=True,
        )  # fmt: skip


def convolve(
    x: Tensor,
    weights: tuple[Tensor, ...],
    bias: Tensor,
    dilation: int,
    snake: tuple[Tensor, Tensor] | None,
    around: Tensor | None,
    out: Tensor,
) -> None:
    """Write to out: the convolution of x, then the Snake, then `around` added; both are optional.

    x: (B, T, C), channels contiguous. out: (B, T - dilation (taps - 1), C').
    weights: one tensor (C', taps, C) in bfloat16, or the two that `tf32_parts` makes of float32.
    bias: float32 (C',). snake: alpha and inverse, float32 (C',). around: shaped like out.
    """
    n_out, (c_out, taps, c_in) = out.shape[1], weights[0].shape
    rows, columns, inner, warps, stages = _tiles(x.dtype, c_in, c_out)
    grid = (triton.cdiv(n_out, rows) * triton.cdiv(c_out, columns), x.shape[0])
    alpha, inverse = snake or (bias, bias)
    beside = out if around is None else around
    with torch.cuda.device_of(x):
        _convolve[grid](
            x, weights[0], weights[-1], bias, alpha, inverse, beside, out,
            n_out, c_in, c_out, dilation, x.stride(0), x.stride(1), beside.stride(0), out.stride(0),
            taps, len(weights) == 2, snake is not None, around is not None,
            rows, columns, inner, num_warps=warps, num_stages=stages, enable_fp_fusion=True,
        )  # fmt: skip


def try_out(device: torch.device, products: torch.dtype | None) -> None:
    """Run Snake, or a convolution of type `products`, once.

    Raises whatever Triton or a compiler raises.
    """
    x = torch.ones(1, 16, 128, device=device, dtype=products or torch.float32)
    row, out = x[0, 0].float(), x[:, 6:].clone()
    if products is None:
        snake(x, row, row, torch.empty_like(x))
        return
    weight = torch.ones(128, 7, 128, device=device, dtype=torch.float32)
    weights = tf32_parts(weight) if products == torch.float32 else (weight.to(products),)
    convolve(x, weights, row, 1, (row, row), None, out)


def tf32_parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Two float32 tensors, exact in TF32, whose sum is x up to a relative error of 2^-22."""
    most = _rounded_to_tf32(x)
    return most, _rounded_to_tf32(x - most)


def _rounded_to_tf32(x: Tensor) -> Tensor:
    """Round the mantissa from 23 bits to 10."""
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def _tiles(dtype: torch.dtype, c_in: int, c_out: int) -> tuple[int, int, int, int, int]:
    few = dtype == torch.bfloat16 and min(c_in, c_out) <= 96
    rows, columns, inner, warps, stages = NARROW if few else TILES[dtype]
    columns = min(columns, max(LEAST, triton.next_power_of_2(c_out)))
    inner = min(inner, max(LEAST, triton.next_power_of_2(c_in)))
    return rows, columns, inner, warps, stages


@triton.jit
def _snaked(x, alpha, inverse):  # type: ignore[no-untyped-def]
    """Snake with the polynomial of _kernels.c, which uses that sin^2 has the period pi."""
    z = alpha * x
    k = tl.floor(z * 0.318309886 + 0.5)
    r = z - k * 3.140625
    r = r - k * 9.67025756835937e-4
    r = r - k * 6.2771141529083251e-7
    q = r * r
    p = 2.6083159809786593e-06 * q - 0.00019810690719168633
    p = p * q + 0.008333078585565090
    p = p * q - 0.16666659712791443
    sine = r + r * q * p
    return x + inverse * (sine * sine)


@triton.jit
def _snake(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    x, alpha, inverse, out, n, stride_x, stride_out, channels: tl.constexpr, block: tl.constexpr
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    item = tl.program_id(1).to(tl.int64)  # int64, because a batch may hold more than 2^31 numbers
    inside, channel = at < n, at % channels
    value = tl.load(x + item * stride_x + at, mask=inside).to(tl.float32)
    y = _snaked(value, tl.load(alpha + channel), tl.load(inverse + channel))
    tl.store(out + item * stride_out + at, y.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["n_out", "dilation"])
def _convolve(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    x, weight, weight_rest, bias, alpha, inverse, around, out,
    n_out, c_in, c_out, dilation, stride_x, step_x, stride_around, stride_out,
    taps: tl.constexpr, in_parts: tl.constexpr, with_snake: tl.constexpr, with_around: tl.constexpr,
    rows: tl.constexpr, columns: tl.constexpr, inner: tl.constexpr,
):  # fmt: skip
    n_blocks = tl.cdiv(c_out, columns)
    t = tl.program_id(0) // n_blocks * rows + tl.arange(0, rows)
    c = tl.program_id(0) % n_blocks * columns + tl.arange(0, columns)
    k = tl.arange(0, inner)
    item = tl.program_id(1).to(tl.int64)
    in_t, in_c = (t < n_out)[:, None], (c < c_out)[None, :]
    x += item * stride_x + t[:, None].to(tl.int64) * step_x + k[None, :]
    at_weight = c[None, :] * (taps * c_in) + k[:, None]
    acc = tl.zeros((rows, columns), dtype=tl.float32)
    n_steps = tl.cdiv(c_in, inner)
    for i in range(taps * n_steps):
        tap, first = i // n_steps, i % n_steps * inner
        in_k = k < c_in - first
        a = tl.load(x + tap * dilation * step_x + first, mask=in_t & in_k[None, :], other=0.0)
        here = at_weight + tap * c_in + first
        b = tl.load(weight + here, mask=in_c & in_k[:, None], other=0.0)
        if in_parts:
            rest = tl.load(weight_rest + here, mask=in_c & in_k[:, None], other=0.0)
            bits = (a.to(tl.int32, bitcast=True) + 0x1000) & -0x2000
            most = bits.to(tl.float32, bitcast=True)
            part = tl.dot(a - most, b, input_precision="tf32")
            part = tl.dot(most, rest, part, input_precision="tf32")
            # tensor cores truncate when they add, so only few sums are left to them
            acc += tl.dot(most, b, part, input_precision="tf32")
        else:
            acc = tl.dot(a, b, acc)
    y = acc + tl.load(bias + c, mask=c < c_out, other=0.0)[None, :]
    if with_snake:
        a = tl.load(alpha + c, mask=c < c_out, other=0.0)[None, :]
        y = _snaked(y, a, tl.load(inverse + c, mask=c < c_out, other=0.0)[None, :])
    at = t[:, None].to(tl.int64) * c_out + c[None, :]
    if with_around:
        y += tl.load(around + item * stride_around + at, mask=in_t & in_c, other=0.0).to(tl.float32)
    tl.store(out + item * stride_out + at, y.to(out.dtype.element_ty), mask=in_t & in_c)
