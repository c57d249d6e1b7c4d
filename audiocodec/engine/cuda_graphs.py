"""CUDA graphs: captures work on inputs of one shape once, and then launches it as a whole.

The networks run about a hundred kernels for a batch of windows, and in bfloat16 a large GPU
computes them in about the time that Python takes to launch them.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Work = Callable[[Tensor], Tensor]  # launches the same kernels for every input of a shape


class CapturedGraph(NamedTuple):
    """A CUDA graph with the tensors that it reads and writes; it owns the memory in between."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    y: Tensor

    def replay(self, x: Tensor) -> Tensor:
        """Run the captured work on x, shaped like the input of the capture."""
        self.x.copy_(x)
        self.graph.replay()
        return self.y.clone()  # the next replay overwrites it


class CUDAGraphed:
    """Runs work directly on the first input of a shape, as a CUDA graph from the second in a row.

    The graph is replayed as long as the shape stays the same. The first run makes all that is made
    only once: layouts of weights, compiled kernels, the choice of algorithms.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.shape: torch.Size | None = None
        self.captured: CapturedGraph | None = None
        self.may_capture = True

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape != self.shape:
            self.shape, self.captured = x.shape, None
            return self.work(x)
        if not self.captured and self.may_capture and can_capture(x):
            try:
                self.captured = capture(self.work, x)
            except RuntimeError as error:  # also out of memory; a graph only saves time
                self.may_capture = False
                warnings.warn(
                    f"continuing without a CUDA graph, which is slower: {error}", RuntimeWarning, 2
                )
        return self.captured.replay(x) if self.captured else self.work(x)


def can_capture(x: Tensor) -> bool:
    """Whether the work can be captured: only CUDA has graphs."""
    return x.is_cuda


def capture(work: Work, x: Tensor) -> CapturedGraph:
    """Capture the work for inputs shaped like x. Raises RuntimeError if CUDA cannot capture it."""
    graph, held = torch.cuda.CUDAGraph(), x.clone()
    side = torch.cuda.Stream(x.device)
    with (
        torch.cuda.stream(torch.cuda.current_stream(x.device)),  # restores it, also after an error
        # so that other threads may allocate memory meanwhile
        torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
    ):
        y = work(held)
    return CapturedGraph(graph, held, y)
