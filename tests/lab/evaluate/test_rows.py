"""Rows in files: what is written is what is read, missing figures stay missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from audiocodec.errors import ArgumentError, OutputError
from audiocodec.lab.evaluate.figures import METRICS
from audiocodec.lab.evaluate.rows import (
    COLUMNS,
    ResultRow,
    read_csv,
    record,
    write_csv,
    write_parquet,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=20)
reasons = st.lists(st.text("abcß:,|\"'", min_size=1, max_size=8), min_size=1).map(" ".join)
numbers = st.floats(allow_nan=False, allow_infinity=False)
names = st.sampled_from([metric.name for metric in METRICS])


@st.composite
def rows(draw: st.DrawFn) -> ResultRow:
    """A row whose figures and failures share no metric."""
    figures = draw(st.dictionaries(names, numbers))
    failures = draw(st.dictionaries(names.filter(lambda name: name not in figures), reasons))
    return ResultRow(
        *(draw(texts) for _ in range(4)),
        codebooks=draw(st.integers(0, 32)),
        kbps=draw(numbers),
        nominal_kbps=draw(numbers),
        tokens_per_s=draw(numbers.map(abs)),
        encode_speed=draw(numbers),
        decode_speed=draw(numbers),
        figures=figures,
        failures=failures,
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(rows(), max_size=4))
def test_csv_gives_back_every_row(tmp_path: Path, written: list[ResultRow]) -> None:
    """Numbers in full, names with commas, quotes and line breaks, and what failed, and why."""
    write_csv(tmp_path / "results.csv", written)
    assert read_csv(tmp_path / "results.csv") == written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(rows(), max_size=4))
def test_parquet_holds_what_the_csv_holds(tmp_path: Path, written: list[ResultRow]) -> None:
    """The same columns, typed, with nulls for empty cells."""
    write_csv(tmp_path / "results.csv", written)
    write_parquet(tmp_path / "results.parquet", written)
    table = parquet.read_table(tmp_path / "results.parquet")
    assert table.column_names == list(COLUMNS)
    assert table.to_pylist() == [record(row) for row in read_csv(tmp_path / "results.csv")]


def test_parquet_is_typed_even_where_nothing_is_known(tmp_path: Path) -> None:
    """No rows: the columns have their types all the same."""
    write_parquet(tmp_path / "results.parquet", [])
    schema = parquet.read_schema(tmp_path / "results.parquet")
    assert {name: str(schema.field(name).type) for name in ("clip", "codebooks", "pesq")} == {
        "clip": "string",
        "codebooks": "int32",
        "pesq": "double",
    }


def row(**changes: object) -> ResultRow:
    """A row of a system without codebooks."""
    values = {"codebooks": 0, "tokens_per_s": 0.0, "figures": {}, "failures": {}} | changes
    return ResultRow("a", "music", "Opus", "6 kbps", kbps=6.2, nominal_kbps=6, encode_speed=9,
               decode_speed=9, **values)  # type: ignore[arg-type]  # fmt: skip


def test_a_missing_figure_is_an_empty_cell(tmp_path: Path) -> None:
    """So are the codebooks and tokens of a codec that has none; zero is written as zero."""
    write_csv(tmp_path / "r.csv", [row(figures={"lag": 0.0}, failures={"mel": "silent estimate"})])
    head, line = (tmp_path / "r.csv").read_text().splitlines()
    cells = dict(zip(head.split(","), line.split(",")))
    assert [cells[x] for x in ("codebooks", "tokens_per_s", "mel", "pesq")] == [""] * 4
    assert (cells["lag"], cells["failures"]) == ("0.0", "mel: silent estimate")


def test_several_failures_stay_apart(tmp_path: Path) -> None:
    """A semicolon in a reason becomes a comma, so that it cannot look like another failure."""
    failures = {"mel": "a; stft: b", "pesq": "two\nlines"}
    write_csv(tmp_path / "r.csv", [row(failures=failures)])
    assert read_csv(tmp_path / "r.csv")[0].failures == {"mel": "a, stft: b", "pesq": "two lines"}


def test_file_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are written as escapes, in both files."""
    odd = ResultRow("a\udcff\r", "m", "s", "t", 0, 1, 1, 0, 1, 1, {}, {})
    write_csv(tmp_path / "r.csv", [odd])
    write_parquet(tmp_path / "r.parquet", [odd])
    assert read_csv(tmp_path / "r.csv")[0].clip == "a\\udcff "
    assert parquet.read_table(tmp_path / "r.parquet")["clip"].to_pylist() == ["a\\udcff "]


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """One line with the file's name."""
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match=r"other\.csv: not a results\.csv"):
        read_csv(path)


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    """A cell that was edited by hand."""
    write_csv(tmp_path / "r.csv", [row()])
    text = (tmp_path / "r.csv").read_text().replace("6.2", "six")
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ArgumentError, match="six"):
        read_csv(tmp_path / "r.csv")


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, write: Callable) -> None:
    """OutputError, as for every output."""
    with pytest.raises(OutputError, match="does not exist"):
        write(tmp_path / "no" / "file", [row()])
