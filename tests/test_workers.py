"""What is left of a pool of processes when it ends early."""

import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import active_children, get_context, popen_spawn_posix

import pytest

from audiocodec import workers
from audiocodec.workers import each_done, worker_pool


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


def hold(item):
    """Keep a file as long as possible, and be slow to remove it; or wait until it is there."""
    path, is_kept = item
    while not is_kept and not path.exists():
        time.sleep(0.01)
    if is_kept:
        path.touch()
        try:
            time.sleep(300)
        finally:
            time.sleep(2.0)
            path.unlink()


def fail(result):
    """What goes wrong here, while workers are at work."""
    raise ZeroDivisionError(result)


def kill(pid):
    """As when memory is out."""
    os.kill(pid, signal.SIGKILL)


def done_in(n_processes, items, work, then):
    """Hand the works to a pool, and what comes of each to `then`."""
    with worker_pool(n_processes, 1) as pool:
        for _, result in each_done(pool, work, items):
            then(result)


def test_each_item_is_given_with_what_came_of_it():
    """As soon as it is done."""
    with worker_pool(2, 1) as pool:
        done = list(each_done(pool, pow, range(5, 0, -1), 2))
    assert sorted(done) == [(n, 2**n) for n in range(1, 6)]


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


def test_what_is_being_done_cleans_up_undisturbed(tmp_path):
    """Though the pool ends all that are left as soon as one has gone."""
    path = tmp_path / "half-written"
    with pytest.raises(ZeroDivisionError):
        done_in(2, [(path, True), (path, False)], hold, fail)
    assert not path.exists()


@pytest.mark.parametrize("has_threads", [False, True])
def test_an_interrupt_comes_when_processes_have_started(has_threads):
    """Whichever thread receives it."""
    given = []
    over = threading.Event()
    other = threading.Thread(target=over.wait, daemon=True)
    if has_threads:
        other.start()

    def items():
        given.append(300.0)
        yield 300.0
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        given.append(300.0)
        yield 300.0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            done_in(2, items(), sleep, fail)
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
    if has_threads:
        other.join()
    assert len(given) == 2


def test_a_process_that_cannot_be_started_is_told(monkeypatch):
    """The others end."""
    launch = popen_spawn_posix.Popen._launch
    launches = []

    def refuse_the_second(self, process):
        launches.append(process)
        if len(launches) == 2:
            raise BlockingIOError
        launch(self, process)

    monkeypatch.setattr(popen_spawn_posix.Popen, "_launch", refuse_the_second)
    with pytest.raises(BlockingIOError):
        done_in(2, [300.0] * 3, sleep, fail)


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
