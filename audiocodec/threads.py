"""How many threads the machine grants: CPU affinity, and the quota of a container (cgroups).

OpenMP takes one thread for each core it may run on. A container with a quota of two cores on a host
with sixty-four would so start sixty-four threads that wait for each other.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def usable_cores() -> int:
    """Cores that this process may run on, as far as the system tells; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def granted_cores() -> int:
    """Usable cores, or the CPU quota in whole cores where that is less; at least 1.

    A quota of half a core and more above a whole number counts as one more core.
    """
    quota = cpu_quota()
    return usable_cores() if quota is None else min(usable_cores(), rounded(quota))


def rounded(quota: float) -> int:
    """A quota in whole cores, at least 1: halves are rounded up."""
    return max(1, math.floor(quota + 0.5))


def threads_for_each(n_processes: int) -> int:
    """Threads for each of several processes that share the cores; at least 1.

    OMP_NUM_THREADS, where the user has set it, is not exceeded.
    """
    share = max(1, granted_cores() // n_processes)
    return min(share, _chosen_threads() or share)


def set_default_threads() -> None:
    """Where a quota grants fewer cores than there are, set the threads of OpenMP to them.

    Only in a process that has not imported torch yet, and never against a variable that is set.
    Threads then wait without spinning: the quota pays for spinning, too.
    """
    n_threads = granted_cores()
    if n_threads < usable_cores():
        if not os.environ.keys() & {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}:
            os.environ["OMP_NUM_THREADS"] = str(n_threads)
        if not waiting_is_chosen():
            os.environ["OMP_WAIT_POLICY"] = "passive"


def waiting_is_chosen() -> bool:
    """Whether the environment says how OpenMP's threads wait."""
    return bool(os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})


def _chosen_threads() -> int:
    """OMP_NUM_THREADS, of nested regions the outermost; 0 where it is not set, or no number."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() else 0


def cpu_quota(root: Path = ROOT) -> float | None:
    """Cores' worth of CPU time that the cgroups of this process allow it; None without a limit.

    The smallest of the process's own cgroup and of those around it. root: of the file system.
    Source: Linux, Documentation/admin-guide/cgroup-v2.rst; scheduler/sched-bwc.rst for version 1.
    """
    quotas = [_quota(folder) for folder in _cgroups(root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """The limit of one cgroup, in cores; "max" and -1 are none."""
    words = _text(folder / "cpu.max").split()
    if not words:
        words = _text(folder / "cpu.cfs_quota_us").split()
        words += _text(folder / "cpu.cfs_period_us").split()
    try:
        quota_us, period_us = (int(word) for word in words)
    except ValueError:
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _cgroups(root: Path) -> Iterator[Path]:
    """Folders of the cgroups that limit this process's CPU time, inner ones first."""
    own = _own_paths(_text(root / "proc/self/cgroup"))
    for line in _text(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        fields, kinds = mount.split(), system.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        kind = {"cgroup2": "", "cgroup": "cpu"}.get(kinds[0])
        if kind not in own or (kind == "cpu" and "cpu" not in kinds[2].split(",")):
            continue
        folder = root / _unescaped(fields[4]).lstrip("/")
        inner = _below(own[kind], _unescaped(fields[3]))
        yield from (folder / part for part in (inner, *inner.parents))


def _own_paths(text: str) -> dict[str | None, str]:
    """/proc/self/cgroup -> the path for each controller; version 2 has the name ""."""
    paths: dict[str | None, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _below(path: str, mounted: str) -> PurePosixPath:
    """A cgroup's path from the one that is mounted; that one itself where it lies elsewhere."""
    try:
        inner = PurePosixPath(path).relative_to(mounted)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in inner.parts else inner


def _unescaped(field: str) -> str:
    return field.replace(r"\040", " ")  # as mountinfo writes a space


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
