"""Convolutions laid out for running give what torch's modules give, in every form."""

import copy

import pytest
import torch
from torch import nn

from audiocodec.engine import kernels
from audiocodec.engine.conv_layouts import WIDE, Direct, Products, Winograd, pack
from audiocodec.engine.precision import Arithmetic, Precision
from audiocodec.model.layers import UpConv, down_conv, same_conv

EXACT = Precision().arithmetic(torch.device("cpu"), torch.float32)
FAST = Arithmetic(torch.float32, torch.bfloat16, True)
BFLOAT16 = Arithmetic(torch.bfloat16, torch.bfloat16, False)


def layers(channels: int) -> dict[str, nn.Module]:
    torch.manual_seed(channels)
    return {
        "dilated": same_conv(channels, channels, 7, 9),
        "plain": same_conv(channels, channels, 7),
        "three": same_conv(channels, 2 * channels, 3),
        "pointwise": same_conv(channels, channels, 1),
        "down": down_conv(channels, 2 * channels, 4),
        "odd": down_conv(channels, channels, 5),
        "up": UpConv(channels, channels // 2, 4),
        "unbiased": nn.Conv1d(channels, channels, 7, bias=False),
        "in": same_conv(1, channels, 7),
        "out": same_conv(channels, 1, 7),
    }


MODULES = {width: layers(width) for width in (8, WIDE)}
cases = pytest.mark.parametrize(
    ("width", "name"), [(width, name) for width in MODULES for name in MODULES[width]]
)


def through(conv, x, arithmetic):
    """(B, C, T) through the packed layer, as a stream calls it, ungrouped."""
    layer = pack(conv, arithmetic)
    rows = x.transpose(1, 2).contiguous()
    grouped = rows.unflatten(1, (-1, layer.group)).flatten(2)
    y = layer.run(grouped)
    return y.unflatten(2, (layer.ungroup, -1)).flatten(1, 2).transpose(1, 2)


def directly(conv, x):
    """What torch makes of it without padding; of a transposed one, where it is complete."""
    f = nn.functional
    if isinstance(conv, UpConv):
        s = conv.stride[0]
        return f.conv_transpose1d(x, conv.weight, conv.bias, s)[..., s:-s]
    return f.conv1d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation)


@cases
@pytest.mark.parametrize("compiled", [True, False])
def test_every_layer_is_what_torch_computes(width, name, compiled, monkeypatch):
    """Wide and narrow, with the compiled kernels and without, for a batch too."""
    conv = MODULES[width][name]
    if not compiled:
        monkeypatch.setattr(kernels, "_kernels", None)
        conv = copy.deepcopy(conv)  # not laid out yet
    x = torch.randn(2, conv.in_channels, 120, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = through(conv, x, EXACT)
        torch.testing.assert_close(y, directly(conv, x), rtol=1e-4, atol=3e-5)


@cases
@pytest.mark.parametrize("arithmetic", [FAST, BFLOAT16])
def test_bfloat16_comes_close(width, name, arithmetic):
    """Products in bfloat16, with float32 or bfloat16 between layers."""
    conv = MODULES[width][name]
    x = torch.randn(1, conv.in_channels, 120, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y, expected = through(conv, x.to(arithmetic.signal), arithmetic), directly(conv, x)
    assert y.dtype == arithmetic.signal
    error = (y - expected).square().mean() / expected.square().mean()
    assert error < 1e-4


def test_wide_layers_take_the_forms_that_save_products():
    """And narrow ones do not."""
    wide = {name: type(pack(conv, EXACT).run) for name, conv in MODULES[WIDE].items()}
    assert wide["dilated"] is wide["three"] is wide["down"] is wide["up"] is Winograd
    assert wide["pointwise"] is Products
    assert wide["in"] is wide["out"] is Direct
    assert {type(pack(conv, EXACT).run) for conv in MODULES[8].values()} == {Direct}


def test_without_kernels_wide_layers_stay_direct(monkeypatch):
    """In several passes over memory the transforms cost more than the products that they save."""
    monkeypatch.setattr(kernels, "_kernels", None)
    assert type(pack(same_conv(WIDE, WIDE, 7), EXACT).run) is Direct


def test_weights_are_laid_out_once_and_again_when_they_change():
    """In place, or replaced; each arithmetic has its own layout."""
    conv = same_conv(WIDE, WIDE, 7)
    first = pack(conv, EXACT)
    assert pack(conv, EXACT) is first
    assert pack(conv, FAST) is not first
    assert pack(conv, EXACT) is first
    with torch.no_grad():
        conv.weight.mul_(2)
    second = pack(conv, EXACT)
    assert second is not first
    conv.weight = nn.Parameter(torch.zeros_like(conv.weight))
    x = torch.ones(1, WIDE, 20)
    with torch.no_grad():
        torch.testing.assert_close(through(conv, x, EXACT), directly(conv, x))
