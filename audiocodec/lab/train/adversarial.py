"""Adversarial losses: least squares and feature matching (paper, section 3.4).

All take the activations that Discriminators returns: for each discriminator a list of tensors
(B, ...), one per layer, the last one its score. The published code uses least squares (arXiv
1611.04076) where the paper says hinge. Losses are scalars, computed in single precision also from
half-precision activations.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.errors import ArgumentError

Activations = list[list[Tensor]]


def discriminator_loss(fake: Activations, real: Activations) -> Tensor:
    """Least-squares loss: scores of decoded audio against 0, of recordings against 1.

    Means of squares, summed over discriminators: a scalar. Pass activations of detached audio;
    otherwise the gradient also trains the codec to lose.
    """
    terms = [scores[-1].float().square().mean() for scores in fake]
    terms += [(1 - scores[-1].float()).square().mean() for scores in real]
    return torch.stack(terms).sum()


def generator_loss(fake: Activations) -> Tensor:
    """Mean squared distance of decoded audio's scores from 1, summed over discriminators."""
    return torch.stack([(1 - scores[-1].float()).square().mean() for scores in fake]).sum()


def feature_loss(fake: Activations, real: Activations) -> Tensor:
    """Mean L1 between activations of decoded audio and of its recording, summed over layers.

    Scores are left out. Gradients flow to `fake` only: the recording's activations are targets.
    Raises ArgumentError where the two differ in layers or shapes.
    """
    if _shapes(fake) != _shapes(real):
        raise ArgumentError("activations of decoded audio and recording differ in shape")
    terms = [
        F.l1_loss(of_fake.float(), of_real.detach().float())
        for fake_layers, real_layers in zip(fake, real)
        for of_fake, of_real in zip(fake_layers[:-1], real_layers[:-1])
    ]
    return torch.stack(terms).sum()


def _shapes(activations: Activations) -> list[list[torch.Size]]:
    return [[layer.shape for layer in layers] for layers in activations]
