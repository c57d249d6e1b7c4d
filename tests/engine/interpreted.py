"""Triton's kernels in its interpreter, which takes tensors of the CPU; run by test_triton.py.

Triton has to be told before it is imported, so these tests have a process of their own.
"""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv1d
from triton import language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

from audiocodec.engine import conv_layouts
from audiocodec.engine.conv_layouts import Fused, pack
from audiocodec.engine.kernels import SnakeRows
from audiocodec.engine.precision import Arithmetic
from audiocodec.engine.triton_kernels import convolve, snake, tf32_parts, try_out
from audiocodec.engine.weight_cache import WeightCache
from audiocodec.engine.windows import WindowDecoder, WindowEncoder
from tests.conftest import noise
from tests.engine.test_conv_layouts import BFLOAT16, EXACT, directly, layers, through
from tests.engine.test_kernels import exactly, seeded, snake_of
from tests.engine.test_streams import MODELS
from tests.engine.test_windows import decoded, encoded

MODULES = layers(24)
ALIGNED = [model for (_, name), model in MODELS.items() if name == "aligned"]


@pytest.fixture(autouse=True)
def tensor_cores(monkeypatch):
    """Products as they make them: of TF32, which is cut off, and of bfloat16.

    The interpreter would take float32, and the bits of bfloat16 for whole numbers.
    """
    in_float32 = InterpreterBuilder.create_dot

    def create_dot(self, a, b, *others):
        return in_float32(self, taken(a), taken(b), *others)

    def taken(x):
        if x.dtype.scalar == tl.bfloat16:
            bits = x.data.astype(np.uint32) << 16
        else:
            bits = x.data.view(np.uint32) & ~np.uint32(0x1FFF)
        return TensorHandle(bits.view(np.float32), tl.float32)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)


@pytest.fixture
def fused(monkeypatch):
    """Convolutions are laid out as on a GPU with tensor cores."""
    monkeypatch.setattr(conv_layouts, "triton_works", lambda *_: True)
    monkeypatch.setattr(conv_layouts, "_LAYOUTS", WeightCache())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_snake_is_as_exact_as_its_numbers(scale, dtype, tolerance):
    """Into any rows of a longer tensor, of which the rest stays."""
    layer = snake_of(24)
    x = (scale * seeded(2, 70, 24)).to(dtype)
    whole = torch.full((2, 80, 24), 7.0).to(dtype)
    rows = SnakeRows(layer)
    snake(x, rows.alpha, rows.inverse, whole[:, 4:74])
    expected, tolerance = exactly(layer, x), tolerance * max(1, scale)
    torch.testing.assert_close(whole[:, 4:74].double(), expected, rtol=tolerance, atol=tolerance)
    assert (whole[:, :4] == 7).all()
    assert (whole[:, 74:] == 7).all()


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("with_snake", [False, True])
@pytest.mark.parametrize(
    ("c_in", "c_out", "taps", "dilation"),
    [(24, 40, 7, 3), (24, 1, 7, 1), (96, 130, 2, 1), (40, 24, 1, 1), (7, 20, 1, 1)],
)
def test_a_convolution_and_what_follows_it(c_in, c_out, taps, dilation, with_snake, around):
    """Of channels and lengths that fill no tile; nothing beside the output is written."""
    x, bias = seeded(2, 150, c_in), seeded(c_out)
    weight = seeded(c_out, c_in, taps) / (c_in * taps) ** 0.5
    n = 150 - dilation * (taps - 1)
    layer, beside = snake_of(c_out), seeded(2, n + 5, c_out)[:, 5:]
    expected = conv1d(x.double().mT, weight.double(), bias.double(), dilation=dilation).mT
    expected = exactly(layer, expected) if with_snake else expected
    expected = expected + beside.double() if around else expected
    rows, whole = SnakeRows(layer), torch.full((2, n + 6, c_out), 7.0)
    convolve(
        x,
        tf32_parts(weight.transpose(1, 2)),
        bias,
        dilation,
        (rows.alpha, rows.inverse) if with_snake else None,
        beside if around else None,
        whole[:, 3:-3],
    )
    torch.testing.assert_close(whole[:, 3:-3].double(), expected, rtol=1e-5, atol=1e-5)
    assert (whole[:, :3] == 7).all()
    assert (whole[:, -3:] == 7).all()


@pytest.mark.parametrize("products", [None, torch.float32, torch.bfloat16])
def test_they_are_tried_out_before_they_are_used(products):
    """On rows that are not looked at, whatever torch makes by default."""
    torch.set_default_dtype(torch.float64)
    try:
        try_out(torch.device("cpu"), products)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(("arithmetic", "error"), [(EXACT, 1e-11), (BFLOAT16, 1e-4)])
def test_every_layer_is_what_torch_computes(fused, name, arithmetic: Arithmetic, error):
    """Grouped and ungrouped, of one channel and of many."""
    conv = MODULES[name]
    x = torch.randn(2, conv.in_channels, 120, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert type(pack(conv, arithmetic).run) is Fused
        y, expected = through(conv, x.to(arithmetic.signal), arithmetic), directly(conv, x)
    assert y.dtype == arithmetic.signal
    assert (y - expected).square().mean() < error * expected.square().mean()


@pytest.mark.parametrize("model", ALIGNED)
def test_codes_and_samples_of_a_model_are_those_of_the_cpu(model, fused, monkeypatch):
    """In windows side by side, whose residual units are added within the kernel."""
    x = noise(9 * model.config.hop + 5, 2)
    windows = WindowEncoder(model, 2, window_frames=3)
    codes = torch.cat([windows.push(x), windows.flush()], dim=-1)
    windows = WindowDecoder(model, 2, window_frames=3)
    audio = torch.cat([windows.push(codes), windows.flush()], dim=-1)
    monkeypatch.undo()
    assert torch.equal(codes, encoded(model, x))
    torch.testing.assert_close(audio, decoded(model, codes), atol=2e-5, rtol=0)
