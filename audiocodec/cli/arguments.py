"""Parses command lines for argbind: dashes in flags, operands anywhere, no unknown flags.

argbind's own parser is not used: it ignores unknown flags, and its --args.load can execute code
from a YAML file.
"""

from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import NoReturn

import argbind

from audiocodec.cli.configuration import LOAD, settings_of
from audiocodec.errors import ArgumentError

OPTIONAL_OPERANDS = ("output", "data", "model", "file")  # "" if left out
SEVERAL_OPERANDS = ("inputs",)  # the last operand: takes all remaining words; see words_of
SEVERAL: dict[str, Callable[[str], bool]] = {  # flags of several words, and which words fit
    "codebooks": str.isdecimal,
    "ratings": bool,
}
JOINT = "\0"  # joins several words to one, since argbind has no lists; never part of a word

GIVEN: ContextVar[tuple[str, ...]] = ContextVar("GIVEN", default=())  # flags given by the user
CONFIGURED: ContextVar[tuple[str, ...]] = ContextVar(
    "CONFIGURED", default=()
)  # flags from --args.load


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}; `{self.prog} --help` lists what there is")


def parse(command: Callable[..., int], name: str, arguments: Sequence[str]) -> int:
    """Parse the arguments of one bound command and run it; returns its exit status.

    Operands and flags may come in any order; after "--" everything is an operand. A command whose
    flags belong to several functions also has --args.load, which names a YAML file of flags.
    Raises ArgumentError for unknown flags, missing operands and unusable values.
    """
    actions = [a for a in argbind.build_parser(group=[name])._actions if _is_ours(a)]
    operands = [action for action in actions if not action.option_strings]
    parser = _parser(f"audiocodec {name}", command.__doc__ or "", operands)
    _add_flags(parser, [action for action in actions if action.option_strings])
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    if {"-h", "--help"} & set(arguments[:cut]):
        print(parser.format_help(), end="")
        return 0
    flags, given = parser.parse_known_args(arguments[:cut])
    CONFIGURED.set(())
    if conf := getattr(flags, LOAD, ""):
        settings = settings_of(conf, parser._actions)
        CONFIGURED.set(tuple(settings))
        parser.set_defaults(**settings)
        flags, given = parser.parse_known_args(arguments[:cut])
    for argument in given:
        if argument.startswith("-") and argument != "-":
            parser.error(f"unknown flag {argument}")
    given += _swallowed(flags)
    words = {n: JOINT.join(v) for n, v in vars(flags).items() if isinstance(v, list)}
    values = vars(flags) | words | _named(parser, operands, [*given, *arguments[cut + 1 :]])
    typed = {word.partition("=")[0] for word in arguments[:cut]}
    GIVEN.set(tuple(a.dest for a in parser._actions if typed & {*a.option_strings}))
    with argbind.scope(values):
        return command()


def words_of(value: str) -> list[str]:
    """The words of an operand or flag that takes several."""
    return value.split(JOINT)


def _swallowed(flags: Namespace) -> list[str]:
    """Takes back operands that a flag of several words took, as CLIPS in --codebooks 1 9 CLIPS."""
    operands = []
    for name, fits in SEVERAL.items():
        words = getattr(flags, name, None)
        if isinstance(words, list):
            n_own = next((i for i, word in enumerate(words) if i and not fits(word)), len(words))
            operands += words[n_own:]
            del words[n_own:]
    return operands


def _add_flags(parser: ArgumentParser, actions: list[Action]) -> None:
    """Adds flags; those of several functions are grouped under the docstrings' first lines."""
    by_function: dict[str, list[Action]] = {}
    for action in actions:
        text = getattr(action.container, "description", None) or ""  # type: ignore[attr-defined]
        by_function.setdefault(" ".join(text.split()).rstrip("."), []).append(action)
    for text, own in by_function.items():
        group = parser.add_argument_group(text) if len(by_function) > 1 else parser
        for action in own:
            group._add_action(_dashed(action))
            if action.nargs == 0 and not action.dest.startswith("no_"):
                _add_opposite(parser, action)
    if len(by_function) > 1:  # enough flags for a configuration file
        text = "read flags from a YAML file; flags given here win, --no-FLAG switches one off"
        parser.add_argument(f"--{LOAD}", default="", metavar="FILE", help=text)


def _add_opposite(parser: ArgumentParser, action: Action) -> None:
    """--no-FLAG, to undo what a configuration file sets; left out of --help for brevity."""
    name = action.dest.replace("_", "-")
    parser.add_argument(
        f"--no-{name}", dest=action.dest, action="store_false", default=SUPPRESS, help=SUPPRESS
    )


def _is_ours(action: Action) -> bool:
    return action.dest != "help" and not action.dest.startswith("args.")


def _parser(prog: str, docstring: str, operands: list[Action]) -> _Parser:
    names = [_shown(action) for action in operands]
    lines = [
        f"  {name:10}{' '.join((action.help or '').split())}"
        for name, action in zip(names, operands, strict=True)
    ]
    about = docstring.splitlines()[:1]  # none under -OO
    return _Parser(
        prog=prog,
        usage=" ".join([prog, *names, "[flags]"]),
        description="\n".join([*about, *([""] if about and lines else []), *lines]),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _shown(operand: Action) -> str:
    name = operand.dest.upper()
    if operand.dest in SEVERAL_OPERANDS:
        return f"{name}..."
    return f"[{name}]" if operand.dest in OPTIONAL_OPERANDS else name


def _dashed(action: Action) -> Action:
    action.option_strings = [flag.replace("_", "-") for flag in action.option_strings]
    if action.type in (int, float):
        action.metavar = "N"
    elif action.dest in SEVERAL:
        action.nargs = "+"
    return action


def _named(parser: _Parser, operands: list[Action], given: list[str]) -> dict[str, str]:
    names = [action.dest for action in operands]
    if names and names[-1] in SEVERAL_OPERANDS and len(given) > len(names):
        given = [*given[: len(names) - 1], JOINT.join(given[len(names) - 1 :])]
    if len(given) > len(names):
        parser.error(f"one operand too many: {given[len(names)]!r}")
    values = dict(zip(names, given + [""] * len(names)))
    for name, value in values.items():
        if not value and name not in OPTIONAL_OPERANDS:
            parser.error(f"{name.upper()} is missing")
    return values
