"""Messages are one printable line of bounded length, whatever a file puts into them."""

import copy
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec import errors
from audiocodec.errors import MAX_MESSAGE, CodecError, one_line, quoted

HOSTILE = "a\n\x1b[2J\u202e\udcff" + "x" * 10_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("decoder.bias", "'decoder.bias'"),
        ("a\nb\x1b[31m", r"'a\nb\x1b[31m'"),
        (12, "12"),
        (None, "None"),
        ([2, 4, 8, 8], "[2, 4, 8, 8]"),
    ],
)
def test_a_value_of_a_file_is_quoted(value, text):
    """As Python writes it."""
    assert quoted(value) == text


@given(
    st.recursive(
        st.none() | st.text() | st.binary() | st.floats() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.integers(10, 100),
)
def test_a_quoted_value_is_one_printable_line(value, limit):
    """Nested, immense or hostile: printable and bounded."""
    text = quoted(value, limit)
    assert text.isprintable()
    assert len(text) <= max(limit, 40)


def test_an_integer_that_python_does_not_write():
    """Thousands of digits raise a ValueError of Python's own."""
    assert quoted({"n": 10**5000}) == "a number of thousands of digits"


def test_long_text_keeps_its_beginning_and_its_end():
    """The file is named first, what to do comes last."""
    text = one_line("start" + "x" * 1000 + "end", 50)
    assert len(text) == 50
    assert text.startswith("start")
    assert text.endswith("end")


@pytest.mark.parametrize(
    "error",
    [
        CodecError(HOSTILE),
        errors.ModelMismatch("a.dac", HOSTILE, "mine"),
        errors.OutputExists(HOSTILE),
        errors.DamagedBlock("a.dac", 1, 0.0, HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_one_printable_line(error):
    """In Python as in the command, and when rebuilt as behind a process pool."""
    for one in (error, copy.copy(error)):
        assert str(one).isprintable()
        assert 1 <= len(str(one)) <= MAX_MESSAGE


def test_the_end_of_a_traceback_is_that_line():
    """What Python prints of an uncaught error."""
    code = "from audiocodec import CodecError; raise CodecError('a\\nb\\x1b[31m')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == r"audiocodec.errors.CodecError: a b\x1b[31m"
