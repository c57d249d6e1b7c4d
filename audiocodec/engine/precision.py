"""How exact the arithmetic is, decided once and applied around every block.

May import: torch, errors.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from audiocodec.errors import ArgumentError

PRECISIONS = ("exact", "fast")


@dataclass(frozen=True)
class Precision:
    """ "exact" is float32 with TF32 off, so that tokens do not drift between machines.

    "fast" is bfloat16 where the device computes in it, TF32 on CUDA for what stays float32.
    """

    name: str = "exact"

    def __post_init__(self) -> None:
        if self.name not in PRECISIONS:
            raise ArgumentError(f"precision {self.name!r} is none of {', '.join(PRECISIONS)}")

    def arithmetic(self, device: torch.device, weights: torch.dtype) -> "Arithmetic":
        """What the networks compute in, with weights of this type."""
        if self.name == "fast" and computes_bfloat16(device):
            # A CPU keeps float32 between layers: its convolutions of several taps are faster in
            # few float32 products than in many bfloat16 ones, unless it has tiles of bfloat16.
            signal = weights if device.type == "cpu" else torch.bfloat16
            few = device.type == "cpu" and not _capabilities().get("amx_bf16")
            return Arithmetic(signal, torch.bfloat16, few)
        return Arithmetic(weights, weights, device.type == "cpu" and weights == torch.float32)

    @contextmanager
    def context(self, device: torch.device) -> Iterator[None]:
        """Settings for one block; they are put back afterwards.

        Whatever the caller computes in, it does not reach in here.
        """
        on_cuda = device.type == "cuda"
        fast = on_cuda and self.name == "fast"
        with ExitStack() as stack:
            stack.enter_context(_float32_products(device, tf32=fast))
            if on_cuda:
                stack.enter_context(_attribute(torch.backends.cudnn, "benchmark", fast))
                stack.enter_context(_attribute(torch.backends.cudnn, "deterministic", not fast))
            stack.enter_context(torch.autocast(device.type, enabled=False))
            yield


@dataclass(frozen=True)
class Arithmetic:
    """What the networks compute in."""

    signal: torch.dtype  # between layers
    products: torch.dtype  # in matrix products and convolutions
    transforms: bool  # save products by transforms in float32 where there are several taps


@contextmanager
def _float32_products(device: torch.device, tf32: bool) -> Iterator[None]:
    """Products of float32 in TF32, or in nothing less than float32.

    Settings are those of all threads: one that is right already is not touched.
    """
    with ExitStack() as stack:
        if hasattr(torch.backends, "fp32_precision"):  # torch 2.9: no other way beside it
            on: Any = torch.backends  # whose parts have no types
            cuda, cpu = (on.cuda.matmul, on.cudnn.conv), (on.mkldnn.matmul, on.mkldnn.conv)
            for one in cuda if device.type == "cuda" else cpu:
                if tf32 or one.fp32_precision not in ("none", "ieee"):
                    value = "tf32" if tf32 else "ieee"
                    stack.enter_context(_attribute(one, "fp32_precision", value))
        else:
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("high" if tf32 else "highest")
            stack.enter_context(_attribute(torch.backends.cudnn, "allow_tf32", tf32))
        yield


@contextmanager
def _attribute(owner: object, name: str, value: object) -> Iterator[None]:
    """Set for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there, not just emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(_capabilities().get("avx512_bf16") or _capabilities().get("amx_bf16"))
    return False


def _capabilities() -> dict[str, object]:
    """Of the CPU; not every torch tells."""
    told: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return told


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA, else MPS, else the CPU. Raises ArgumentError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" has shapes, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ArgumentError(f"device {name!r} cannot be used here: {reason}") from error
    return device
