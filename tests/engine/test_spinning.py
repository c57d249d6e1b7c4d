"""OpenMP's threads stop spinning while the machine is busy, and spin again when it is not."""

import os
import subprocess
import sys
import threading
import time

import pytest

from audiocodec.engine import kernels, spinning
from audiocodec.engine.spinning import IdleTeam, Spinning, times_of_threads, waiting_share

needs_kernels = pytest.mark.skipif(not kernels.forms_teams(), reason="the kernels were not built")


@pytest.fixture
def teams(monkeypatch):
    """Two cores, two threads; shares of waiting are given by hand; collects teams."""
    made: list[FakeTeam] = []
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(spinning, "usable_cores", lambda: 2)
    monkeypatch.setattr(spinning.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(spinning, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(spinning, "COST_SHARE", 1e9)
    monkeypatch.setattr(spinning, "_team_where_possible", lambda n: FakeTeam(n, made))
    return made


class FakeTeam:
    """Has no threads."""

    def __init__(self, n_threads: int, made: list) -> None:
        self.n_threads, self.alive, self.looked_s = n_threads, True, 0.0
        made.append(self)

    def is_alive(self) -> bool:
        return self.alive

    def end(self) -> None:
        self.alive = False


def follow(monkeypatch, control: Spinning, *shares: float) -> None:
    for share in shares:
        monkeypatch.setattr(spinning, "waiting_share", lambda *_, share=share: share)
        control.look()


def test_a_team_is_there_while_threads_wait_for_cores(teams, monkeypatch):
    """One at a time; between the limits nothing changes."""
    control = Spinning()
    follow(monkeypatch, control, 0.0, 0.08)
    assert not teams
    follow(monkeypatch, control, 0.5, 0.5, 0.08)
    assert [team.alive for team in teams] == [True]
    assert teams[0].n_threads == 2
    follow(monkeypatch, control, 0.01)
    assert [team.alive for team in teams] == [False]
    follow(monkeypatch, control, 0.5)
    assert [team.alive for team in teams] == [False, True]


def test_a_team_that_was_forgotten_is_formed_again(teams, monkeypatch):
    """Its threads ended when nobody looked for long."""
    control = Spinning()
    follow(monkeypatch, control, 0.5)
    teams[0].alive = False
    follow(monkeypatch, control, 0.5)
    assert len(teams) == 2


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_a_choice_of_the_user_is_left_alone(teams, monkeypatch, name):
    """However busy the machine is."""
    monkeypatch.setenv(name, "active")
    follow(monkeypatch, Spinning(), 0.5)
    assert not teams


def test_one_thread_waits_for_none(teams, monkeypatch):
    """There is nothing to spin for."""
    monkeypatch.setattr(spinning.torch, "get_num_threads", lambda: 1)
    follow(monkeypatch, Spinning(), 0.5)
    assert not teams


def test_looking_is_rare(teams, monkeypatch):
    """It takes a small share of the time, whatever it costs."""
    monkeypatch.setattr(spinning, "COST_SHARE", 0.01)
    monkeypatch.setattr(spinning, "LOOK_EVERY_S", 60.0)
    control = Spinning()
    follow(monkeypatch, control, 0.0, 0.5)
    assert not teams


def test_shares_of_waiting():
    """Of threads that are still there, since the look before."""
    before = {"1": (100, 50), "2": (1000, 0)}
    assert waiting_share(before, {"1": (400, 150)}) == 0.25
    assert waiting_share({}, {"1": (300, 100), "3": (0, 0)}) == 0.25
    assert waiting_share(before, before) == 0
    assert waiting_share(before, {}) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="Linux counts this")
def test_times_grow_as_threads_run():
    """In nanoseconds."""
    before = times_of_threads()
    end_s = time.process_time() + 0.05
    while time.process_time() < end_s:
        pass
    thread = str(threading.get_native_id())
    assert times_of_threads()[thread][0] - before[thread][0] > 20e6


@needs_kernels
def test_a_team_ends_when_told():
    """And its thread with it."""
    team = IdleTeam(2)
    assert team.is_alive()
    team.end()
    team._thread.join(10)
    assert not team.is_alive()


@needs_kernels
def test_a_team_ends_when_it_is_forgotten(monkeypatch):
    """A program that goes on without this library gets its threads' waiting back."""
    monkeypatch.setattr(spinning, "FORGOTTEN_S", 0.05)
    team = IdleTeam(2)
    team._thread.join(10)
    assert not team.is_alive()


@needs_kernels
def test_no_team_where_threads_cannot_be_started(monkeypatch):
    """libgomp would end the program."""

    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(spinning.threading.Thread, "start", refused)
    assert spinning._team_where_possible(2) is None


def test_no_team_of_many():
    """Who takes few of many cores has chosen so."""
    assert spinning._team_where_possible(spinning.MOST_IDLE + 1) is None


SPIN = """
import os, time, torch
from audiocodec.engine.spinning import IdleTeam
def cpu_share():
    begun, spent = time.perf_counter(), time.process_time()
    for _ in range(20):
        torch.add(x, 1, out=x)  # threads spin after it
        time.sleep(0.004)
    return (time.process_time() - spent) / (time.perf_counter() - begun)
torch.set_num_threads(len(os.sched_getaffinity(0)))
x = torch.zeros(1 << 17)
spinning = cpu_share()
team = IdleTeam(2)
time.sleep(0.2)
throttled = cpu_share()
team.end()
team._thread.join()
print(spinning, throttled, cpu_share())
"""


@needs_kernels
@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="one core has no threads that wait for each other",
)
def test_libgomp_stops_spinning_while_an_idle_team_is_there():
    """What all of this relies on: that libgomp counts threads against cores."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run([sys.executable, "-c", SPIN], env=clean, capture_output=True, text=True)
    before, throttled, after = map(float, done.stdout.split())
    assert throttled < before / 2
    assert throttled < after / 2
