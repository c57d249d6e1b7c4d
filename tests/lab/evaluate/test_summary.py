"""Means, intervals, medians; failures are counted and never averaged."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.lab.evaluate.rows import ResultRow
from audiocodec.lab.evaluate.summary import (
    ALL,
    Summaries,
    Summary,
    interval,
    summaries,
    write_summary_csv,
)

figures = st.floats(-80, 80)


def row(
    clip: int, mel: float | None, system: str = "ours", kbps: float = 8, kind: str = "speech"
) -> ResultRow:
    """A row with a mel distance, or with none."""
    found = {} if mel is None else {"mel": mel}
    failures = {"mel": "silent"} if mel is None else {}
    codebooks = 9 if system == "ours" else 0
    return ResultRow(
        f"clip {clip}", kind, system, f"{kbps:g} kbps", codebooks, kbps, 8, 10.0 * codebooks, 3, 4,
        found, failures,
    )  # fmt: skip


def of(lines: list[Summary], metric: str, kind: str = "speech") -> Summary:
    """The one line of a metric and class."""
    [line] = [line for line in lines if (line.metric, line.kind) == (metric, kind)]
    return line


def test_mean_and_median_of_known_figures() -> None:
    """1, 2 and 6 have mean 3 and median 2; the interval lies between the ends."""
    line = of(summaries([row(i, mel) for i, mel in enumerate([1.0, 2.0, 6.0])]), "mel")
    assert (line.n, line.mean, line.median, line.failures) == (3, 3.0, 2.0, {})
    assert 1 <= line.low < 3 < line.high <= 6


def test_interval_is_the_percentiles_of_resampled_means() -> None:
    """Two clips at 0 and 1: a draw's mean is 0, 1/2 or 1, the ends a quarter of the time each."""
    assert interval([0.0, 1.0]) == (0.0, 1.0)


def test_interval_agrees_with_the_normal_one_for_many_clips() -> None:
    """Of 400 figures: mean plus or minus 1.96 standard errors, within 10 % of its width."""
    values = np.random.default_rng(1).normal(size=400)
    reach = 1.96 * values.std() / 20
    low, high = interval(list(values))
    assert (low, high) == pytest.approx(
        (values.mean() - reach, values.mean() + reach), abs=0.2 * reach
    )


def test_interval_shrinks_with_more_clips() -> None:
    """The same figures four times over: half as wide."""
    values = list(np.random.default_rng(2).normal(size=30))
    (low, high), (low_4, high_4) = interval(values), interval(values * 4)
    assert (high_4 - low_4) == pytest.approx((high - low) / 2, rel=0.1)


@given(values=st.lists(figures, min_size=2, max_size=20))
def test_interval_is_the_same_each_time_and_holds_its_order(values: list[float]) -> None:
    """Seeded; between the smallest and the largest figure."""
    low, high = interval(values)
    assert (low, high) == interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


@given(
    values=st.lists(figures, min_size=1, max_size=12),
    n_failed=st.integers(0, 5),
    where=st.integers(0, 12),
)
def test_failures_change_no_mean(values: list[float], n_failed: int, where: int) -> None:
    """Wherever they stand, they are counted by reason and change nothing else."""
    good = [row(i, mel) for i, mel in enumerate(values)]
    bad = [row(100 + i, None) for i in range(n_failed)]
    alone = of(summaries(good), "mel")
    mixed = of(summaries([*good[:where], *bad, *good[where:]]), "mel")
    assert mixed.failures == ({"silent": n_failed} if n_failed else {})
    assert repr((mixed.n, mixed.mean, mixed.low, mixed.high, mixed.median)) == repr(
        (alone.n, alone.mean, alone.low, alone.high, alone.median)
    )


def test_nothing_but_failures_has_no_mean() -> None:
    """The line is there, to be counted; its figures are not numbers."""
    line = of(summaries([row(0, None), row(1, None)]), "mel")
    assert (line.n, line.failures) == (0, {"silent": 2})
    assert np.isnan([line.mean, line.low, line.high, line.median]).all()


def test_one_clip_has_no_interval() -> None:
    """Resampling one clip would claim that it is certain."""
    line = of(summaries([row(0, 2.5)]), "mel")
    assert line.mean == 2.5
    assert np.isnan([line.low, line.high]).all()


def test_all_pools_the_clips_of_every_class() -> None:
    """By clips: not the mean of the classes' means."""
    rows = [row(0, 1.0), row(1, 1.0), row(2, 4.0, kind="music")]
    assert of(summaries(rows), "mel", ALL).mean == 2.0
    assert of(summaries(rows), "mel", "music").mean == 4.0


def test_rates_are_summed_up_likewise() -> None:
    """kbps and speeds of all clips, failed figures or not; tokens only where there are any."""
    lines = summaries([row(0, None, "Opus", 6), row(1, 1.0, "Opus", 6)])
    assert (of(lines, "kbps").mean, of(lines, "kbps").n) == (6, 2)
    assert of(lines, "decode_speed").mean == 4
    assert "tokens_per_s" not in {line.metric for line in lines}
    assert of(summaries([row(0, 1.0)]), "tokens_per_s").mean == 90


def test_nearest_is_of_another_system_and_by_ratio() -> None:
    """From 8 kbps, 6 is nearer than 11: a factor of 1.33 against 1.38."""
    rows = [row(0, 1.0), row(0, 1.0, "ours", 7.9), row(0, 1.0, "Opus", 6), row(0, 1.0, "AAC", 11)]
    assert Summaries(rows).nearest("speech", "ours, 8 kbps") == "Opus, 6 kbps"
    assert Summaries(rows[:2]).nearest("speech", "ours, 8 kbps") is None


def test_settings_stand_by_rate_within_their_system() -> None:
    """Systems by first appearance; 12 kbps comes after 6."""
    rows = [row(0, 1.0, "Opus", 12), row(0, 1.0), row(0, 1.0, "Opus", 6)]
    labels = Summaries(rows).labels("speech")
    assert labels == ["Opus, 6 kbps", "Opus, 12 kbps", "ours, 8 kbps"]


def test_all_is_shown_only_beside_several_classes() -> None:
    """Of a single class it would say the same again."""
    assert Summaries([row(0, 1.0)]).kinds == ["speech"]
    assert Summaries([row(0, 1.0), row(1, 1.0, kind="music")]).kinds == ["speech", "music", ALL]


def test_csv_has_empty_cells_for_what_is_unknown(tmp_path: Path) -> None:
    """And failures as reason and count."""
    write_summary_csv(tmp_path / "summary.csv", summaries([row(0, None), row(1, 2.0)]))
    with (tmp_path / "summary.csv").open(newline="") as file:
        [line] = [x for x in csv.DictReader(file) if (x["metric"], x["class"]) == ("mel", ALL)]
    assert (line["n"], line["mean"], line["low"], line["failed"]) == ("1", "2.0", "", "1")
    assert line["failures"] == "silent (1)"
