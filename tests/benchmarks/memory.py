"""Peak memory and time of compress and decompress, file to file, as the length grows.

python tests/benchmarks/memory.py [MINUTES ...]        1 and 60 by default
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
        return
    for minutes in [float(m) for m in sys.argv[1:]] or [1.0, 60.0]:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "in.flac")
            write_noise(source, minutes)
            for direction, names in (
                ("compress", ("in.flac", "x.dac")),
                ("decompress", ("x.dac", "out.flac")),
            ):
                paths = [str(Path(folder, name)) for name in names]
                command = [sys.executable, __file__, "--measure", direction, *paths]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                peak_mib, seconds = map(float, done.stdout.split())
                print(
                    f"{minutes:g} min {direction}: peak {peak_mib:.0f} MiB, {seconds:.1f} s, "
                    f"{minutes * 60 / seconds:.1f} times real time",
                    flush=True,
                )


def write_noise(path: Path, minutes: float) -> None:
    """Noise whose level comes and goes, as speech does."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for second in range(round(minutes * 60)):
            level = 0.02 + 0.1 * (second % 7 > 2)
            file.write(level * rng.standard_normal(RATE))


def measure(direction: str, source: str, target: str) -> None:
    """In a process of its own: peak resident memory in MiB, and seconds."""
    from audiocodec import Codec

    codec = Codec.from_pretrained()
    started = time.perf_counter()
    getattr(codec, direction)(source, target)
    seconds = time.perf_counter() - started
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds)


if __name__ == "__main__":
    main()
