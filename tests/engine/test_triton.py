"""What Triton compiles on CUDA, without a GPU."""

import os
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch

from audiocodec.engine import kernels

triton = pytest.importorskip("triton")  # comes with torch on Linux only

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from audiocodec.engine import triton_kernels  # noqa: E402

INTERPRETED = Path(__file__).with_name("interpreted.py")


def test_the_kernels_are_right_in_the_interpreter():
    """All tests of interpreted.py."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(INTERPRETED)]
    environment = dict(os.environ, TRITON_INTERPRET="1")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout


def test_a_number_is_the_sum_of_two_of_tf32():
    """But for 2^-22 of it; neither has more than ten bits behind its point."""
    x = torch.randn(10000, generator=torch.Generator().manual_seed(0))
    x[:3] = torch.tensor([0.0, 1e-30, 1e30])
    most, rest = triton_kernels.tf32_parts(x)
    for part in (most, rest):
        assert not (part.view(torch.int32) & 0x1FFF).any()
    missing = (x.double() - most.double() - rest.double()).abs()
    assert (missing <= 2.0**-22 * x.double().abs()).all()
    assert (rest.abs() <= 2.0**-11 * x.abs()).all()


def test_a_cpu_does_without():
    """Its convolutions are products and transforms."""
    assert not kernels.triton_works(torch.device("cpu"))
    assert not kernels.triton_works(torch.device("cpu"), torch.float32)


def test_where_it_cannot_compile_torch_takes_over(monkeypatch):
    """As on a machine without a C compiler: a warning in one line, once, and the same sound."""

    def fails(device, products):
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(kernels, "HAS_TRITON", True)
    monkeypatch.setattr(kernels, "_compiles", cache(kernels._compiles.__wrapped__))
    monkeypatch.setattr(triton_kernels, "try_out", fails)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "hip", None)
    device = torch.device("cuda", 7)
    for products in (None, torch.bfloat16):
        with pytest.warns(RuntimeWarning, match="without Triton.*: Failed to find C compiler.$"):
            assert not kernels.triton_works(device, products)
        assert not kernels.triton_works(device, products)
    assert not kernels.triton_works(device, torch.float64)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not kernels.triton_works(device, torch.float32)


@pytest.mark.parametrize("products", ["fp32", "bf16"])
@pytest.mark.parametrize("capability", [80, 89, 90, 120])
def test_convolutions_compile_for_gpus_that_are_not_here(capability, products):
    """Ampere to Blackwell: on tensor cores, out of registers and memory that all of them have."""
    with_parts = products == "fp32"
    dtype = torch.float32 if with_parts else torch.bfloat16
    rows, columns, inner, warps, stages = triton_kernels._tiles(dtype, 768, 768)
    constants = {
        **{"taps": 7, "in_parts": with_parts, "with_snake": True, "with_around": True},
        **{"rows": rows, "columns": columns, "inner": inner},
    }
    kernel = triton_kernels._convolve
    types = dict.fromkeys(("x", "weight", "weight_rest", "around", "out"), f"*{products}")
    types |= dict.fromkeys(("bias", "alpha", "inverse"), "*fp32")
    types |= dict.fromkeys(constants, "constexpr")
    signature = {name: types.get(name, "i32") for name in kernel.arg_names}
    whole = {i: [["tt.divisibility", 16]] for i, n in enumerate(signature) if n not in constants}
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, {(i,): kind for i, kind in whole.items()}),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True},
    )
    product = "wgmma.mma_async" if capability == 90 else "mma.sync"
    assert product in compiled.asm["ptx"]
    assert compiled.metadata.shared <= 99 * 1024
    assert "st.local" not in compiled.asm["ptx"]  # registers that had to be put aside
