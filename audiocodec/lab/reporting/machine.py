"""What can be told of the machine that measured."""

import platform
from pathlib import Path


def peak_mib(process: str = "self") -> float | None:
    """Most resident memory of a process so far, as Linux counts it; None where it is not known.

    process: its number, or "self".
    """
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    except OSError:  # not Linux, or it has ended
        pass
    return None


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
