"""The report's tables, as Markdown and as CSV."""

import csv
from dataclasses import replace
from pathlib import Path

from audiocodec.lab.evaluate.report import tables
from audiocodec.lab.evaluate.report_data import Report
from audiocodec.lab.evaluate.summary import Summaries


def line_of(text: str, start: str) -> list[str]:
    """Cells of the first table line that begins so."""
    [line, *_] = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_lines_give_mean_interval_and_for_si_sdr_the_median(report: Report) -> None:
    """Two clips of speech at 8 kbps: ViSQOL 2 and 3 or so, each as `mean (low to high)`."""
    text = tables.markdown(report)
    head, cells = line_of(text, "system"), line_of(text, "ours, 8 kbps")
    found = dict(zip(head, cells))
    values = [r.figures["visqol"] for r in report.rows if r.label == "ours, 8 kbps"]
    speech = [r.figures["visqol"] for r in report.rows if r.label == "ours, 8 kbps"][::2]
    assert len(values) == 4
    assert found["ViSQOL ↑"] == (f"{sum(speech) / 2:.2f} ({min(speech):.2f} to {max(speech):.2f})")
    assert "median" in found["SI-SDR, dB ↑"]


def test_lines_of_the_model_name_the_nearest_other_system(report: Report) -> None:
    """8 kbps is nearest to Opus at 6.5, with the measured rate; other lines name none."""
    text = tables.markdown(report)
    assert line_of(text, "ours, 8 kbps")[-1] == "Opus, 6.5 kbps (6.50 kbps)"
    assert line_of(text, "Opus, 12 kbps")[-1] == ""


def test_what_was_left_out_is_said_below_the_table(report: Report) -> None:
    """Metric, how often, why and of which systems, once."""
    found = tables.class_table(report, Summaries(report.rows), "speech")
    assert found.notes == (
        "ViSQOL left out for 1 clip: shorter than 1 s (Opus, 6.5 kbps; Opus, 12 kbps)",
    )


def test_a_failure_of_every_system_is_said_shortly(report: Report) -> None:
    """Without a list of all of them."""
    rows = [replace(row, failures={"pesq": "no speech"}) for row in report.rows]
    notes = list(tables.left_out(rows))
    assert notes == ["PESQ left out for 4 clips: no speech (every system)"]


def test_speech_figures_stand_in_the_table_of_speech_only(report: Report) -> None:
    """Not of music, and not of all classes, where they would be of speech alone."""
    summaries = Summaries(report.rows)
    columns = {
        kind: tables.class_table(report, summaries, kind).columns for kind in summaries.kinds
    }
    assert [kind for kind in columns if "PESQ ↑" in columns[kind]] == ["speech"]


def test_names_cannot_break_out_of_their_cell(report: Report) -> None:
    """Bars, tags and line breaks in a system's name."""
    rows = tuple(replace(row, system="a|b\n<i>") for row in report.rows)
    assert line_of(tables.markdown(replace(report, rows=rows)), "a\\|b &lt;i>, 8 kbps")


def test_codebooks_speed_and_what_was_not_run_are_there(report: Report) -> None:
    """Each with its figures and reasons."""
    text = tables.markdown(report)
    assert line_of(text, "all classes: entropy")[1:] == ["9.50", "8.25", "88.8 %"]
    assert line_of(text, "speech: entries used")[1:3] == ["90 %", "50 %"]
    assert line_of(text, "ours, 8 kbps | 12")[1:] == ["12", "346", "512"]
    assert line_of(text, "EnCodec") == ["EnCodec", "no weights & &lt;no> network"]
    assert "- clip &lt;x>: Opus gave up" in text


def test_parts_that_are_empty_are_left_away(report: Report) -> None:
    """No heading without a table."""
    bare = tables.markdown(replace(report, usage=(), speed=(), not_run={}, failed=()))
    assert [line for line in bare.splitlines() if line.startswith("#")] == [
        "### speech, 2 clips",
        "### music, 2 clips",
        "### All classes, 4 clips",
    ]


def test_codebooks_csv_has_a_line_for_each_codebook(tmp_path: Path, report: Report) -> None:
    """Of each system and class."""
    tables.write_codebooks_csv(tmp_path / "codebooks.csv", report.usage)
    with (tmp_path / "codebooks.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    assert lines[1] == {
        "system": "ours",
        "class": "all",
        "frames": "3000",
        "codebook": "2",
        "entries": "1024",
        "entropy_bits": "8.25",
        "used_share": "0.75",
        "efficiency_of_all": "0.8875",
    }
