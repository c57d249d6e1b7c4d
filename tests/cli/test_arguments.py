"""What may stand on the command line, and in which order."""

import argbind
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.cli.arguments import parse, words_of
from audiocodec.errors import ArgumentError

SEEN: list[tuple] = []


@argbind.bind(without_prefix=True, positional=True, group="sample")
def sample(
    input: str,
    output: str,
    name: str = "",
    n_things: int = 1,
    seconds: float = 0.5,
    not_so: bool = False,
) -> int:
    """A command.

    Parameters
    ----------
    input : str
        what goes in
    output : str
        what comes out
    name : str
        what it is called
    """
    SEEN.append((input, output, name, n_things, seconds, not_so))
    return 7


def seen(*arguments: str) -> tuple:
    assert parse(sample, "sample", arguments) == 7
    return SEEN.pop()


FLAGS = [["--name", "x"], ["--n-things", "3"], ["--seconds=-2"], ["--not-so"]]


@given(st.permutations([["in"], ["out"], *FLAGS]))
def test_operands_and_flags_come_in_any_order(order):
    """Only the order among the operands counts."""
    arguments = [word for part in order for word in part]
    operands = ("in", "out") if order.index(["in"]) < order.index(["out"]) else ("out", "in")
    assert seen(*arguments) == (*operands, "x", 3, -2.0, True)


@pytest.mark.parametrize(
    ("arguments", "operands"),
    [
        (["in"], ("in", "")),
        (["-", "-"], ("-", "-")),
        (["--", "-in"], ("-in", "")),
        (["in", "--", "--not-so"], ("in", "--not-so")),
        (["--not-so", "--", "--help"], ("--help", "")),
    ],
)
def test_operands_may_be_left_out_or_look_like_flags(arguments, operands):
    """A lone dash is an operand; so is everything after two."""
    assert seen(*arguments)[:2] == operands


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "INPUT is missing"),
        ([""], "INPUT is missing"),
        (["a", "b", "c"], "one operand too many: 'c'"),
        (["a", "--bad", "3"], "unknown flag --bad"),
        (["a", "-x"], "unknown flag -x"),
        (["a", "--not_so"], "unknown flag --not_so"),
        (["a", "--not"], "unknown flag --not"),
        (["a", "--args.load", "evil.yml"], "unknown flag --args.load"),
        (["a", "--n-things", "many"], "--n-things: invalid int value: 'many'"),
        (["a", "--seconds"], "--seconds: expected one argument"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    """In words, and with the place where the right ones are listed."""
    with pytest.raises(ArgumentError) as caught:
        parse(sample, "sample", arguments)
    assert words in str(caught.value)
    assert "`audiocodec sample --help`" in str(caught.value)
    assert not SEEN


@argbind.bind(without_prefix=True, positional=True, group="several")
def several(inputs: str, codebooks: str = "", ratings: str = "", last: int = 0) -> int:
    """A command."""
    SEEN.append((words_of(inputs), words_of(codebooks), words_of(ratings)))
    return 7


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a\nb", "c d", "e"], (["a\nb", "c d", "e"], [""], [""])),
        (["--codebooks", "1", "9", "a", "b", "--last", "3"], (["a", "b"], ["1", "9"], [""])),
        (["a", "--codebooks", "1", "9"], (["a"], ["1", "9"], [""])),
        (["--codebooks", "one", "a", "--", "-b"], (["a", "-b"], ["one"], [""])),
        (["a", "--ratings", "x\ny", "z"], (["a"], [""], ["x\ny", "z"])),
    ],
)
def test_operands_and_flags_of_several_words(arguments, expected):
    """A word may hold any character; a flag takes no word that cannot be its own."""
    assert parse(several, "several", arguments) == 7
    assert SEEN.pop() == expected


def test_help_is_for_people(capsys):
    """Operands, flags with dashes, what they are for; nothing of argbind."""
    assert parse(sample, "sample", ["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: audiocodec sample INPUT [OUTPUT] [flags]\n\nA command.\n")
    for words in ("INPUT     what goes in", "[OUTPUT]  what comes out", "--n-things N", "--not-so"):
        assert words in text
    assert "args." not in text
    assert "_" not in text
    assert not SEEN


@argbind.bind(without_prefix=True, group="switched")
def volume(loud: bool = False) -> bool:
    """Part of a command."""
    return loud


@argbind.bind(without_prefix=True, group="switched")
def switched(n_things: int = 1) -> int:
    """A command with a part."""
    SEEN.append((volume(), n_things))
    return 7


def test_a_configuration_gives_flags_and_those_beside_it_win(tmp_path):
    """What it switches on, --no-FLAG switches off."""
    (tmp_path / "a.yml").write_text("loud: true\nn-things: 3\n")
    for flags, expected in (
        ([], (True, 3)),
        (["--n-things", "4"], (True, 4)),
        (["--no-loud"], (False, 3)),
    ):
        assert parse(switched, "switched", ["--args.load", str(tmp_path / "a.yml"), *flags]) == 7
        assert SEEN.pop() == expected
