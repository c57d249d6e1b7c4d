"""What is made of the weights of a module, and holds as long as they stay what they are.

May import: torch.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

Made = TypeVar("Made")
State = list[tuple[Tensor, int]]  # the weights, and how often they had been written to


class Kept(Generic[Made]):
    """For each module and each way to do it, made once, and again when its weights change."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[State, Made]]]
        self._known = WeakKeyDictionary()

    def of(
        self, module: nn.Module, weights: list[Tensor], way: Hashable, make: Callable[[], Made]
    ) -> Made:
        """What make() gave for the module with its weights as they are now."""
        state = [(weight, _version(weight)) for weight in weights]
        known = self._known.setdefault(module, {})
        kept = known.get(way)
        if not kept or not _same(kept[0], state):
            kept = known[way] = state, make()
        return kept[1]

    def clear(self) -> None:
        """Make everything again."""
        self._known.clear()


def _same(one: State, other: State) -> bool:
    return len(one) == len(other) and all(
        a is b and m == n for (a, m), (b, n) in zip(one, other, strict=True)
    )


def _version(weight: Tensor) -> int:
    """How often it has been written to; of one that was made in inference mode nobody knows."""
    return 0 if weight.is_inference() else weight._version
