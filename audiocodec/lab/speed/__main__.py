"""Measure speed and memory beside other codecs: python -m audiocodec.lab.speed [--out FOLDER] ...

Prints Markdown; progress goes to standard error. With --out it also writes results.json, results.md
and speed.svg. The defaults take about a quarter of an hour on two cores. To measure CUDA, give
--device cuda.
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
AUDIO_HELP = (
    "files and folders on which a fast or CUDA setting is compared with exact float32 on the CPU, "
    "10 s of at most 64 files (4 with seeded weights); default: a checkout's examples, else noise"
)
SYSTEMS = tuple(name for name in TIMED if name != OURS)
MODEL_HELP = "model names, folders or files; known names not built in get seeded random weights"
SYSTEMS_HELP = f"codecs to compare with: {' '.join(SYSTEMS)}; ours: this library alone"
LENGTHS_HELP = "seconds of audio; over 60 s, only compress and decompress are measured"
PRECISION_HELP = "precision of this library, exact or fast; other codecs compute in float32"
BUDGET_HELP = "seconds after which no new round of the same comparison starts"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("audiocodec.lab.speed", allow_abbrev=False)
    add = parser.add_argument
    add("--model", nargs="+", default=MODELS, help=MODEL_HELP)
    add("--systems", nargs="+", default=SYSTEMS, help=SYSTEMS_HELP)
    add("--lengths", nargs="+", type=float, default=(1.0, 10.0), help=LENGTHS_HELP)
    add("--batches", nargs="+", type=int, default=(1,), help="batch sizes of encode and decode")
    add("--device", default="cpu", help="device to measure on: cpu, cuda or auto")
    add("--precision", default="exact", help=PRECISION_HELP)
    add("--threads", type=int, default=0, help="threads of each process; 0: torch's default")
    add("--rounds", type=int, default=3, help="rounds, in each of which both systems take a turn")
    add("--budget-s", type=float, default=30.0, help=BUDGET_HELP)
    add("--audio", nargs="+", default=(), help=AUDIO_HELP)
    add("--out", default="", help="folder for results.json, results.md and speed.svg")
    return parser


def bench(args: argparse.Namespace) -> bool:
    """Measure, print and write; returns whether anything was measured. Raises CodecError."""
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
    """Write results.json, results.md and speed.svg into a folder. Raises OutputError."""
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
    """Run the command; returns 0, or 1 after a line that says what is wrong."""
    try:
        return 0 if bench(_parser().parse_args(argv)) else 1
    except CodecError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
