"""Pack a training set into a few files that are small enough to upload.

    python examples/train_embedded/gpu/pack.py DATA/manifest.csv --out PACK [--hours 5]

DATA is what fetch.py wrote. Every piece, PACK/piece_*.tar, is a mixture of all classes and can be
trained on alone. Needs what `pip install 'audiocodec[train]'` installs.
"""

import argparse
import csv
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from material import HELD_OUT_SAMPLES, RATE

from audiocodec.errors import CodecError
from audiocodec.lab.train.excerpts import Excerpts, ExcerptSettings
from audiocodec.lab.train.sources import scan

sys.path.insert(0, str(Path(__file__).parents[1]))
from packages import HELD_OUT_PACKAGES  # in the folder above

SHARES = {"speech": 0.5, "music": 0.3, "environment": 0.2}
SHORTEST_S = 0.4  # shorter recordings are padded with silence to the length of an excerpt
STREAM_S = 300.0  # recordings are joined to streams of about this length, decoded in parallel
QUALITY = 0.5  # of Vorbis, 0 to 1: about 76 kbps mono, and the whole band up to 20 kHz
PEAK = 0.9  # of every recording, so that quiet ones are not lost in 16 bits
FULL_BAND_RATE = 32000  # lower sample rates have nothing far beyond 10 kHz
BLOCK = 16384  # samples written at a time
WHEELS = ("soundfile", "cffi", "pycparser", "soxr")  # needed for audio, beside torch and numpy
Row = dict[str, str]


@dataclass(frozen=True)
class Taken:
    """A recording or its beginning; `start` and `n_samples` locate it in its stream."""

    path: str
    kind: str
    package: str
    full_band: bool
    start: int
    n_samples: int


def chosen(rows: list[Row], hours: float, seed: int) -> list[tuple[Row, float]]:
    """Rows and the seconds to take of each, by SHARES, in random order.

    A class with less than its share is taken whole. Within a class every package gives the same
    duration, as far as it has that much. Raises ValueError for a held-out package.
    """
    if held_out := sorted({row["package"] for row in rows} & HELD_OUT_PACKAGES):
        raise ValueError(f"held out for evaluation, never trained on: {', '.join(held_out)}")
    rng, taken = random.Random(seed), []
    for kind, share in SHARES.items():
        by_package: dict[str, list[Row]] = {}
        for row in rows:
            if row["class"] == kind:
                by_package.setdefault(row["package"], []).append(row)
        sizes = {name: sum(map(_seconds, some)) for name, some in by_package.items()}
        for name, quota in evenly(sizes, hours * 3600 * share).items():
            rng.shuffle(by_package[name])
            for row in by_package[name]:
                if (seconds := min(_seconds(row), quota)) >= SHORTEST_S / 2:
                    taken.append((row, seconds))
                    quota -= seconds
    rng.shuffle(taken)
    return taken


def evenly(sizes: dict[str, float], total: float) -> dict[str, float]:
    """Split a total evenly over names, none beyond its size."""
    given: dict[str, float] = {}
    for n, name in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        given[name] = min(sizes[name], (total - sum(given.values())) / (len(sizes) - n))
    return given


def _seconds(row: Row) -> float:
    return float(row["seconds"])


def streams(taken: list[tuple[Row, float]]) -> Iterator[list[tuple[Row, float]]]:
    """Split into lists of about STREAM_S seconds."""
    stream, length = [], 0.0
    for row, seconds in taken:
        stream.append((row, seconds))
        length += seconds
        if length >= STREAM_S:
            yield stream
            stream, length = [], 0.0
    if stream:
        yield stream


def encoded(folder: Path, stream: list[tuple[Row, float]]) -> tuple[bytes, list[Taken]]:
    """Recordings joined to one Ogg Vorbis file, and the place of each in it."""
    target, taken, start = io.BytesIO(), [], 0
    settings = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1 - QUALITY}
    with sf.SoundFile(target, "w", RATE, 1, **settings) as file:
        for row, seconds in stream:
            audio = read(folder / row["path"], seconds)
            for i in range(0, len(audio), BLOCK):  # libsndfile overflows on long writes
                file.write(audio[i : i + BLOCK])
            full = row["full_band"] == "yes" and int(row["source_rate"]) >= FULL_BAND_RATE
            one = Taken(row["source"], row["class"], row["package"], full, start, len(audio))
            taken.append(one)
            start += len(audio)
    return target.getvalue(), taken


def all_encoded(
    args: argparse.Namespace, jobs: list[list[tuple[Row, float]]]
) -> Iterator[tuple[bytes, list[Taken]]]:
    """Results of `encoded` for all streams, in order; in parallel with --workers."""
    work = partial(encoded, args.manifest.resolve().parent)
    if args.workers == 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
        yield from pool.map(work, jobs)


