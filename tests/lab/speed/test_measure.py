"""Turns, medians and ratios, with turn takers that only pretend to work."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.lab.speed.measure import alternate, median_ratio, median_seconds, peak_mib
from audiocodec.lab.speed.worker import Turn


@dataclass
class Pretender:
    """Takes turns of given lengths on a clock that it shares; notes when."""

    clock: list[float]
    durations: list[float]
    peak: float | None = None
    turns: list[Turn] = field(default_factory=list)

    def take_turn(self) -> Turn:
        started = self.clock[0]
        self.clock[0] += self.durations[len(self.turns) % len(self.durations)]
        self.turns.append(Turn(started, self.clock[0], self.peak))
        return self.turns[-1]


def pair(first, second):
    """Two pretenders on one clock."""
    clock = [0.0]
    return Pretender(clock, first), Pretender(clock, second)


def test_systems_take_turns_and_never_overlap():
    """First, second, first, second, each after the other's end."""
    takers = pair([1.0], [2.0])
    rounds = alternate(takers, 3, 100.0)
    in_order = [turn for turns in rounds for turn in turns]
    assert in_order[0::2] == takers[0].turns
    assert in_order[1::2] == takers[1].turns
    assert all(before.ended <= after.started for before, after in pairwise(in_order))


def test_no_round_starts_when_the_budget_is_spent():
    """The first takes place in any case, the others while there is time."""
    assert len(alternate(pair([1.0], [2.0]), 5, 4.0)) == 2
    assert len(alternate(pair([1.0], [2.0]), 5, 0.0)) == 1


@given(
    drift=st.lists(st.floats(0.1, 10), min_size=1, max_size=9),
    times=st.floats(0.1, 10),
)
def test_a_drifting_machine_does_not_change_the_ratio(drift, times):
    """Where both get slower together, the ratio of each round stays what it is."""
    first, second = pair(drift, [times * factor for factor in drift])
    rounds = alternate([first, second], len(drift), 1e9)
    assert median_ratio(rounds) == pytest.approx(times, rel=1e-6)


def test_medians_are_over_rounds():
    """One slow round counts for nothing."""
    rounds = alternate(pair([1.0, 9.0, 1.0], [3.0, 3.0, 3.0]), 3, 100.0)
    assert median_seconds(rounds, 0) == 1.0
    assert median_ratio(rounds) == 3.0


def test_peak_of_a_system_that_does_not_say():
    """None, as on systems without VmHWM."""
    first, second = pair([1.0], [1.0])
    second.peak = 7.0
    rounds = alternate([first, second], 2, 100.0)
    assert (peak_mib(rounds, 0), peak_mib(rounds, 1)) == (None, 7.0)
