"""What the command tells people: one line at a time on standard error, safe for a terminal."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from audiocodec.errors import printable


def say(message: str) -> None:
    """One line on standard error, if anyone is there to read it."""
    line = printable(" ".join(message.splitlines()))
    if sys.stderr:  # print would take standard output instead
        with suppress(OSError):
            print(f"audiocodec: {line}", file=sys.stderr)


@contextmanager
def told_afterwards(kind: type[Warning]) -> Iterator[None]:
    """Say warnings of this kind when the work is done: meanwhile there is a progress bar."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", kind)
        yield
    for warning in caught:
        say(str(warning.message))


def counted(number: int, noun: str) -> str:
    """1 shard, 2 shards."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
