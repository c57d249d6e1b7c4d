"""Snake on the way: into a buffer, in one pass over memory where the compiled kernel is there.

The kernel is built when the package is installed and a C compiler is at hand; without it, and for
anything but float32 on a CPU, torch does the same in five passes. The two round differently.
May import: torch, model.layers.
"""

import torch
from torch import Tensor

from audiocodec.model.layers import Snake

try:
    from audiocodec.engine import _snake  # type: ignore[attr-defined]
except ImportError:  # there was no compiler
    _snake = None


class SnakeInto:
    """Writes the Snake of a signal into a given tensor."""

    def __init__(self, layer: Snake) -> None:
        self.layer = layer
        self.alpha = layer.alpha.detach()[0, :, 0].contiguous()
        self.inverse = (self.alpha + 1e-9).reciprocal()

    def __call__(self, x: Tensor, out: Tensor) -> None:
        """x, out: (B, C, T), not overlapping; out may be a part of a longer tensor."""
        if can_compile(x) and can_compile(out):
            compiled(x, self.alpha, self.inverse, out)
        else:
            out.copy_(self.layer(x))


def can_compile(x: Tensor) -> bool:
    """Whether the kernel takes the tensor: float32 on a CPU, each row in one piece."""
    evenly = x.stride(0) == x.shape[1] * x.stride(1) or len(x) == 1
    return (
        _snake is not None
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.stride(-1) == 1
        and evenly
    )


def compiled(x: Tensor, alpha: Tensor, inverse: Tensor, out: Tensor) -> None:
    """The kernel. alpha, inverse: float32 (C,)."""
    batch, channels, n = x.shape
    addresses = (t.data_ptr() for t in (x, alpha, inverse, out))
    _snake.snake(*addresses, batch * channels, channels, n, x.stride(1), out.stride(1))
