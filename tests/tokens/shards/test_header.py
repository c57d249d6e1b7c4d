"""What rows of a shard share, and what a row must be."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from audiocodec.container import DacFile
from audiocodec.errors import ArgumentError, CodesError, ModelMismatch
from audiocodec.tokens.shards import ShardHeader, TokenRow, column_types
from tests.tokens.shards.samples import HEADER, ROWS, row_of, same

VALUES = st.one_of(
    st.none(), st.text(max_size=9), st.integers(), st.floats(), st.booleans(), st.just("\ud800")
)
TABLES = st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü.x"]), VALUES), max_size=9)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_a_complete_dac_file_and_back(row):
    """Codes, lengths, gain and model survive; the carried columns are handed over beside."""
    dac = DacFile.from_bytes(HEADER.dac(row).to_bytes())
    assert dac.header.gain == row.gain
    assert same(TokenRow.of_dac(dac, row.id, row.source, row.columns), row)
    assert ShardHeader.of(dac.header, HEADER.columns) == HEADER


def test_a_file_without_length_is_of_whole_frames():
    """A header that leaves the length open means all of the codes."""
    dac = HEADER.dac(row_of(frames=4))
    open_end = DacFile(replace(dac.header, n_samples=None), dac.codes)
    assert TokenRow.of_dac(open_end, "a", "a").n_samples == 4 * 320


def test_codes_have_the_shape_of_the_row():
    """Another type or shape is refused when the row is made."""
    with pytest.raises(CodesError, match="int64"):
        row_of(codes=np.zeros((1, 3, 5), np.int64))
    with pytest.raises(CodesError, match="shaped"):
        row_of(codes=np.zeros((1, 3, 4), np.uint16))


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (row_of(fingerprint="f" * 32), ModelMismatch, "ffffffff"),
        (row_of(n_samples=5 * 320 + 1), CodesError, "1601 samples"),
        (row_of(codes=np.full((1, 3, 5), 1024, np.uint16)), CodesError, "1024"),
        (row_of(gain=float("nan")), ArgumentError, "gain"),
    ],
)
def test_rows_that_do_not_fit(row, error, message):
    """What no .dac file can be is no row of a shard."""
    with pytest.raises(error, match=message):
        HEADER.dac(row)


def test_types_of_carried_columns():
    """One type a column, decided from all rows: numbers are joined, else it is text."""
    rows = [
        {"i": 1, "f": 1, "b": True, "s": "x", "none": None, "mixed": 1, "big": 2**63},
        {"i": None, "f": 0.5, "b": None, "s": "y", "mixed": "one", "late": 1.5},
    ]
    assert column_types(rows) == {
        "i": "int",
        "f": "float",
        "b": "bool",
        "s": "str",
        "none": "str",
        "mixed": "str",
        "big": "str",
        "late": "float",
    }


@given(TABLES)
def test_every_table_fits_the_types_decided_from_it(table):
    """Values take the type of their column; only missing and infinite ones become None."""
    header = replace(HEADER, columns=column_types(table))
    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    for row in table:
        fitted = header.fitted(row)
        assert list(fitted) == list(header.columns)
        for name, value in fitted.items():
            assert value is None or type(value) is kinds[header.columns[name]]
            assert value != "" or row[name] == ""


def test_columns_that_cannot_be_carried():
    """Names that rows have themselves, unknown types, and values of another type."""
    for columns in (
        {"codes": "str"},
        {"": "str"},
        {"x": "list"},
        {f"{n}": "str" for n in range(1001)},
    ):
        with pytest.raises(ArgumentError, match="column"):
            replace(HEADER, columns=columns)
    for columns in ({"other": 1}, {"speaker": "one"}, {"clean": 1}):
        with pytest.raises(ArgumentError, match="column"):
            HEADER.fitted(columns)
