"""Results as JSON, as Markdown and as a picture."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError
from audiocodec.lab.reporting.pictures import svg_of
from audiocodec.lab.speed import plot
from audiocodec.lab.speed.report import markdown
from audiocodec.lab.speed.results import (
    BenchmarkResults,
    BenchmarkRow,
    CodeAgreement,
    Fidelity,
    Missing,
    Rate,
)

ROW = BenchmarkRow("toy", "compress", 1.0, 1, "stand-in", 0.5, 1.25, 2.5, 400.0, None, 3)
FIDELITY = Fidelity("toy", False, "clips", 3, 9, 700, 0.89, 0.98, 32.74, 30.06)
numbers = st.floats(1e-6, 1e6)
rows = st.builds(
    BenchmarkRow,
    st.text(max_size=9),
    st.sampled_from(["encode", "decode", "compress", "decompress"]),
    numbers,
    st.integers(1, 32),
    st.sampled_from(["", "published", "snac"]),
    numbers,
    st.none() | numbers,
    st.none() | numbers,
    st.none() | numbers,
    st.none() | numbers,
    st.integers(1, 9),
)


def results() -> BenchmarkResults:
    """One of everything."""
    return BenchmarkResults(
        {
            "torch": "2.0",
            "threads": 2,
            "cpu": "a CPU",
            "device": "cpu",
            "bfloat16": True,
            "precision": "fast",
        },
        [ROW, replace(ROW, audio_s=600.0, ratio=4.0)],
        [
            Rate("", "matrix product, float32", 100.0, None, "float32"),
            Rate("toy", "encode", 40.0, 0.4, "float32"),
        ],
        [CodeAgreement("toy", "transformers", 0.999)],
        [FIDELITY],
        [Missing("snac", "the package snac cannot be used")],
    )


@given(st.lists(rows, max_size=4))
def test_json_reads_back(some_rows):
    """To the same values."""
    whole = results()
    whole.rows = some_rows
    assert BenchmarkResults.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1, "setting": {}, "rows": [{}]}']
)
def test_other_json_is_refused(text):
    """With an ArgumentError."""
    with pytest.raises(ArgumentError):
        BenchmarkResults.from_json(text)


def test_the_schema_is_in_the_file():
    """So that a later version can tell."""
    assert json.loads(results().to_json())["schema"] == 1


def test_markdown_holds_every_number():
    """Ratios, memory, growth, shares, agreement, what is missing, and the setting."""
    text = markdown(results())
    for part in (
        "| compress | 1 | 1 | stand-in for descript-audio-codec | 0.5000 | 1.2500 | 2.50 | 400 |",
        "toy: longer files",
        "| compress | 600 | 0.5000 | 2.0 | 400 |",
        "| toy | encode | 40.0 | 40% of float32 |",
        "99.9000%",
        "- snac: the package snac cannot be used",
        "a CPU, 2 threads",
        "## Beside exact float32 on the CPU",
        "| as loaded | fast, bfloat16, cpu | clips | 3 of 9 | 700 | 89.000% | 98.000% | 32.7 |",
    ):
        assert part in text


def test_older_json_reads_too():
    """That of versions which did not compare with float32 on the CPU."""
    values = json.loads(results().to_json())
    del values["fidelities"]
    assert BenchmarkResults.from_json(json.dumps(values)) == replace(results(), fidelities=[])


def test_what_was_compared_is_said():
    """Seeded weights, noise, no difference at all, and a CPU that has no bfloat16."""
    whole = results()
    whole.setting["bfloat16"] = False
    whole.fidelities = [
        replace(FIDELITY, seeded=True, audio="noise", snr_median_db=None, snr_worst_db=None)
    ]
    text = markdown(whole)
    assert "| toy | seeded | fast, no bfloat16, cpu | noise |" in text
    assert "| no difference | no difference |" in text
    assert "--audio" in text
    assert "--audio" not in markdown(results())


def test_no_growth_from_one_length():
    """Nothing grows with a single length."""
    one = results()
    del one.rows[1]
    assert "longer files" not in markdown(one)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_picture(n_rows):
    """An SVG with the ratio in it, and without a date."""
    whole = results()
    whole.rows = whole.rows[:n_rows]
    svg = svg_of(plot.picture(whole))
    assert svg.count("<svg") == 1
    assert "dc:date" not in svg
    assert (" 4.00" in svg) == (n_rows == 2)
