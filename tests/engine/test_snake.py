"""Snake by the compiled kernel: what torch computes, within rounding, wherever it is written."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.engine import snake
from audiocodec.engine.snake import SnakeInto, can_compile
from audiocodec.model.layers import Snake


def snake_of(channels: int, largest: float = 4.0, seed: int = 0) -> Snake:
    """Seeded alphas, zero among them."""
    layer = Snake(channels).requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    layer.alpha.uniform_(-largest, largest, generator=generator)
    layer.alpha[0, 0] = 0
    return layer


def exactly(layer: Snake, x: torch.Tensor) -> torch.Tensor:
    """In float64."""
    alpha = layer.alpha.double()
    return x.double() + torch.sin(alpha * x.double()) ** 2 / (alpha + 1e-9)


@pytest.fixture(scope="module")
def kernel() -> None:
    """The compiled kernel; without a compiler there is none, and torch takes over."""
    if snake._snake is None:
        reason = "the kernel was not built: install a C compiler, then `pip install -e .`"
        if os.environ.get("AUDIOCODEC_TEST_TOOLS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 5),
    n=st.integers(0, 70),
    before=st.integers(0, 9),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
)
def test_the_kernel_is_as_exact_as_torch(kernel, batch, channels, n, before, scale):
    """Into any part of a longer tensor, of which the rest stays."""
    layer = snake_of(channels)
    x = scale * torch.randn(batch, channels, n, generator=torch.Generator().manual_seed(n))
    whole = torch.full((batch, channels, before + n + 3), 7.0)
    out = whole[..., before : before + n]
    assert can_compile(x)
    assert can_compile(out)
    SnakeInto(layer)(x, out)
    torch.testing.assert_close(
        out.double(), exactly(layer, x), rtol=1e-6, atol=2e-6 * max(1, scale)
    )
    assert (whole[..., :before] == 7).all()
    assert (whole[..., before + n :] == 7).all()


def test_parts_of_longer_signals_are_read_in_place(kernel):
    """As the streams hand them on: a slice along time."""
    layer = snake_of(4)
    longer = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(1))
    out = torch.empty(2, 4, 20)
    assert can_compile(longer[..., 10:30])
    SnakeInto(layer)(longer[..., 10:30], out)
    torch.testing.assert_close(out.double(), exactly(layer, longer[..., 10:30]), rtol=0, atol=3e-6)


@pytest.mark.parametrize("built", [True, False])
def test_without_the_kernel_torch_does_the_same(built, monkeypatch):
    """The same audio, within rounding."""
    if not built:
        monkeypatch.setattr(snake, "_snake", None)
    layer = snake_of(3)
    x = torch.randn(1, 3, 40, generator=torch.Generator().manual_seed(2))
    out = torch.empty_like(x)
    SnakeInto(layer)(x, out)
    torch.testing.assert_close(out, layer(x), rtol=0, atol=2e-6)


def test_other_tensors_go_to_torch():
    """Other types, and rows that do not lie evenly."""
    x = torch.zeros(2, 3, 8)
    assert not can_compile(x.double())
    assert not can_compile(x.bfloat16())
    assert not can_compile(x.transpose(0, 1))
    assert not can_compile(x[..., ::2])
    layer = snake_of(3)
    y = torch.randn(3, 3, 8, generator=torch.Generator().manual_seed(3)).transpose(0, 1)
    out = torch.empty(3, 3, 8)
    SnakeInto(layer)(y, out)
    torch.testing.assert_close(out, layer(y))
