"""Reads pickles as data, with only the instructions that plain containers and values need.

Nothing is imported, and only the given functions are called, so a pickle cannot execute
anything. Every instruction takes little time and memory, and their number is bounded.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from audiocodec.errors import ModelError, quoted

MAX_INSTRUCTIONS = 500_000  # torch writes about 40 for a tensor
MAX_INT_KEY = 2**31
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
N_ITEMS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2, "REDUCE": 2}


@dataclass(frozen=True)
class Name:
    """A global that a pickle names by module and name; only its text is used."""

    text: str


class PlainUnpickler:
    """Reads pickles from a file object in memory, one after the other with load().

    functions: those that a pickle may call, by full name. persistent: returns the object of a
    persistent id.
    """

    def __init__(
        self,
        file: BinaryIO,
        functions: Mapping[str, Callable[..., Any]],
        persistent: Callable[[Any], Any],
    ) -> None:
        self.file, self.functions, self.persistent = file, functions, persistent
        self.n_instructions = 0

    def load(self) -> Any:
        """Read the next pickle.

        Raises ModelError for what is not allowed, and any error for a malformed pickle.
        """
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        for opcode, argument, _ in pickletools.genops(self.file):
            self.n_instructions += 1
            if self.n_instructions > MAX_INSTRUCTIONS:
                raise ModelError(f"its pickle has more than {MAX_INSTRUCTIONS} instructions")
            self._do(opcode.name, argument)
        (result,) = self.stack
        return result

    def _do(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(CONSTANTS[name])
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE":
                stack.append(EMPTY[name]())
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self.memo[len(self.memo) if argument is None else argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(Name(argument.replace(" ", ".")))
            case "MARK":
                self.marks.append(len(stack))
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._popped(name)))
            case "APPEND" | "APPENDS":
                items = self._popped(name)
                _checked(stack[-1], list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._popped(name)
                pairs = zip(map(_key, items[::2]), items[1::2], strict=True)
                _checked(stack[-1], dict).update(pairs)
            case "REDUCE":
                stack.append(self._called(*self._popped(name)))
            case "BINPERSID":
                stack.append(self.persistent(stack.pop()))
            case "BUILD":
                stack.pop()  # attributes, such as the _metadata of a state_dict, are not needed
            case _:
                raise ModelError(f"its pickle uses {name}, which plain values do not need")

    def _popped(self, name: str) -> list[Any]:
        """Pop the items that an instruction takes: a fixed number, or all above the last mark."""
        start = len(self.stack) - N_ITEMS[name] if name in N_ITEMS else self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _called(self, function: Any, arguments: Any) -> Any:
        name = _checked(function, Name).text
        if name not in self.functions:
            raise ModelError(
                f"it asks to call {quoted(name)}; nothing in a file is executed, and only plain "
                "tensors and values are read"
            )
        return self.functions[name](*_checked(arguments, tuple))


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ModelError(f"its pickle has a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _key(value: Any) -> Any:
    """Check the key of a dict: text or a small integer; others may take very long to hash."""
    if not isinstance(value, str | int) or (isinstance(value, int) and abs(value) > MAX_INT_KEY):
        raise ModelError(f"its pickle has a dict with the key {quoted(value)}")
    return value
