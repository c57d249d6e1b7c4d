"""What is left of a pool of processes when it ends early."""

import os
import signal
import threading
import time
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import active_children, get_context

import pytest

from audiocodec import workers
from audiocodec.workers import submit_all, worker_pool


def sleep(seconds):
    """Work that an end interrupts; returns who did it."""
    time.sleep(seconds)
    return os.getpid()


def slow_to_end(seconds):
    """Work that does not end when it is told to."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(SystemExit):
            time.sleep(0.01)


def names_of_threads():
    """The threads that Python would wait for or wake as it ends."""
    return [thread.name for thread in threading.enumerate()]


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Neither a process nor a thread."""
    before = names_of_threads()
    yield
    assert active_children() == []
    assert names_of_threads() == before


def fail(pid):
    """What goes wrong here, while workers are at work."""
    raise ZeroDivisionError(pid)


def kill(pid):
    """As when memory is out."""
    os.kill(pid, signal.SIGKILL)


def done_in(n_processes, seconds, work, then):
    """Hand the works to a pool, and each that is done to `then`."""
    with worker_pool(n_processes, 1) as pool:
        for future in as_completed(submit_all(pool, work, seconds)):
            then(future.result())


@pytest.mark.parametrize(("then", "error"), [(fail, ZeroDivisionError), (kill, BrokenProcessPool)])
def test_a_failure_ends_what_is_being_done_and_what_waits(then, error):
    """Here, or of a worker that dies."""
    begin = time.monotonic()
    with pytest.raises(error):
        done_in(2, [0.01, *[300.0] * 20], sleep, then)
    assert time.monotonic() - begin < 100


def test_a_worker_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE_S", 0.2)
    begin = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        done_in(1, [0.01, 300.0], slow_to_end, fail)
    assert time.monotonic() - begin < 100


def test_other_processes_of_the_program_go_on():
    """Such as those that load its data."""
    other = get_context("spawn").Process(target=sleep, args=[300.0])
    other.start()
    try:
        with pytest.raises(ZeroDivisionError):
            done_in(1, [0.01, 300.0], sleep, fail)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()
