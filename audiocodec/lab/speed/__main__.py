"""Measure speed and memory beside peers: python -m audiocodec.lab.speed [--out FOLDER] ...

Prints Markdown; progress goes to standard error. With --out it writes results.json, results.md and
speed.svg as well. With the defaults it takes about a quarter of an hour on two cores. CUDA is
measured where --device cuda is given.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.errors import CodecError
from audiocodec.files import make_folder, write_file
from audiocodec.lab.systems.catalogue import OURS, TIMED

if TYPE_CHECKING:
    from audiocodec.lab.speed.results import BenchmarkResults

MODELS = ("dac_44khz", "tiny_44khz")
AUDIO = (
    "files and folders on which a fast or CUDA setting is compared with exact float32 on the CPU: "
    "10 s of each, 64 at most (4 with seeded weights); without: a checkout's examples, else noise"
)
SYSTEMS = tuple(name for name in TIMED if name != OURS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("audiocodec.lab.speed", allow_abbrev=False)
    add = parser.add_argument
    add("--model", nargs="+", default=MODELS, help="names, folders or files; known names: seeded")
    add("--systems", nargs="+", default=SYSTEMS, help=f"{' '.join(SYSTEMS)}; ours: without a peer")
    add("--lengths", nargs="+", type=float, default=(1.0, 10.0), help="s; over 60: files only")
    add("--batches", nargs="+", type=int, default=(1,), help="of encode and decode")
    add("--device", default="cpu", help="cpu, cuda or auto")
    add("--precision", default="exact", help="of ours, exact or fast; peers: float32")
    add("--threads", type=int, default=0, help="0: as many as torch takes")
    add("--rounds", type=int, default=3, help="turns of each of two systems")
    add("--budget-s", type=float, default=30.0, help="no new round of a row after so long")
    add("--audio", nargs="+", default=(), help=AUDIO)
    add("--out", default="", help="folder for results.json, results.md and speed.svg")
    return parser


def bench(args: argparse.Namespace) -> bool:
    """Measure, print, write; whether anything was measured. Raises CodecError."""
    from audiocodec.lab.speed.report import markdown  # after --help: torch takes a second to import
    from audiocodec.lab.speed.run import BenchmarkPlan, run

    plan = BenchmarkPlan(
        models=tuple(args.model),
        systems=tuple(args.systems),
        lengths_s=tuple(args.lengths),
        batches=tuple(args.batches),
        device=args.device,
        precision=args.precision,
        threads=args.threads,
        rounds=args.rounds,
        budget_s=args.budget_s,
        audio=tuple(args.audio),
    )
    folder = Path(args.out) if args.out else None
    if folder:
        make_folder(folder)
    results = run(plan, _say)
    text = markdown(results)
    sys.stdout.write(text)
    if folder:
        write(results, text, folder)
    return bool(results.rows)


def write(results: "BenchmarkResults", text: str, folder: Path) -> None:
    """Put the results into a folder. Raises OutputError."""
    from audiocodec.lab.reporting.pictures import svg_of
    from audiocodec.lab.speed import plot

    for name, content in (("results.json", results.to_json()), ("results.md", text)):
        write_file(folder / name, content)
    try:
        write_file(folder / "speed.svg", svg_of(plot.picture(results)))
    except ImportError:
        _say("no plot: matplotlib is missing; pip install 'audiocodec[eval]'")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(argv: list[str]) -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    try:
        return 0 if bench(_parser().parse_args(argv)) else 1
    except CodecError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
