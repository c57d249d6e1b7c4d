"""Cache of values derived from a module's weights, invalidated when they change."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

Made = TypeVar("Made")


@dataclass
class _Entry(Generic[Made]):
    state: list[tuple[Hashable, ...]]
    weights: list[Tensor]  # detached; held so that their memory is not reused for other weights
    made: dict[Hashable, Made] = field(default_factory=dict)


class WeightCache(Generic[Made]):
    """Keeps one value for each module and key, and makes it anew when the weights change.

    Detects weights that were replaced (also through `.data`), moved, cast or edited in place; not
    writes that bypass the version counter: to `.data`, or to a tensor made in inference mode.
    """

    def __init__(self) -> None:
        self._entries: WeakKeyDictionary[nn.Module, _Entry[Made]] = WeakKeyDictionary()

    def of(
        self, module: nn.Module, weights: Sequence[Tensor], key: Hashable, make: Callable[[], Made]
    ) -> Made:
        """The value for the module with its present weights; calls make() if there is none."""
        state = [_state(weight) for weight in weights]
        entry = self._entries.get(module)
        if entry is None or entry.state != state:
            entry = self._entries[module] = _Entry(state, [weight.detach() for weight in weights])
        if key not in entry.made:
            entry.made[key] = make()
        return entry.made[key]


def _state(weight: Tensor) -> tuple[Hashable, ...]:
    """What identifies a weight's content: memory, shape, device, type, and version counter."""
    version = 0 if weight.is_inference() else weight._version
    place = weight.untyped_storage()._cdata, weight.storage_offset(), weight.shape
    return *place, weight.device, weight.dtype, version
