"""Work that a GPU repeats on inputs of one shape, recorded once and launched as a whole.

A window's worth of layers is some hundred kernels, and in bfloat16 a large GPU computes them in
about the time that Python takes to launch them.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Work = Callable[[Tensor], Tensor]  # as many kernels for every input of a shape, whatever is in it


class Recording(NamedTuple):
    """A CUDA graph with the tensors that it reads and writes; it keeps all memory between them."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    y: Tensor

    def replay(self, x: Tensor) -> Tensor:
        """The work, done on x."""
        self.x.copy_(x)
        self.graph.replay()
        return self.y.clone()  # the next replay writes there


class CUDAGraphed:
    """Does the work as it is, until a second input of the same shape follows the first.

    That one is recorded, and replayed as long as the shape stays. By then everything that is made
    at first use is there: layouts of weights, compiled kernels, the choice of algorithms.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.shape: torch.Size | None = None
        self.recording: Recording | None = None
        self.may_record = True

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape != self.shape:
            self.shape, self.recording = x.shape, None
            return self.work(x)
        if not self.recording and self.may_record and can_record(x):
            try:
                self.recording = recorded(self.work, x)
            except RuntimeError as error:  # out of memory, too: it is only faster
                self.may_record = False
                warnings.warn(f"works on without a CUDA graph: {error}", RuntimeWarning, 2)
        return self.recording.replay(x) if self.recording else self.work(x)


def can_record(x: Tensor) -> bool:
    """Only CUDA records."""
    return x.is_cuda


def recorded(work: Work, x: Tensor) -> Recording:
    """Record the work on inputs like x. Raises RuntimeError where something cannot be recorded."""
    graph, held = torch.cuda.CUDAGraph(), x.clone()
    side = torch.cuda.Stream(x.device)
    with (
        torch.cuda.stream(torch.cuda.current_stream(x.device)),  # back to it, whatever happens
        # other threads may allocate memory meanwhile
        torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
    ):
        y = work(held)
    return Recording(graph, held, y)
