"""Networks for ablations: what changes, what must not, and which of them are codecs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from audiocodec.errors import ArgumentError
from audiocodec.lab.train.variants import (
    inference_ready,
    rotated,
    use_activation,
    use_euclidean_lookup,
    use_rotation_trick,
    variants_of,
)
from audiocodec.model.layers import Snake
from tests.lab.train.micro import made, noise

N_ACTIVE = torch.tensor([2, 3])


def test_the_rotation_trick_changes_gradients_only():
    """Codes, losses and latents as straight through, the encoder's gradients not."""
    audio, results = 0.1 * noise((2, 1, 512), 1), []
    for rotation in (False, True):
        model = made()
        if rotation:
            use_rotation_trick(model)
        result = model(audio, N_ACTIVE)
        result.audio.square().mean().backward()
        results.append((result, model))
    (plain, one), (turned, two) = results
    assert torch.equal(plain.quantized.codes, turned.quantized.codes)
    torch.testing.assert_close(plain.quantized.latents, turned.quantized.latents)
    torch.testing.assert_close(plain.audio, turned.audio)
    gradients = one.encoder.conv_in.weight.grad, two.encoder.conv_in.weight.grad
    assert not torch.allclose(*gradients, rtol=0.01)
    torch.testing.assert_close(one.decoder.conv_in.weight.grad, two.decoder.conv_in.weight.grad)
    assert list(one.state_dict()) == list(two.state_dict())
    assert inference_ready(two)
    assert one.fingerprint() == two.fingerprint()


@given(d=st.integers(2, 9), scale=st.floats(0.01, 100), seed=st.integers(0, 999))
def test_a_rotated_gradient_keeps_its_angle(d, scale, seed):
    """To e what it was to q, and its length is scaled by |q| / |e|; the value is q."""
    vectors = noise((3, d, 5), seed).double().requires_grad_()
    targets = scale * noise((3, d, 5), seed + 1000).double()
    gradient = noise((3, d, 5), seed + 2000).double()
    value = rotated(vectors, targets)
    torch.testing.assert_close(value, targets, rtol=1e-6, atol=1e-9)
    value.backward(gradient)
    assert vectors.grad is not None
    ratio = targets.norm(dim=1) / vectors.detach().norm(dim=1)
    torch.testing.assert_close(vectors.grad.norm(dim=1), ratio * gradient.norm(dim=1))
    before = F.cosine_similarity(gradient, targets)
    torch.testing.assert_close(F.cosine_similarity(vectors.grad, vectors.detach()), before)


@pytest.mark.parametrize("factor", [1.0, -1.0, -1.0 - 1e-7, 0.0])
def test_the_rotation_trick_survives_special_vectors(factor):
    """The same direction, the opposite, almost the opposite, zero: exact value, finite gradient."""
    model = made()
    use_rotation_trick(model)
    entries = noise((1, 8, 6), 1)
    projected = (factor * entries + 1e-8 * noise((1, 8, 6), 2) * (factor < -1)).requires_grad_()
    value = model.quantizer.stages[0].pass_through(projected, entries)
    torch.testing.assert_close(value, entries)
    value.sum().backward()
    assert projected.grad is not None
    assert projected.grad.isfinite().all()


def test_euclidean_lookup_finds_the_nearest_entry():
    """By distance, in training and encoding; by angle it finds others."""
    model = made()
    projected = 2 * noise((2, 8, 50), 1)
    stage = model.quantizer.stages[0]
    by_angle = stage.nearest(projected)
    use_euclidean_lookup(model)
    stage = model.quantizer.stages[0]
    distances = torch.cdist(projected.transpose(1, 2), stage.codebook.weight[None])
    assert torch.equal(stage.nearest(projected), distances.argmin(dim=-1))
    assert not torch.equal(stage.nearest(projected), by_angle)
    latents = noise((2, 16, 30), 2)
    codes = model.quantizer(latents, torch.tensor([3, 3])).codes
    assert torch.equal(codes, model.quantizer.encode(latents))
    assert not inference_ready(model)


def test_quantizer_variants_combine():
    """Either order; parameters stay the same objects under the same names, in the same mode."""
    model = made().eval()
    before = dict(model.named_parameters())
    state = torch.random.get_rng_state()
    use_rotation_trick(model)
    assert variants_of(model) == {"rotation_trick"}
    use_euclidean_lookup(model)
    assert variants_of(model) == {"rotation_trick", "euclidean_lookup"}
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
    assert not any(module.training for module in model.modules())
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(("name", "kind"), [("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU)])
def test_another_activation_replaces_every_snake(name, kind):
    """In encoder and decoder; the model trains, but is no codec."""
    model, n_snakes = made(), sum(isinstance(m, Snake) for m in made().modules())
    use_activation(model, name)
    assert sum(isinstance(m, kind) for m in model.modules()) == n_snakes
    assert not any(isinstance(m, Snake) for m in model.modules())
    assert variants_of(model) == {name}
    assert not inference_ready(model)
    result = model(0.1 * noise((2, 1, 512), 1), N_ACTIVE)
    assert result.audio.shape == (2, 1, 512)
    result.audio.square().mean().backward()
    assert model.encoder.conv_in.weight.grad is not None


def test_snake_is_what_a_model_has():
    """Asking for it changes nothing; unknown names and a second replacement are refused."""
    model = made()
    use_activation(model, "snake")
    assert variants_of(model) == set()
    assert inference_ready(model)
    with pytest.raises(ArgumentError, match="'tanh' is none of snake, relu, leaky_relu"):
        use_activation(model, "tanh")
    use_activation(model, "relu")
    with pytest.raises(ArgumentError, match="already"):
        use_activation(model, "snake")
