"""Keeps OpenMP's threads from spinning while other processes want the cores.

After each parallel region the threads of libgomp, torch's and our kernels' OpenMP, spin for some
milliseconds in case another region follows. Where the cores are idle otherwise, that is fastest. On
a busy machine the thread that is waited for may not be running, and most CPU time goes into
spinning. libgomp almost stops spinning once its threads outnumber the cores
(gomp_throttled_spin_count_var). So, while the threads of this process have to wait for cores, an
idle team of threads raises their number; it leaves no trace in the settings of a program.
"""

import os
import threading
import time
from contextlib import suppress

import torch

from audiocodec.engine.kernels import form_team, forms_teams
from audiocodec.threads import usable_cores, waiting_is_chosen

BUSY, QUIET = 0.10, 0.05  # shares of the time ready to run that was spent waiting for a core
LOOK_EVERY_S = 0.05
COST_SHARE = 0.01  # of the time, at most, that looking takes
FORGOTTEN_S = 30.0  # after which the team ends if nobody looks any more
MOST_IDLE = 16  # threads; where more would be needed, the user has chosen few of many cores

Times = dict[str, tuple[int, int]]  # for each thread, nanoseconds run and waited for a core


class Spinning:
    """Decides, ahead of each block, whether an idle team is needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as the copy of a process does, which has none of its threads."""
        self._lock = threading.Lock()
        self._team: IdleTeam | None = None
        self._seen: Times = {}  # the first look counts from the start of the process
        self._next_s = 0.0

    def look(self) -> None:
        """See whether this process waits for cores, and form or end the team; cheap."""
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
    """A thread whose OpenMP team does nothing; it ends when told to, or when it is forgotten."""

    def __init__(self, n_threads: int) -> None:
        self.looked_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(n_threads,), daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether its threads are there."""
        return self._thread.is_alive()

    def end(self) -> None:
        """The threads end soon."""
        self._ended.set()

    def _wait(self, n_threads: int) -> None:
        # torch may have brought an OpenMP library of its own; then each gets a team
        torch.zeros(torch.get_num_threads() << 15, device="cpu").add_(1)
        form_team(n_threads)
        while not self._ended.wait(FORGOTTEN_S):
            if time.monotonic() - self.looked_s > FORGOTTEN_S:
                return


def _team_where_possible(n_threads: int) -> IdleTeam | None:
    """A team of so many threads, 2 at least; None where it would take too many, or cannot be."""
    n_threads = max(2, n_threads)
    if n_threads > MOST_IDLE or not forms_teams() or not _can_start(n_threads + 1):
        return None
    return IdleTeam(n_threads)


def _can_start(n_threads: int) -> bool:
    """Whether the system allows so many more: libgomp ends the program where it does not."""
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
    """Those of this process, as Linux counts them; none elsewhere."""
    times: Times = {}
    with suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with suppress(OSError, ValueError):  # it may have ended
                with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
                    ran, waited = file.read().split()[:2]
                times[thread] = int(ran), int(waited)
    return times


def waiting_share(before: Times, after: Times) -> float:
    """Of the time that threads were ready to run, the share in which they waited for a core."""
    ran_ns = sum(ran - before.get(thread, (0, 0))[0] for thread, (ran, _) in after.items())
    waited_ns = sum(wait - before.get(thread, (0, 0))[1] for thread, (_, wait) in after.items())
    return waited_ns / (ran_ns + waited_ns) if min(ran_ns, waited_ns) > 0 else 0.0


SPINNING = Spinning()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SPINNING.forget)
