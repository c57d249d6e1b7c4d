"""The benchmark of quiet and busy machines, with times made up and one real turn."""

import os

from audiocodec.lab.speed import busy
from audiocodec.lab.speed.busy import OWN, SPINNING, Taken, library, measure, report


def test_ways_take_turns_quiet_and_busy(monkeypatch):
    """Ratios are medians of those from round to round."""
    first = [Taken(1.0, 2.0), Taken(1.0, 2.0), Taken(3.0, 2.4), Taken(9.0, 9.0)]
    second = [Taken(1.1, 2.0), Taken(1.0, 2.0), Taken(3.0, 2.8), Taken(9.0, 9.0)]
    taken = iter([*first, *second])
    turns = dict.fromkeys((OWN, SPINNING), lambda: next(taken))
    text = report(measure(turns, 2, n_busy=1))
    assert "| own | quiet | 1.050 | 2.000 |" in text
    assert "| spinning | busy | 9.000 | 9.000 |" in text
    assert "relative to that on a quiet one: 1.30." in text
    assert "relative to that with spinning threads: 1.050." in text


def test_a_real_turn(toy_folder, monkeypatch):
    """Choices of the environment are left out, so that both ways are what they say."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS" not in busy._variables(OWN)
    assert busy._variables(SPINNING).keys() - os.environ.keys() <= {"GOMP_SPINCOUNT"}
    with library(OWN, str(toy_folder), 0.05) as turn:
        taken = turn()
    assert taken.cpu_s > 0
    assert 0 < taken.wall_s < 60
