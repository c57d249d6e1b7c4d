"""What is made of the weights of a module, and holds as long as they stay what they are."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

Made = TypeVar("Made")


@dataclass
class _Entry(Generic[Made]):
    state: list[tuple[Hashable, ...]]
    weights: list[Tensor]  # without what hangs on them; their memory goes to no other weights
    made: dict[Hashable, Made] = field(default_factory=dict)


class WeightCache(Generic[Made]):
    """For each module and each way to do it: made once, and again when its weights change.

    Noticed are other weights, also by `.data`, another device or type, and writing to them; not
    what writes without counting: to `.data`, or to a tensor that inference mode made.
    """

    def __init__(self) -> None:
        self._entries: WeakKeyDictionary[nn.Module, _Entry[Made]] = WeakKeyDictionary()

    def of(
        self, module: nn.Module, weights: Sequence[Tensor], way: Hashable, make: Callable[[], Made]
    ) -> Made:
        """What make() gave for the module with its weights as they are now."""
        state = [_state(weight) for weight in weights]
        entry = self._entries.get(module)
        if entry is None or entry.state != state:
            entry = self._entries[module] = _Entry(state, [weight.detach() for weight in weights])
        if way not in entry.made:
            entry.made[way] = make()
        return entry.made[way]


def _state(weight: Tensor) -> tuple[Hashable, ...]:
    """Where it lies, what it is, and how often it has been written to."""
    version = 0 if weight.is_inference() else weight._version
    place = weight.untyped_storage()._cdata, weight.storage_offset(), weight.shape
    return *place, weight.device, weight.dtype, version