def read(path: Path, seconds: float) -> np.ndarray:
    """The beginning of a recording, float32 (n,), at RATE, scaled to PEAK, at least SHORTEST_S."""
    rate = sf.info(path).samplerate
    audio, _ = sf.read(path, frames=round(seconds * rate), dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE, quality="VHQ")
    mono = np.pad(mono, (0, max(0, round(SHORTEST_S * RATE) - len(mono))))
    return mono * np.float32(PEAK / max(1e-4, float(np.abs(mono).max())))


def held_out(clips: Path, n_excerpts: int) -> bytes:
    """Excerpts of HELD_OUT_SAMPLES, in one FLAC file; clips: CSV with columns file and class."""
    with clips.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            json.dumps({"path": str((clips.parent / row["file"]).resolve()), "class": row["class"]})
            for row in rows
        ]
        manifest = Path(folder) / "clips.jsonl"
        manifest.write_text("\n".join(lines), encoding="utf-8")
        settings = ExcerptSettings(HELD_OUT_SAMPLES, RATE, n_excerpts, shift_phase=False)
        excerpts = Excerpts(scan([str(manifest)]).recordings, {}, settings)
        audio = excerpts.items(1, 0, range(n_excerpts))
    target = io.BytesIO()
    sf.write(target, audio.flatten().numpy(), RATE, format="FLAC", subtype="PCM_16")
    return target.getvalue()


def wheels(python: str) -> dict[str, bytes]:
    """Wheels of WHEELS for x86-64 Linux and a version of Python, fetched by pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        command += ["--platform", f"{platform}_x86_64"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, "-d", folder, *WHEELS], check=True)
        return {f"wheels/{path.name}": path.read_bytes() for path in Path(folder).glob("*.whl")}


class Pieces:
    """Writes piece_1.tar, piece_2.tar ... of at most most_bytes, each with an index."""

    def __init__(self, folder: Path, most_bytes: int, extra: dict[str, bytes]) -> None:
        """extra: files by name for the first piece."""
        self.folder, self.most_bytes, self.files = folder, most_bytes, dict(extra)
        self.index: dict[str, list[Taken]] = {}
        self.sizes: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("piece_*.tar"):
            old.unlink()

    def add(self, name: str, stream: bytes, taken: list[Taken]) -> None:
        """Add a stream to this piece if it has room, else to the next."""
        size = sum(map(len, self.files.values())) + len(stream) + 2**20  # for index and headers
        if self.index and size > self.most_bytes:
            self.close()
        self.files[name], self.index[name] = stream, taken

    def close(self) -> None:
        """Write the piece."""
        path = self.folder / f"piece_{len(self.sizes) + 1}.tar"
        index = {name: [asdict(one) for one in taken] for name, taken in self.index.items()}
        files = {"index.json": json.dumps(index).encode(), **self.files}
        with tarfile.open(path, "w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        self.sizes.append(path.stat().st_size)
        self.files, self.index = {}, {}


def pack(args: argparse.Namespace) -> Iterator[str]:
    """Write the pieces; yields lines that describe them."""
    with args.manifest.open(newline="", encoding="utf-8") as file:
        taken = chosen(list(csv.DictReader(file)), args.hours, args.seed)
    if not taken:
        raise ValueError(f"{args.manifest}: no recordings of {', '.join(SHARES)}")
    extra = {"held_out.flac": held_out(args.held_out, args.excerpts)}
    if args.wheels:
        extra |= wheels(args.wheels)
    pieces, everything = Pieces(args.out, round(args.piece_mb * 1e6), extra), []
    for n, (stream, part) in enumerate(all_encoded(args, list(streams(taken)))):
        pieces.add(f"{n:03d}.ogg", stream, part)
        everything += part
    pieces.close()
    for kind in SHARES:
        mine = [one for one in everything if one.kind == kind]
        full = sum(one.n_samples for one in mine if one.full_band)
        n_samples = sum(one.n_samples for one in mine)
        yield f"{kind}: {n_samples / RATE / 60:.0f} min, full band {full / RATE / 60:.0f} min"
    for n, size in enumerate(pieces.sizes, 1):
        yield f"{args.out / f'piece_{n}.tar'}: {size / 1e6:.1f} MB"


def main() -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="manifest.csv of fetch.py")
    parser.add_argument("--out", type=Path, required=True, help="folder to write pieces to")
    parser.add_argument("--hours", type=float, default=5.0, help="hours of audio in all")
    parser.add_argument("--piece-mb", type=float, default=32.0, help="largest size of a piece")
    parser.add_argument(
        "--held-out",
        type=Path,
        default=Path(__file__).parents[1] / "held_out.csv",
        metavar="CSV",
        help="clips to validate on",
    )
    parser.add_argument("--excerpts", type=int, default=24, help="held-out excerpts, 2 s each")
    parser.add_argument(
        "--wheels", default="", metavar="PYTHON", help="Python version to add wheels for, as 3.12"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--workers", type=int, default=2, help="encoding processes")
    try:
        print(*pack(parser.parse_args()), sep="\n")
    except (ValueError, OSError, KeyError, CodecError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
