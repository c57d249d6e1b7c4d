"""Turns, and what follows from them: medians over rounds.

The machine's speed drifts, so two systems are compared round by round, never by their own medians.
"""

import statistics
from collections.abc import Sequence
from typing import Protocol


class TakenTurn(Protocol):
    """One run; worker.Turn is one."""

    @property
    def seconds(self) -> float: ...

    @property
    def peak_mib(self) -> float | None: ...


class TurnTaker(Protocol):
    """Something that takes turns; worker.Worker is one."""

    def take_turn(self) -> TakenTurn: ...


Round = list[TakenTurn]  # a turn of each taker, in order


def alternate(takers: Sequence[TurnTaker], rounds: int, budget_s: float) -> list[Round]:
    """Let each take a turn, one after the other, round by round.

    No further round starts once budget_s have been spent; the first one always takes place.
    """
    done: list[Round] = []
    spent = 0.0
    while len(done) < rounds and (not done or spent < budget_s):
        done.append([taker.take_turn() for taker in takers])
        spent += sum(turn.seconds for turn in done[-1])
    return done


def median_seconds(rounds: Sequence[Round], taker: int) -> float:
    """Of one taker's turns."""
    return statistics.median(turns[taker].seconds for turns in rounds)


def median_ratio(rounds: Sequence[Round]) -> float:
    """Of the second taker's seconds over the first one's, in each round."""
    return statistics.median(second.seconds / first.seconds for first, second in rounds)


def peak_mib(rounds: Sequence[Round], taker: int) -> float | None:
    """Most memory that a taker's process has used; None where it cannot be told."""
    peaks = [turns[taker].peak_mib for turns in rounds]
    known = [peak for peak in peaks if peak is not None]
    return max(known, default=None)
