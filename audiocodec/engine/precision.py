"""How exact the arithmetic is, decided once and applied around every block."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

import torch

from audiocodec.errors import ArgumentError

PRECISIONS = ("exact", "fast")


@dataclass(frozen=True)
class Precision:
    """ "exact" is float32 with TF32 off, so that tokens do not drift between machines.

    Our own kernels add up as many products of TF32 as are as exact (engine.triton_kernels).
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
                stack.enter_context(_attribute(torch.backends.cudnn, "benchmark", (fast,)))
                stack.enter_context(_attribute(torch.backends.cudnn, "deterministic", (not fast,)))
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
    """Products of float32 in TF32, or in nothing less than float32."""
    with ExitStack() as stack:
        if hasattr(torch.backends, "fp32_precision"):  # torch 2.9: no other way beside it
            on: Any = torch.backends  # whose parts have no types
            enough = ("tf32",) if tf32 else ("ieee", "none")
            cuda, cpu = (on.cuda.matmul, on.cudnn.conv), (on.mkldnn.matmul, on.mkldnn.conv)
            is_cuda = device.type == "cuda"
            for one in cuda if is_cuda else cpu:
                above = on.cudnn if is_cuda else on.mkldnn
                stack.enter_context(_attribute(one, "fp32_precision", enough, above))
        else:
            matmul = ("high",) if tf32 else ("highest",)
            stack.enter_context(_attribute(_OLD_PRODUCTS, "precision", matmul))
            stack.enter_context(_attribute(torch.backends.cudnn, "allow_tf32", (tf32,)))
        yield


class _OldProducts:
    """What torch before 2.9 has for float32 products, as an attribute."""

    @property
    def precision(self) -> str:
        return torch.get_float32_matmul_precision()

    @precision.setter
    def precision(self, value: str) -> None:
        torch.set_float32_matmul_precision(value)


@dataclass
class _Held:
    """A setting of all threads, while blocks need it as it is."""

    enough: tuple[object, ...]
    before: object
    changed: bool
    n_blocks: int = 0


_OLD_PRODUCTS = _OldProducts()
_HELD: dict[tuple[int, str], _Held] = {}
_RELEASED = Condition()


@contextmanager
def _attribute(
    owner: object, name: str, enough: tuple[object, ...], above: object = None
) -> Iterator[None]:
    """Hold a setting at one of the values that are enough, the first if it has another.

    Blocks of other threads that want the same share it, and the last puts it back; those that
    want another value wait. above: whose value it takes where it has none of its own ("none"),
    which reading does not tell apart.
    """
    key = id(owner), name
    with _RELEASED:
        _RELEASED.wait_for(lambda: key not in _HELD or _HELD[key].enough == enough)
        if key not in _HELD:
            before = getattr(owner, name)
            changed = before not in enough
            if changed:
                setattr(owner, name, enough[0])
                if above is not None and before == getattr(above, name):
                    before = "none"
            _HELD[key] = _Held(enough, before, changed)
        held = _HELD[key]
        held.n_blocks += 1
    try:
        yield
    finally:
        with _RELEASED:
            held.n_blocks -= 1
            if not held.n_blocks:
                del _HELD[key]
                if held.changed:
                    setattr(owner, name, held.before)
                _RELEASED.notify_all()


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


def pick_device(name: str | torch.device) -> torch.device:
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
