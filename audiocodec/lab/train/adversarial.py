"""What discriminators and codec play for: least squares and feature matching (paper, section 3.4).

All take the activations that Discriminators gives: for each discriminator a list of its layers,
the last one its score. The published code has least squares (arXiv 1611.04076) where the paper
says hinge. Computed in single precision, also of half-precision activations.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.errors import ArgumentError

Activations = list[list[Tensor]]


def discriminator_loss(fake: Activations, real: Activations) -> Tensor:
    """Mean squared scores of decoded audio, and distance of those of recordings to 1, summed.

    Give the activations of detached audio, or the codec is trained against its own interest.
    """
    terms = [scores[-1].float().square().mean() for scores in fake]
    terms += [(1 - scores[-1].float()).square().mean() for scores in real]
    return torch.stack(terms).sum()


def generator_loss(fake: Activations) -> Tensor:
    """Mean squared distance to 1 of the scores of decoded audio, summed over discriminators."""
    return torch.stack([(1 - scores[-1].float()).square().mean() for scores in fake]).sum()


def feature_loss(fake: Activations, real: Activations) -> Tensor:
    """Mean L1 between activations of decoded audio and those of its recording, summed over layers.

    Scores do not count. Gradients flow to `fake` only: the recording's activations are the target.
    Raises ArgumentError where the two do not have the same layers and shapes.
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
