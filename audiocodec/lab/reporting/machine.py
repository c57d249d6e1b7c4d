"""The memory of a process and the name of the processor."""

import platform
from pathlib import Path


def peak_mib(process: str = "self") -> float | None:
    """Peak resident memory of a process in MiB; None where there is no /proc to read it from.

    process: a process id, or "self".
    """
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    except OSError:  # not Linux, or it has ended
        pass
    return None


def cpu_name() -> str:
    """The processor's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
