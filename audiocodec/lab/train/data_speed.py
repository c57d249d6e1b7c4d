"""Measure how fast training batches can be made: python -m audiocodec.lab.train.data_speed DATA ...

DATA are sources as for training, [class=]PATH. Prints the speed of reading the files directly and,
with --cache FOLDER, the time to build the cache and the speed of reading from it.
"""

import argparse
import sys
import time
from pathlib import Path

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.lab.train.cache import Cache
from audiocodec.lab.train.excerpts import Excerpts, ExcerptSettings
from audiocodec.lab.train.loader import Loader
from audiocodec.lab.train.sources import Material, scan


def items_per_second(excerpts: Excerpts, n_batches: int, n_workers: int = 0) -> float:
    """Excerpts per second of wall time, after a first batch that starts the workers."""
    size = excerpts.settings.batch_size
    with Loader(excerpts, 0, range(size), n_batches + 1, n_workers) as loader:
        loader.batch(0)
        start = time.perf_counter()
        for step in range(1, n_batches + 1):
            loader.batch(step)
        return n_batches * size / (time.perf_counter() - start)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("audiocodec.lab.train.data_speed", allow_abbrev=False)
    parser.add_argument("data", nargs="+", help="folders or manifests, as [class=]PATH")
    parser.add_argument("--cache", default="", help="folder for decoded audio, which is kept")
    parser.add_argument("--cache-gib", type=float, default=16.0, help="largest cache size, GiB")
    parser.add_argument("--sample-rate", type=int, default=44100, help="sample rate in Hz")
    parser.add_argument("--seconds", type=float, default=0.38, help="length of an excerpt")
    parser.add_argument("--batch-size", type=int, default=72, help="excerpts per batch")
    parser.add_argument("--batches", type=int, default=10, help="number of batches to measure")
    parser.add_argument("--workers", type=int, default=0, help="batch-making processes; 0: none")
    return parser


def measure(args: argparse.Namespace) -> None:
    """Print the figures. Raises CodecError."""
    if args.batches < 1:
        raise ArgumentError(f"--batches {args.batches}; must be 1 or more")
    start = time.perf_counter()
    found = scan(args.data)
    hours = sum(one.seconds for one in found.recordings) / 3600
    _say(
        f"scan: {len(found.recordings)} recordings, {hours:.1f} h, {len(found.skipped)} skipped, "
        f"in {time.perf_counter() - start:.1f} s"
    )
    _say_rate("files", args, found, None)
    if args.cache:
        cache, start = Cache(Path(args.cache), args.sample_rate), time.perf_counter()
        skipped = cache.build(found.recordings, args.cache_gib, args.workers)
        _say(f"cache: {len(skipped)} skipped, built in {time.perf_counter() - start:.1f} s")
        _say_rate("cached", args, found, cache)


def _say_rate(name: str, args: argparse.Namespace, found: Material, cache: Cache | None) -> None:
    n_samples = round(args.seconds * args.sample_rate)
    settings = ExcerptSettings(n_samples, args.sample_rate, args.batch_size)
    excerpts = Excerpts(found.recordings, {}, settings, cache)
    rate = items_per_second(excerpts, args.batches, args.workers)
    _say(
        f"{name}: {rate:.0f} items/s, {rate * args.seconds:.0f} seconds of audio per second, "
        f"{args.workers} workers"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Run the command; returns 0, or 1 after printing an error."""
    try:
        measure(_parser().parse_args(argv))
    except CodecError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
