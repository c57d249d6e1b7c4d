"""argbind, with what a shell user expects: dashes, optional operands, no unknown flags.

May import: argbind, errors.
"""

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from typing import NoReturn

import argbind

from audiocodec.errors import ArgumentError

OPTIONAL_OPERANDS = ("output",)


def parse(command: Callable[..., int], name: str, arguments: list[str]) -> int:
    """Parse the arguments of one bound command and run it; returns its exit status.

    Raises ArgumentError for arguments that do not fit.
    """
    parser = argbind.build_parser(group=[name])
    parser.prog = f"audiocodec {name}"
    parser.error = _refuse  # type: ignore[method-assign]  # exit status 1, as for every error
    _adapt(parser)
    sys.argv = [parser.prog, *arguments]  # argbind reads it
    values = argbind.parse_args(parser)
    if unknown := values["args.unknown"]:
        raise ArgumentError(f"unknown argument {unknown[0]}; `{parser.prog} --help` lists them")
    with argbind.scope(values):
        return command()


def _refuse(message: str) -> NoReturn:
    raise ArgumentError(message)


def _adapt(parser: ArgumentParser) -> None:
    """Spell flags with dashes, let operands that may be left out be left out."""
    for action in parser._actions:
        if not action.option_strings and action.dest in OPTIONAL_OPERANDS:
            action.nargs, action.required, action.default = "?", False, ""
        if action.dest.startswith("args."):
            action.help = SUPPRESS
            continue
        action.option_strings = [flag.replace("_", "-") for flag in action.option_strings]
        for flag in action.option_strings:
            parser._option_string_actions[flag] = action
