"""Snake on CUDA, in one pass over memory, for float32 and bfloat16. May import: torch, triton."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def snake(x: Tensor, alpha: Tensor, inverse: Tensor, out: Tensor) -> None:
    """x, out: (B, T, C), the rows of each item in one piece; alpha, inverse: float32 (C,)."""
    n = x.shape[1] * x.shape[2]
    grid = (triton.cdiv(n, BLOCK), x.shape[0])
    with torch.cuda.device_of(x):
        _snake[grid](x, alpha, inverse, out, n, x.stride(0), out.stride(0), x.shape[2], block=BLOCK)


@triton.jit
def _snake(x, alpha, inverse, out, n, stride_x, stride_out, channels, block: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    at = tl.program_id(0) * block + tl.arange(0, block)
    item = tl.program_id(1).to(tl.int64)  # a batch may hold more than 2^31 numbers
    inside = at < n
    value = tl.load(x + item * stride_x + at, mask=inside).to(tl.float32)
    sine = tl.sin(tl.load(alpha + at % channels, mask=inside) * value)
    y = value + tl.load(inverse + at % channels, mask=inside) * sine * sine
    tl.store(out + item * stride_out + at, y.to(out.dtype.element_ty), mask=inside)
