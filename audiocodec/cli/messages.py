"""What the command tells people: one line at a time on standard error, safe for a terminal."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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


def printable(text: str) -> str:
    """Text whose control characters, with which a file could steer a terminal, are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
