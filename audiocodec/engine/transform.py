"""Matrices of Winograd convolutions: m outputs of an r-tap filter from m + r - 1 products.

A filter and a piece of signal are polynomials; their product is found from its values at
m + r - 1 points (Toom and Cook), and the transposed algorithm gives the outputs of a
correlation (Winograd, "Arithmetic Complexity of Computations", 1980, chapter 4). The points here
are 0, pairs of +a and -a, and infinity: the terms that the two points of a pair share are
computed once.

The rounding error grows with the number of points. POINTS are the best of those tried, each with
its rms error against float64 over 192 channels; direct float32 convolution has 2e-7.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

POINTS = {
    1: (1.0,),
    2: (0.5, 2.0),
    3: (0.5, 1.0, 2.0),  # 1.3e-6 for 2 outputs of 7 taps
    4: (0.5, 0.8, 1.25, 2.0),  # 2.9e-6 for 4
    5: (0.25, 0.75, 1.0, 4 / 3, 4.0),  # 7.8e-6 for 6
}


class Transform:
    """The matrices for a given number of taps and of pairs of points.

    pairs p, points 2p + 2, taps r, outputs m = 2p + 3 - r.
    """

    def __init__(self, taps: int, pairs: int) -> None:
        self.taps, self.pairs = taps, pairs
        self.points = 2 * pairs + 2
        self.outputs = self.points + 1 - taps
        self.finite = [0.0, *(s * a for a in POINTS[pairs] for s in (1, -1))]

    @cached_property
    def into(self) -> Tensor:
        """float64 (points, points): turns a piece of signal into factors."""
        return self._polynomials / self._scale

    @cached_property
    def of_weights(self) -> Tensor:
        """float64 (points, taps): turns the filter into factors."""
        points = _numbers(self.finite)
        apart = (points[:, None] - points).fill_diagonal_(1).prod(dim=1, keepdim=True)
        at_infinity = _numbers([[0.0] * (self.taps - 1) + [1.0]])
        powers = points[:, None] ** _numbers(range(self.taps))
        return torch.cat([powers / apart, at_infinity]) * self._scale

    @cached_property
    def back(self) -> Tensor:
        """float64 (outputs, points): turns the products of the factors into outputs."""
        points = _numbers(self.finite)
        powers = points ** _numbers(range(self.outputs))[:, None]
        last = _numbers([[0.0]] * (self.outputs - 1) + [[1.0]])
        return torch.cat([powers, last], dim=1)

    @cached_property
    def weights_in(self) -> Tensor:
        """The coefficients of `into` for the C kernel: its even and odd halves, float32, flat."""
        even, odd = self.into[:, 0::2], self.into[:, 1::2]
        parts = [even[0], odd[-1]]
        for j in range(1, self.points - 1, 2):
            parts += [even[j, 1:], odd[j, : self.pairs]]
        return torch.cat(parts).float().contiguous()

    @cached_property
    def weights_out(self) -> Tensor:
        """The coefficients of `back` for the C kernel: float32 (outputs, pairs)."""
        return self.back[:, 1:-1:2].float().contiguous()

    @cached_property
    def _polynomials(self) -> Tensor:
        """A row for each point: the polynomial that is zero at all others, constant term first."""
        finite = self.finite
        rows = [_polynomial(finite[:j] + finite[j + 1 :]) for j in range(len(finite))]
        return torch.nn.utils.rnn.pad_sequence([_polynomial(finite), *rows], True).roll(-1, 0)

    @cached_property
    def _scale(self) -> Tensor:
        """Scales the rows to about one size; powers of two, which cause no rounding."""
        return 2.0 ** self._polynomials.abs().sum(dim=1, keepdim=True).log2().round()


def _polynomial(roots: list[float]) -> Tensor:
    """The coefficients of the product of all (x - root), constant term first."""
    product = _numbers([1.0])
    for root in roots:
        shifted = torch.nn.functional.pad(product, (1, 0))
        product = shifted - root * torch.nn.functional.pad(product, (0, 1))
    return product


def _numbers(values: Sequence[Any]) -> Tensor:
    """As float64 on the CPU, whatever torch's defaults are."""
    return torch.tensor(values, dtype=torch.float64, device="cpu")
