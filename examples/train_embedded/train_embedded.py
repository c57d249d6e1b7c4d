"""Repeat the training of the embedded model: fetch, train, evaluate, export.

    python examples/train_embedded/train_embedded.py DIR [--held-out CLIPS.csv] [--permissive-only]
        [-- FLAGS of audiocodec train]

Every step resumes where it was stopped. DIR/export then holds the model with its card.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from sources_table import sources_table

from audiocodec import Codec
from audiocodec.errors import CodecError

NAME = "tiny_44khz"  # of the configuration, of the run and of the model
HERE = Path(__file__).parent


def commands(
    folder: Path, held_out: Path, fetch_flags: list[str], train_flags: list[str]
) -> list[list[str]]:
    """The commands that fetch, train and evaluate."""
    data, run, python = folder / "data", folder / NAME, sys.executable
    fetch = [python, str(HERE / "fetch.py"), "--out", str(data), *fetch_flags]
    train = [python, "-m", "audiocodec", "train", "--args.load", NAME]
    train += ["--data", str(data / "manifest.csv"), "--out", str(run), *train_flags]
    evaluate = [python, "-m", "audiocodec", "evaluate", str(held_out), "--baselines", "opus"]
    evaluate += ["--model", str(run / "model"), "--out", str(folder / "evaluation")]
    return [fetch, train, evaluate]


def export(folder: Path) -> Path:
    """Write the model in half precision its card with figures and sources; returns its folder."""
    target = folder / "export"
    Codec.from_pretrained(folder / NAME / "model").save_pretrained(target, half=True)
    with (folder / "data" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        sources = "\n".join(sources_table(list(csv.DictReader(file))))
    figures = (folder / "evaluation" / "summary.md").read_text(encoding="utf-8")
    with (target / "README.md").open("a", encoding="utf-8") as card:
        card.write(f"\n## Held-out quality\n\n{figures}\n## Training data\n\n{sources}\n")
    return target


def main() -> int:
    """Run all steps; returns 0, or 1 after a line that says which one failed."""
    own, train_flags = split(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    permissive = "fetch only packages without GPL or share-alike licences"
    held_out = HERE / "held_out.csv"
    parser.add_argument("folder", type=Path, help="folder for data, run, evaluation and export")
    parser.add_argument("--held-out", type=Path, default=held_out, help="clips to evaluate on")
    parser.add_argument("--permissive-only", action="store_true", help=permissive)
    args = parser.parse_args(own)
    fetch_flags = ["--permissive-only"] if args.permissive_only else []
    for command in commands(args.folder, args.held_out, fetch_flags, train_flags):
        print(*command, flush=True)
        if subprocess.run(command).returncode:
            sys.stderr.write(f"stopped at: {' '.join(command)}\n")
            return 1
    try:
        print(f"the model: {export(args.folder)}")
    except (CodecError, OSError) as error:
        sys.stderr.write(f"cannot export: {error}\n")
        return 1
    return 0


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """This command's own flags, and those after "--"."""
    cut = argv.index("--") if "--" in argv else len(argv)
    return argv[:cut], argv[cut + 1 :]


if __name__ == "__main__":
    sys.exit(main())
