"""Real worker processes with the toy model."""

from itertools import pairwise
from pathlib import Path

import pytest

from audiocodec.lab.speed.measure import alternate
from audiocodec.lab.speed.worker import Worker, WorkerFailed
from audiocodec.lab.systems.base import Unavailable, package
from audiocodec.lab.systems.workloads import TimedSpec, Workload
from tests.conftest import noise

CELL = Workload("encode", 0.05)
NOISE = noise(5000).numpy()


def spec(system: str, model: Path, folder: Path) -> TimedSpec:
    """On one thread."""
    return TimedSpec(system, str(model), str(folder), threads=1)


def test_two_processes_take_turns(toy_folder, tmp_path):
    """By a clock that both share, no turn starts before the other's has ended."""
    with (
        Worker(spec("ours", toy_folder, tmp_path)) as ours,
        Worker(spec("published", toy_folder, tmp_path)) as theirs,
    ):
        for worker in (ours, theirs):
            worker.prepare(CELL)
        rounds = alternate([ours, theirs], 3, 60.0)
        assert (ours.codes(NOISE) == theirs.codes(NOISE)).all()
        with pytest.raises(WorkerFailed, match="published forward pass has no compress"):
            theirs.prepare(Workload("compress", 0.05))
        theirs.prepare(CELL)  # it goes on after a failure
        assert ours.setting["threads"] == 1
    turns = [turn for both in rounds for turn in both]
    assert all(before.ended <= after.started for before, after in pairwise(turns))
    assert all(turn.seconds > 0 for turn in turns)
    assert not ours.is_alive
    assert not theirs.is_alive


def test_only_ours_is_compared_in_decoding(toy_folder, tmp_path):
    """Ours gives samples for codes; another system says that it does not, and goes on."""
    with (
        Worker(spec("ours", toy_folder, tmp_path)) as ours,
        Worker(spec("published", toy_folder, tmp_path)) as theirs,
    ):
        codes = ours.codes(NOISE)
        assert ours.decoded(codes).shape == (1, 1, 10 * 512)
        with pytest.raises(WorkerFailed, match="published has no decoding to compare"):
            theirs.decoded(codes)
        assert (theirs.codes(NOISE) == codes).all()


def test_a_process_that_ends_is_said(toy_folder, tmp_path):
    """As an error, with what it ended with; asking it again is one too."""
    with Worker(spec("ours", toy_folder, tmp_path)) as worker:
        worker._process.kill()
        worker._process.join()
        with pytest.raises(WorkerFailed, match="ended"):
            worker.prepare(CELL)
        with pytest.raises(WorkerFailed, match="ended"):
            worker.prepare(CELL)


def test_a_missing_package_is_said():
    """By its name."""
    with pytest.raises(Unavailable, match="no_such_package"):
        package("no_such_package")
