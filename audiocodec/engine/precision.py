"""The precision of the arithmetic: chosen once for a codec, applied around every block."""

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

    Our own CUDA kernels reach float32 accuracy with three TF32 products (engine.triton_kernels).
    "fast" is bfloat16 where the device supports it, and TF32 on CUDA for what stays float32.
    """

    name: str = "exact"

    def __post_init__(self) -> None:
        if self.name not in PRECISIONS:
            raise ArgumentError(f"precision {self.name!r} is none of {', '.join(PRECISIONS)}")

    def arithmetic(self, device: torch.device, weights: torch.dtype) -> "Arithmetic":
        """The number types for networks whose weights have this type on this device."""
        if self.name == "fast" and computes_bfloat16(device):
            # A CPU keeps float32 between layers. Unless it has AMX, Winograd convolutions in
            # float32, with few products, are faster than direct ones in bfloat16, with many.
            signal = weights if device.type == "cpu" else torch.bfloat16
            winograd = device.type == "cpu" and not _capabilities().get("amx_bf16")
            return Arithmetic(signal, torch.bfloat16, winograd)
        return Arithmetic(weights, weights, device.type == "cpu" and weights == torch.float32)

    @contextmanager
    def context(self, device: torch.device) -> Iterator[None]:
        """Apply torch's settings for one block and restore them afterwards.

        The caller's autocast and TF32 settings have no effect inside.
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
    """The number types that the networks compute in."""

    signal: torch.dtype  # between layers
    products: torch.dtype  # in matrix products and convolutions
    transforms: bool  # use Winograd convolutions, in float32, for layers of several taps


@contextmanager
def _float32_products(device: torch.device, tf32: bool) -> Iterator[None]:
    """Compute float32 products in TF32, or else in full float32."""
    with ExitStack() as stack:
        # since torch 2.9, which refuses a mix of these settings with the older ones
        if hasattr(torch.backends, "fp32_precision"):
            on: Any = torch.backends  # its attributes are not typed
            acceptable = ("tf32",) if tf32 else ("ieee", "none")
            cuda, cpu = (on.cuda.matmul, on.cudnn.conv), (on.mkldnn.matmul, on.mkldnn.conv)
            is_cuda = device.type == "cuda"
            for one in cuda if is_cuda else cpu:
                parent = on.cudnn if is_cuda else on.mkldnn
                stack.enter_context(_attribute(one, "fp32_precision", acceptable, parent))
        else:
            matmul = ("high",) if tf32 else ("highest",)
            stack.enter_context(_attribute(_OLD_PRODUCTS, "precision", matmul))
            stack.enter_context(_attribute(torch.backends.cudnn, "allow_tf32", (tf32,)))
        yield


class _OldProducts:
    """The getter and setter of torch before 2.9, as an attribute."""

    @property
    def precision(self) -> str:
        return torch.get_float32_matmul_precision()

    @precision.setter
    def precision(self, value: str) -> None:
        torch.set_float32_matmul_precision(value)


@dataclass
class _PinnedSetting:
    """A process-wide torch setting while blocks rely on its value."""

    acceptable: tuple[object, ...]
    before: object
    changed: bool
    n_blocks: int = 0


_OLD_PRODUCTS = _OldProducts()
_PINNED: dict[tuple[int, str], _PinnedSetting] = {}
_RELEASED = Condition()


@contextmanager
def _attribute(
    owner: object, name: str, acceptable: tuple[object, ...], parent: object = None
) -> Iterator[None]:
    """Pin a torch setting to an acceptable value for the duration: the first, if it has to change.

    Blocks that accept the same values share it across threads, and the last one restores it;
    others wait. parent: the setting that a value of "none" inherits. Reading gives the inherited
    value, so a setting that equals its parent's is restored as "none".
    """
    key = id(owner), name
    with _RELEASED:
        _RELEASED.wait_for(lambda: key not in _PINNED or _PINNED[key].acceptable == acceptable)
        if key not in _PINNED:
            before = getattr(owner, name)
            changed = before not in acceptable
            if changed:
                setattr(owner, name, acceptable[0])
                if parent is not None and before == getattr(parent, name):
                    before = "none"
            _PINNED[key] = _PinnedSetting(acceptable, before, changed)
        pinned = _PINNED[key]
        pinned.n_blocks += 1
    try:
        yield
    finally:
        with _RELEASED:
            pinned.n_blocks -= 1
            if not pinned.n_blocks:
                del _PINNED[key]
                if pinned.changed:
                    setattr(owner, name, pinned.before)
                _RELEASED.notify_all()


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively, which is faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(_capabilities().get("avx512_bf16") or _capabilities().get("amx_bf16"))
    return False


def _capabilities() -> dict[str, object]:
    """The CPU's capabilities; empty where this torch does not report them."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return capabilities


def pick_device(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" is CUDA, else MPS, else the CPU. Raises ArgumentError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails on "meta", which has shapes but no data
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ArgumentError(f"device {name!r} cannot be used here: {reason}") from error
    return device
