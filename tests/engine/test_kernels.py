"""The compiled kernels: what torch computes, within rounding, wherever it is written."""

import gc
import os
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.engine import kernels
from audiocodec.engine.kernels import SnakeRows, is_compiled, tiles_in, tiles_out
from audiocodec.engine.transform import POINTS, Transform
from audiocodec.model.layers import Snake

SHAPES = [Transform(2, 1), Transform(3, 2), Transform(7, 3), Transform(7, 4), Transform(7, 5)]


def seeded(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def snake_of(channels: int, largest: float = 4.0, seed: int = 0) -> Snake:
    """Seeded alphas, zero among them."""
    layer = Snake(channels).requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    layer.alpha.uniform_(-largest, largest, generator=generator)
    layer.alpha[0, 0] = 0
    return layer


def exactly(layer: Snake, x: torch.Tensor) -> torch.Tensor:
    """In float64, channels last."""
    alpha = layer.alpha.double()[0, :, 0]
    return x.double() + torch.sin(alpha * x.double()) ** 2 / (alpha + 1e-9)


@pytest.fixture(scope="module")
def compiled() -> None:
    """The compiled kernels; without a compiler there are none, and torch takes over."""
    if kernels._kernels is None:
        reason = "the kernels were not built: install a C compiler, then `pip install -e .`"
        if os.environ.get("AUDIOCODEC_TEST_TOOLS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 40),
    n=st.integers(1, 30),
    before=st.integers(0, 9),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
)
def test_snake_is_as_exact_as_torch(compiled, batch, channels, n, before, scale):
    """Into any rows of a longer tensor, of which the rest stays."""
    layer = snake_of(channels)
    x = scale * seeded(batch, n, channels)
    whole = torch.full((batch, before + n + 3, channels), 7.0)
    out = whole[:, before : before + n]
    assert is_compiled(x)
    assert is_compiled(out)
    SnakeRows(layer)(x, out)
    torch.testing.assert_close(
        out.double(), exactly(layer, x), rtol=1e-6, atol=2e-6 * max(1, scale)
    )
    assert (whole[:, :before] == 7).all()
    assert (whole[:, before + n :] == 7).all()


@pytest.mark.parametrize("largest", [1e3, 1e6])
def test_snake_of_a_great_angle_stays_finite_and_within_its_bounds(compiled, largest):
    """However many periods away, sin^2 lies between 0 and 1."""
    layer = snake_of(8, largest)
    layer.alpha.abs_()
    x = seeded(1, 50, 8)
    y = SnakeRows(layer)(x, torch.empty_like(x)) - x
    alpha = layer.alpha[0, :, 0]
    bound = torch.where(alpha > 0, 1 / alpha, 0)
    assert torch.isfinite(y).all()
    assert (y[..., 1:] >= -1e-6).all()
    assert (y[..., 1:] <= bound[1:] + 1e-6).all()


@given(
    shape=st.sampled_from(SHAPES),
    dilation=st.sampled_from([1, 3, 9]),
    rows=st.integers(1, 200),
    channels=st.integers(1, 40),
    first=st.integers(0, 9),
    tiles=st.integers(1, 12),
    snake=st.booleans(),
)
def test_tiles_are_what_torch_makes_of_them(
    compiled, shape, dilation, rows, channels, first, tiles, snake
):
    """To the points and back, at any place, also beyond the end of the signal."""
    x, bias = seeded(rows, channels), seeded(channels)
    after = SnakeRows(snake_of(channels)) if snake else None
    n_out = (first + tiles + dilation) * shape.outputs
    v = torch.empty(shape.points, tiles, channels)
    tiles_in(x, shape, dilation, first, v)
    out = torch.full((n_out, channels), 7.0)
    tiles_out(v, shape, dilation, first, bias, after, out)

    tile = torch.arange(first, first + tiles)
    begin = tile // dilation * dilation * shape.outputs + tile % dilation
    padded = torch.nn.functional.pad(x, (0, 0, 0, int(begin[-1]) + shape.points * dilation))
    taken = padded[begin + torch.arange(shape.points)[:, None] * dilation]
    expected_v = torch.einsum("pq,qmc->pmc", shape.into.float(), taken)
    torch.testing.assert_close(v, expected_v, rtol=1e-5, atol=2e-5)
    y = torch.einsum("op,pmc->omc", shape.back.float(), expected_v) + bias
    expected = torch.full((n_out, channels), 7.0)
    written = after(y, torch.empty_like(y)) if after else y
    expected[begin + torch.arange(shape.outputs)[:, None] * dilation] = written
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("taps", [2, 3, 5, 7])
@pytest.mark.parametrize("pairs", POINTS)
def test_a_transform_is_a_correlation(taps, pairs):
    """Weights and signal to the points, multiplied, and back: exact but for rounding."""
    shape = Transform(taps, pairs)
    if shape.outputs < 1:
        return
    signal, weights = seeded(shape.points).double(), seeded(taps).double()
    y = shape.back @ ((shape.of_weights @ weights) * (shape.into @ signal))
    expected = signal.unfold(0, taps, 1) @ weights
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)


def test_a_snake_is_prepared_once_and_again_when_it_changes():
    """In place, or replaced."""
    layer = snake_of(8)
    first = SnakeRows.of(layer)
    assert SnakeRows.of(layer) is first
    with torch.no_grad():
        layer.alpha.mul_(2)
    second = SnakeRows.of(layer)
    assert second is not first
    assert torch.equal(second.alpha, layer.alpha[0, :, 0])
    layer.alpha = torch.nn.Parameter(torch.ones(1, 8, 1))
    assert torch.equal(SnakeRows.of(layer).alpha, torch.ones(8))


def test_weights_that_move_or_become_another_type_are_prepared_again():
    """Which `.data` and `Module.to` do to the same parameter; what was made before is let go of."""
    layer = snake_of(8)
    x = seeded(1, 20, 8)
    for change in (
        lambda: setattr(layer.alpha, "data", layer.alpha.data * 3),
        layer.double,
        layer.half,
        layer.float,
        lambda: layer.load_state_dict({"alpha": torch.ones(1, 8, 1)}),
        lambda: layer.load_state_dict({"alpha": torch.zeros(1, 8, 1)}, assign=True),
    ):
        before = weakref.ref(SnakeRows.of(layer))
        change()
        rows = SnakeRows.of(layer)
        assert before() is None
        assert rows.alpha.dtype == layer.alpha.dtype
        if rows.alpha.dtype == torch.float32:
            y = rows(x, torch.empty_like(x))
            torch.testing.assert_close(y.double(), exactly(layer, x), rtol=1e-6, atol=2e-6)


def test_what_is_made_of_a_module_goes_with_it():
    """Also where something that it knows hangs on its weights."""
    layer = snake_of(8).requires_grad_(True)
    layer.alpha.register_hook(lambda gradient, layer=layer: gradient)
    SnakeRows.of(layer)
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None
