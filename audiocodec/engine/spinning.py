"""Keeps OpenMP threads from spinning while other processes want the cores.

At the end of a parallel region the threads of libgomp (the OpenMP of torch and of our kernels) spin
for some milliseconds, which is fastest on an idle machine but wastes most CPU time on a busy one.
libgomp almost stops spinning once it has more threads than there are cores
(gomp_throttled_spin_count_var). So while this process has to wait for cores, we start a team of
idle OpenMP threads that raises their number; no setting of the program changes.
"""

import os
import threading
import time
from contextlib import suppress

import torch

from audiocodec.engine.kernels import form_team, forms_teams
from audiocodec.threads import usable_cores, waiting_is_chosen

BUSY, QUIET = 0.10, 0.05  # share of its runnable time that a thread waits for a core
LOOK_EVERY_S = 0.05
COST_SHARE = 0.01  # of the running time, at most, that looking takes
FORGOTTEN_S = 30.0  # the team ends when nobody has called look() for so long
MOST_IDLE = 16  # threads; more are needed only if the user chose few threads on many cores

Times = dict[str, tuple[int, int]]  # thread id: nanoseconds run, nanoseconds waited for a core


class Spinning:
    """Decides before each block whether an idle team is needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset the state, as after a fork: the child has none of its parent's threads."""
        self._lock = threading.Lock()
        self._team: IdleTeam | None = None
        self._seen: Times = {}  # the first look counts from the start of the process
        self._next_s = 0.0

    def look(self) -> None:
        """Start or end the team if the process waits for cores, or no longer does; cheap."""
        now_s = time.monotonic()
        if now_s < self._next_s or not self._lock.acquire(blocking=False):
            return
        try:
            if torch.get_num_threads() > 1 and not waiting_is_chosen():
                seen = times_of_threads()
                self._follow(waiting_share(self._seen, seen))
                self._seen = seen
            taken_s = time.monotonic() - now_s
            self._next_s = now_s + max(LOOK_EVERY_S, taken_s / COST_SHARE)
        finally:
            self._lock.release()

    def _follow(self, share: float) -> None:
        if self._team is not None and self._team.is_alive():
            self._team.looked_s = time.monotonic()
            if share < QUIET:
                self._team.end()
                self._team = None
        elif share > BUSY:
            self._team = _team_where_possible(usable_cores() - torch.get_num_threads() + 2)


class IdleTeam:
    """A thread whose OpenMP team does nothing, until end() or FORGOTTEN_S without a look()."""

    def __init__(self, n_threads: int) -> None:
        self.looked_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(n_threads,), daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether its threads still run."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Ask the threads to end; they do so soon."""
        self._ended.set()

    def _wait(self, n_threads: int) -> None:
        # torch may bundle its own OpenMP library; a parallel operation gives that one a team, too
        torch.zeros(torch.get_num_threads() << 15, device="cpu").add_(1)
        form_team(n_threads)
        while not self._ended.wait(FORGOTTEN_S):
            if time.monotonic() - self.looked_s > FORGOTTEN_S:
                return


def _team_where_possible(n_threads: int) -> IdleTeam | None:
    """A team of n_threads, at least 2; None above MOST_IDLE or if it cannot be started."""
    n_threads = max(2, n_threads)
    if n_threads > MOST_IDLE or not forms_teams() or not _can_start(n_threads + 1):
        return None
    return IdleTeam(n_threads)


def _can_start(n_threads: int) -> bool:
    """Whether the system allows n_threads more; libgomp aborts the program where it does not."""
    done = threading.Event()
    try:
        for _ in range(n_threads):
            threading.Thread(target=done.wait, daemon=True).start()
    except RuntimeError:
        return False
    finally:
        done.set()
    return True


def times_of_threads() -> Times:
    """The times of the threads of this process, from Linux's schedstat; empty elsewhere."""
    times: Times = {}
    with suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with suppress(OSError, ValueError):  # it may have ended
                with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
                    ran, waited = file.read().split()[:2]
                times[thread] = int(ran), int(waited)
    return times


def waiting_share(before: Times, after: Times) -> float:
    """The share of the threads' runnable time between two readings spent waiting for a core."""
    ran_ns = sum(ran - before.get(thread, (0, 0))[0] for thread, (ran, _) in after.items())
    waited_ns = sum(wait - before.get(thread, (0, 0))[1] for thread, (_, wait) in after.items())
    return waited_ns / (ran_ns + waited_ns) if min(ran_ns, waited_ns) > 0 else 0.0


SPINNING = Spinning()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SPINNING.forget)
