"""Lets systems take turns, and computes medians over the rounds.

The machine's speed drifts, so two systems are compared within each round, not by their medians.
"""

import statistics
from collections.abc import Sequence
from typing import Protocol


class TakenTurn(Protocol):
    """One run of a system, such as worker.Turn."""

    @property
    def seconds(self) -> float: ...

    @property
    def peak_mib(self) -> float | None: ...


class TurnTaker(Protocol):
    """A system that takes turns, such as worker.Worker."""

    def take_turn(self) -> TakenTurn: ...


Round = list[TakenTurn]  # one turn of each system, in order


def alternate(takers: Sequence[TurnTaker], rounds: int, budget_s: float) -> list[Round]:
    """Let the systems take turns, one after the other, round by round.

    No further round starts once budget_s have been spent; the first one always takes place.
    """
    done: list[Round] = []
    spent = 0.0
    while len(done) < rounds and (not done or spent < budget_s):
        done.append([taker.take_turn() for taker in takers])
        spent += sum(turn.seconds for turn in done[-1])
    return done


def median_seconds(rounds: Sequence[Round], taker: int) -> float:
    """Median duration of the turns of one system; taker: its place in a round."""
    return statistics.median(turns[taker].seconds for turns in rounds)


def median_ratio(rounds: Sequence[Round]) -> float:
    """Median over the rounds of the second system's seconds divided by the first one's."""
    return statistics.median(second.seconds / first.seconds for first, second in rounds)


def peak_mib(rounds: Sequence[Round], taker: int) -> float | None:
    """Peak memory of one system's process in MiB; None where it is not known."""
    peaks = [turns[taker].peak_mib for turns in rounds]
    known = [peak for peak in peaks if peak is not None]
    return max(known, default=None)
