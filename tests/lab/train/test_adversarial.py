"""The adversarial and feature matching losses, on activations made by hand.

Their published values are checked in test_discriminators.py.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from audiocodec.errors import ArgumentError
from audiocodec.lab.train.adversarial import discriminator_loss, feature_loss, generator_loss


def activations(score: float, layer: float = 0.0, n_discriminators: int = 1) -> list[list[Tensor]]:
    """Discriminators of two layers, all of one value, and a score."""
    layers = [torch.full((2, 3, 4), layer), torch.full((2, 5), layer), torch.full((2, 1, 6), score)]
    return [list(layers) for _ in range(n_discriminators)]


def seeded(seed: int) -> list[list[Tensor]]:
    """Two discriminators with random activations that take gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [[(2, 3, 4), (2, 5), (2, 1, 6)], [(2, 7), (2, 1, 3)]]
    return [[torch.randn(s, generator=generator).requires_grad_() for s in d] for d in shapes]


@given(fake=st.floats(-2, 2), real=st.floats(-2, 2), n=st.integers(1, 4))
def test_scores_are_judged_by_least_squares(fake, real, n):
    """Discriminators want 0 and 1, the codec wants 1; the sum is over discriminators."""
    found = discriminator_loss(activations(fake, n_discriminators=n), activations(real, 9, n))
    assert float(found) == pytest.approx(n * (fake**2 + (1 - real) ** 2), rel=1e-5, abs=1e-6)
    won = generator_loss(activations(fake, 9, n))
    assert float(won) == pytest.approx(n * (1 - fake) ** 2, rel=1e-5, abs=1e-6)


@given(fake=st.floats(-2, 2), real=st.floats(-2, 2), n=st.integers(1, 4))
def test_features_are_summed_over_layers_but_scores_do_not_count(fake, real, n):
    """Two layers a discriminator, each its mean distance, whatever its size."""
    found = feature_loss(activations(5, fake, n), activations(-5, real, n))
    assert float(found) == pytest.approx(2 * n * abs(fake - real), rel=1e-5, abs=1e-6)


@given(seed=st.integers(0, 1000))
def test_a_perfect_fake_has_no_feature_loss(seed):
    """Exactly 0 for the same activations, and only for them."""
    assert feature_loss(seeded(seed), seeded(seed)) == 0
    assert feature_loss(seeded(seed), seeded(seed + 1)) > 0


def test_feature_gradients_reach_the_decoded_audio_only():
    """The recording's activations are a target; scores get nothing."""
    fake, real = seeded(1), seeded(2)
    feature_loss(fake, real).backward()
    assert all(layer.grad is None for layers in real for layer in layers)
    for layers in fake:
        assert all(layer.grad.any() for layer in layers[:-1])
        assert layers[-1].grad is None


def test_half_precision_activations_are_summed_in_single():
    """A hundred layers that differ a little are not rounded away."""
    fake = [[torch.full((9,), 1.0, dtype=torch.bfloat16)] * 101]
    real = [[torch.full((9,), 1.0078125, dtype=torch.bfloat16)] * 101]
    assert float(feature_loss(fake, real)) == pytest.approx(0.78125, rel=1e-5)
    assert discriminator_loss(fake, real).dtype == torch.float32
    assert generator_loss(fake).dtype == torch.float32


def test_activations_of_other_shapes_are_refused():
    """Broadcasting would compare audio of different lengths."""
    longer = activations(0)
    longer[0][0] = torch.zeros(2, 3, 5)
    for other in (longer, activations(0, n_discriminators=2), [activations(0)[0][1:]]):
        with pytest.raises(ArgumentError, match="shape"):
            feature_loss(activations(0), other)
