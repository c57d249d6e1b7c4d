"""What the command tells people: one line at a time on standard error, safe for a terminal.

May import: the standard library.
"""

import sys


def say(message: str) -> None:
    """One line on standard error."""
    line = printable(" ".join(message.splitlines()))
    print(f"audiocodec: {line}", file=sys.stderr)


def printable(text: str) -> str:
    """Text whose control characters, with which a file could steer a terminal, are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
