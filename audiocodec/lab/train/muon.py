"""Muon: momentum whose matrices are made orthogonal (K. Jordan et al., 2024).

Every direction of a layer moves alike, however weak its gradient. In short trainings that brings
a given loss in fewer steps than AdamW; it costs a few matrix products a step.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

QUINTIC = (3.4445, -4.7750, 2.0315)  # Newton-Schulz with steep slope at zero
ROUNDS = 5
ADAM_RMS = 0.2  # of an AdamW update at lr 1, so that one lr suits both (arXiv 2502.16982)


class Muon(Optimizer):
    """For weights of two and more dimensions, taken as matrices: the first against the rest."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient; Nesterov momentum."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                average = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                direction = orthogonal(torch.lerp(weight.grad, average, group["momentum"]))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(direction * group["lr"])


def orthogonal(weight: Tensor) -> Tensor:
    """The nearest matrix with equal singular values, roughly, at the RMS of an AdamW update."""
    matrix = weight.flatten(1)
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    scale = ADAM_RMS * max(matrix.shape) ** 0.5
    return (x.T if tall else x).reshape(weight.shape) * scale
