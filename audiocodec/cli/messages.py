"""Messages on standard error: one line each, without control characters."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from audiocodec.errors import printable


def say(message: str) -> None:
    """Print one line on standard error, if it is open."""
    line = printable(" ".join(message.splitlines()))
    if sys.stderr:  # None would make print use standard output
        with suppress(OSError):
            print(f"audiocodec: {line}", file=sys.stderr)


@contextmanager
def shown_afterwards(kind: type[Warning]) -> Iterator[None]:
    """Show warnings of this kind after the work, so that they do not disturb a progress bar."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", kind)
        yield
    for warning in caught:
        say(str(warning.message))


def counted(number: int, noun: str) -> str:
    """1 shard, 2 shards."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
