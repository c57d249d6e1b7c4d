"""Threads that the machine grants, read from cgroup files made here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiocodec import threads
from audiocodec.threads import cpu_quota, rounded, threads_for_each

V2 = "30 23 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 24 0:30 {root} {point} rw,nosuid - cgroup cgroup rw,{controllers}\n"


@pytest.fixture
def system(tmp_path):
    """Writes files of a Linux system; gives its root."""

    def made(own: str, mounts: str, files: dict[str, str]) -> Path:
        for name, text in {
            "proc/self/cgroup": own,
            "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts,
            **files,
        }.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return made


@pytest.mark.parametrize(
    ("limit", "quota"),
    [
        ("max 100000", None),
        ("200000 100000", 2.0),
        ("150000 100000", 1.5),
        ("5000 10000", 0.5),
        ("", None),
        ("nonsense", None),
        ("100000 0", None),
    ],
)
def test_version_2(system, limit, quota):
    """cpu.max: a quota and its period, or "max"."""
    root = system(
        "0::/\n",
        V2.format(root="/", point="/sys/fs/cgroup"),
        {"sys/fs/cgroup/cpu.max": limit + "\n"},
    )
    assert cpu_quota(root) == quota


@pytest.mark.parametrize(
    ("limit", "quota"), [("-1", None), ("250000", 2.5), ("50000", 0.5), ("", None)]
)
def test_version_1(system, limit, quota):
    """cpu.cfs_quota_us, -1 without a limit, of the controller cpu and no other."""
    root = system(
        "5:cpu,cpuacct:/\n4:memory:/\n",
        V1.format(root="/", point="/sys/fs/cgroup/memory", controllers="memory")
        + V1.format(root="/", point="/sys/fs/cgroup/cpu,cpuacct", controllers="cpu,cpuacct"),
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": limit + "\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/cpu.cfs_quota_us": "100000\n",
        },
    )
    assert cpu_quota(root) == quota


@pytest.mark.parametrize(
    ("inner", "outer", "quota"), [("max", "300", 3), ("200", "300", 2), ("400", "300", 3)]
)
def test_of_nested_groups_the_smallest_quota_counts(system, inner, outer, quota):
    """A service in a slice, or a process in a pod."""
    root = system(
        "0::/pod/container\n",
        V2.format(root="/", point="/sys/fs/cgroup"),
        {
            "sys/fs/cgroup/pod/container/cpu.max": f"{inner} 100",
            "sys/fs/cgroup/pod/cpu.max": f"{outer} 100",
        },
    )
    assert cpu_quota(root) == quota


def test_a_container_sees_its_own_group_as_the_root(system):
    """Docker with version 1 mounts the container's group, and names it from outside."""
    root = system(
        "5:cpu,cpuacct:/docker/1f\n",
        V1.format(root="/docker/1f", point="/sys/fs/cgroup/cpu", controllers="cpu"),
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert cpu_quota(root) == 3


@pytest.mark.parametrize("path", ["/../../elsewhere", "/not/mounted"])
def test_a_group_outside_of_what_is_mounted(system, path):
    """The one that is mounted is looked at."""
    root = system(
        f"0::{path}\n",
        V2.format(root="/other", point=r"/sys/fs/my\040groups"),
        {"sys/fs/my groups/cpu.max": "100 100"},
    )
    assert cpu_quota(root) == 1


def test_both_versions_at_once(system):
    """A hybrid system limits by version 1; the mount of version 2 has no controller for it."""
    root = system(
        "1:cpu:/a\n0::/a\n",
        V2.format(root="/", point="/sys/fs/cgroup/unified")
        + V1.format(root="/", point="/sys/fs/cgroup/cpu", controllers="cpu"),
        {
            "sys/fs/cgroup/unified/a/cgroup.procs": "1",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "50000",
        },
    )
    assert cpu_quota(root) == 2


def test_a_system_without_cgroups(tmp_path):
    """Or another one than Linux."""
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "cores"), [(0.1, 1), (1.4, 1), (1.5, 2), (2.0, 2), (7.9, 8)])
def test_fractions_of_a_core(quota, cores):
    """Halves are rounded up, and one core is the least."""
    assert rounded(quota) == cores


@pytest.fixture
def machine(monkeypatch):
    """Eight cores and a quota of four; an environment without choices."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    monkeypatch.setattr(threads, "cpu_quota", lambda: 4.0)
    return monkeypatch


def test_worker_processes_share_what_is_granted(machine):
    """OMP_NUM_THREADS bounds each; what is no number does not count."""
    assert [threads_for_each(n) for n in (1, 2, 3, 9)] == [4, 2, 1, 1]
    machine.setenv("OMP_NUM_THREADS", "1")
    assert threads_for_each(2) == 1
    machine.setenv("OMP_NUM_THREADS", "3,2")
    assert threads_for_each(1) == 3
    machine.setenv("OMP_NUM_THREADS", "many")
    assert threads_for_each(1) == 4


@pytest.mark.parametrize(
    ("chosen", "after"),
    [
        ({}, {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"}),
        ({"OMP_NUM_THREADS": "7"}, {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "passive"}),
        ({"MKL_NUM_THREADS": "7"}, {"MKL_NUM_THREADS": "7", "OMP_WAIT_POLICY": "passive"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "active"}),
        ({"GOMP_SPINCOUNT": "9"}, {"OMP_NUM_THREADS": "4", "GOMP_SPINCOUNT": "9"}),
    ],
)
def test_a_quota_sets_the_threads_that_the_user_has_not(machine, chosen, after):
    """Each choice in the environment stays."""
    for name, value in chosen.items():
        machine.setenv(name, value)
    threads.set_default_threads()
    found = {name: value for name, value in os.environ.items() if name in {*after, *chosen}}
    assert found == after


def test_without_a_quota_nothing_is_set(machine):
    """OpenMP follows the affinity by itself."""
    machine.setattr(threads, "cpu_quota", lambda: None)
    threads.set_default_threads()
    assert not os.environ.keys() & {"OMP_NUM_THREADS", "OMP_WAIT_POLICY"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_one_core_of_several():
    """By affinity, as `taskset` sets it; torch follows it, too."""
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{core}}}); from audiocodec.threads import *; "
        "import torch; print(granted_cores(), torch.get_num_threads())"
    )
    clean = {name: v for name, v in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"]
