"""argbind, with what a shell user expects: dashes, optional operands, no unknown flags.

May import: argbind, errors.
"""

from argparse import Action, ArgumentParser
from collections.abc import Callable
from typing import NoReturn

import argbind

from audiocodec.errors import ArgumentError

OPTIONAL_OPERANDS = ("output",)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}; `{self.prog} --help` lists what there is")


def parse(command: Callable[..., int], name: str, arguments: list[str]) -> int:
    """Parse the arguments of one bound command and run it; returns its exit status.

    Raises ArgumentError for arguments that do not fit, SystemExit after --help.
    """
    operands, flags = _split(arguments)
    parser = _parser(name)
    values, extra = parser.parse_known_args([*flags, "--", *operands])
    print(values, extra)
    with argbind.scope(vars(values)):
        return command()
