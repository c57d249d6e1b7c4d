"""Snake and the transforms of Winograd convolutions, by compiled kernels where there are any.

The CPU kernels (_kernels.c) compute in float32; they are built when the package is installed, if
there is a C compiler. On CUDA, Triton compiles Snake and whole convolutions, if it is installed
with torch. Otherwise torch computes both, in several passes over memory and without Winograd
convolutions (engine.conv_layouts). The three round differently.

Shapes: T time steps, C channels, P points of a transform, M tiles.
"""

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from audiocodec.engine.transform import Transform
from audiocodec.engine.weight_cache import WeightCache
from audiocodec.model.layers import Snake

try:
    from audiocodec.engine import _kernels  # type: ignore[attr-defined]
except ImportError:  # there was no compiler
    _kernels = None
HAS_TRITON = find_spec("triton") is not None  # importing it is slow


def is_built() -> bool:
    """Whether the CPU kernels were built."""
    return _kernels is not None


def kind(device: torch.device) -> str:
    """Which kernels run on a device besides matrix products: "compiled", "triton" or "torch"."""
    if device.type == "cpu":
        return "compiled" if is_built() else "torch"
    return "triton" if triton_works(device) else "torch"


def forms_teams() -> bool:
    """Whether form_team works: kernels of an earlier build do not have it."""
    return hasattr(_kernels, "team")


def form_team(n_threads: int) -> None:
    """Grow the OpenMP team of the calling thread to n_threads, which then wait.

    They end together with the calling thread.
    """
    _kernels.team(n_threads)


def triton_works(device: torch.device, products: torch.dtype | None = None) -> bool:
    """Whether Triton compiles for a device: the Snake, or convolutions of type `products`.

    Convolutions need NVIDIA tensor cores (compute capability 8.0). A failure to compile is
    reported in one warning for each device and type.
    """
    if device.type != "cuda" or not HAS_TRITON:
        return False
    if products is not None and (
        products not in (torch.float32, torch.bfloat16)
        or torch.version.hip
        or torch.cuda.get_device_capability(device) < (8, 0)
    ):
        return False
    return _compiles(device, products)


@cache
def _compiles(device: torch.device, products: torch.dtype | None) -> bool:
    """Try it: Triton needs a C compiler, among others, which a machine may lack."""
    try:
        from audiocodec.engine import triton_kernels

        triton_kernels.try_out(device, products)
    except torch.cuda.OutOfMemoryError:  # says nothing about Triton
        raise
    except Exception as error:  # from Triton, its backend, a compiler or the disk
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        warnings.warn(f"continuing without Triton, which is slower: {reason}", RuntimeWarning, 2)
        return False
    return True


class SnakeRows:
    """Snake for signals whose channels are contiguous: (..., C)."""

    @classmethod
    def of(cls, layer: Snake) -> "SnakeRows":
        """The SnakeRows of a layer, cached."""
        return _ROWS.of(layer, [layer.alpha], None, lambda: cls(layer))

    def __init__(self, layer: Snake) -> None:
        self.alpha = layer.alpha.detach()[0, :, 0].contiguous()
        self.inverse = (self.alpha + 1e-9).reciprocal()

    def __call__(self, x: Tensor, out: Tensor) -> Tensor:
        """Write Snake of x to out, and return it. Both (..., C); out may be x or a slice."""
        if is_compiled(x) and is_compiled(out):
            for x_item, out_item in zip(_items(x), _items(out), strict=True):
                addresses = (t.data_ptr() for t in (x_item, self.alpha, self.inverse, out_item))
                _kernels.snake(*addresses, *x_item.shape, torch.get_num_threads())
        elif triton_works(x.device):
            from audiocodec.engine.triton_kernels import snake

            snake(x, self.alpha, self.inverse, out)
        else:
            square = torch.sin(self.alpha.to(x.dtype) * x).square_()
            torch.addcmul(x, self.inverse.to(x.dtype), square, out=out)
        return out

    @property
    def addresses(self) -> tuple[int, int]:
        """Memory addresses of alpha and inverse, for the C kernels."""
        return self.alpha.data_ptr(), self.inverse.data_ptr()


_ROWS: WeightCache[SnakeRows] = WeightCache()


def tiles_in(x: Tensor, shape: Transform, dilation: int, first: int, out: Tensor) -> None:
    """Rows (T, C), followed by zeros -> factors (P, M, C) of the tiles from `first` on.

    Needs the built kernels; all tensors are float32, contiguous, and on the CPU.
    """
    zeros = x.new_zeros(x.shape[1])
    _kernels.tiles_in(
        x.data_ptr(), shape.weights_in.data_ptr(), out.data_ptr(), shape.pairs, shape.outputs,
        dilation, *x.shape, first, out.shape[1], zeros.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip


def tiles_out(
    v: Tensor,
    shape: Transform,
    dilation: int,
    first: int,
    bias: Tensor,
    snake: SnakeRows | None,
    out: Tensor,
) -> None:
    """Products (P, M, C) -> the rows of out (T, C) that belong to the tiles from `first` on.

    Adds the bias and applies Snake, if given. Needs the same as tiles_in.
    """
    n, channels = v.shape[1:]
    _kernels.tiles_out(
        v.data_ptr(), shape.weights_out.data_ptr(), bias.data_ptr(),
        *(snake.addresses if snake else (0, 0)), out.data_ptr(), shape.pairs, shape.outputs,
        dilation, channels, first, n, torch.get_num_threads(),
    )  # fmt: skip


def is_compiled(x: Tensor) -> bool:
    """Whether the C kernels take x: built, float32, on the CPU, each item contiguous."""
    return (
        _kernels is not None
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.stride(-1) == 1
        and (x.dim() < 2 or x.stride(-2) == x.shape[-1])
    )


def _items(x: Tensor) -> tuple[Tensor, ...]:
    """The items of a batch (B, T, C), or the one item (T, C)."""
    return x.unbind(0) if x.dim() > 2 else (x,)
