"""Chooses numbers of threads by CPU affinity and the CPU quota of a container (cgroups).

OpenMP starts one thread per core. In a container with a quota of two cores on a host with
sixty-four, that would be sixty-four threads that wait for each other.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def usable_cores() -> int:
    """Cores that this process may run on, or all if the system does not say; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def granted_cores() -> int:
    """Usable cores, or the CPU quota if that is less, rounded to whole cores; at least 1.

    Half a core or more above a whole number counts as one more core.
    """
    quota = cpu_quota()
    return usable_cores() if quota is None else min(usable_cores(), rounded(quota))


def rounded(quota: float) -> int:
    """A quota in whole cores, at least 1; halves are rounded up."""
    return max(1, math.floor(quota + 0.5))


def threads_for_each(n_processes: int) -> int:
    """Threads for each of several processes that share the cores; at least 1.

    Never more than OMP_NUM_THREADS, if the user has set it.
    """
    share = max(1, granted_cores() // n_processes)
    return min(share, _chosen_threads() or share)


def set_default_threads() -> None:
    """If a quota grants fewer cores than are usable, give OpenMP as many threads as that.

    Works only before torch is imported; never changes a variable that is set. Threads then wait
    without spinning, since spinning counts against the quota.
    """
    n_threads = granted_cores()
    if n_threads < usable_cores():
        if not os.environ.keys() & {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}:
            os.environ["OMP_NUM_THREADS"] = str(n_threads)
        if not waiting_is_chosen():
            os.environ["OMP_WAIT_POLICY"] = "passive"


def waiting_is_chosen() -> bool:
    """Whether the environment states how OpenMP's threads wait."""
    return bool(os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})


def _chosen_threads() -> int:
    """OMP_NUM_THREADS, for the outermost of nested regions; 0 if it is unset or no number."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() else 0


def cpu_quota(root: Path = ROOT) -> float | None:
    """The CPU quota that the cgroups of this process allow, in cores; None without a limit.

    It is the smallest among the process's own cgroup and its ancestors. root: of the file system.
    Source: Linux, Documentation/admin-guide/cgroup-v2.rst; scheduler/sched-bwc.rst for version 1.
    """
    quotas = [_quota(folder) for folder in _cgroups(root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    """The limit of one cgroup in cores; None for "max" and -1, which mean no limit."""
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
    """Yield the folders of the cgroups that limit this process's CPU time, inner ones first."""
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
    """Parse /proc/self/cgroup: the path of each controller; version 2 has the name ""."""
    paths: dict[str | None, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _below(path: str, mounted: str) -> PurePosixPath:
    """A cgroup's path relative to the mounted one; the mounted one itself if it lies elsewhere."""
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
