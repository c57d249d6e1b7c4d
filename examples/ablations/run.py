"""Runs the paper's ablations, small enough for two CPU cores, and writes a table.

    python examples/ablations/run.py --data MANIFEST --clips CLIPS.csv --out RUNS

Every run is the baseline with one change, on the same data, for the same number of steps, from the
same start and seed; small.yml shrinks all of them alike. Finished runs are not repeated, and
stopped ones resume. CLIPS.csv lists held-out clips (columns path or file, and class).
"""

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import argbind
import numpy as np
import torch
import yaml
from tqdm import tqdm

from audiocodec.cli import train as _flags  # noqa: F401  binds the flags
from audiocodec.cli.configuration import settings_of
from audiocodec.lab.evaluate.clips import find_clips, make_reference, read_clip
from audiocodec.lab.evaluate.summary import interval
from audiocodec.lab.measures.spectral import mel_distance, stft_loss
from audiocodec.lab.measures.usage import CodebookUsage
from audiocodec.lab.measures.waveform import capped_si_sdr
from audiocodec.lab.train import checkpoints
from audiocodec.model.network import DAC

HERE = Path(__file__).parent
SECONDS = 10.0  # taken of a longer clip
BASELINE = "baseline"
# By start of the networks and name of the row: a recipe under ablations/, or flags. So few steps
# from random weights give noise with the right spectrum. From the linear start the output follows
# the waveform, but that start is made for Snake and for a factorized look-up.
ROWS: dict[str, dict[str, str | dict[str, Any]]] = {
    "random": {
        BASELINE: "baseline",
        "ReLU for Snake": "relu",
        "leaky ReLU for Snake": "leaky-relu",
        "codebook dimension 256": "quantizer/dim-256",
        "k-means start of codebooks": "kmeans",
        "revival of dead entries": "revival",
    },
    "linear": {
        BASELINE: "baseline",
        "no l2 normalisation": "no-l2",
        "quantizer dropout 0": "quantizer/dropout-0",
        "quantizer dropout 0.25": "quantizer/dropout-0.25",
        "quantizer dropout 0.5": "quantizer/dropout-0.5",
        "no adversary": "no-adv",
        "one mel scale": "no-low-hop",
        "no balancing": "no-data-balance",
        "rotation trick": "rotation",
        "moving-average codebooks": "ema",
        "encoder 4, decoder 112 wide": {"encoder_dim": 4, "decoder_dim": 112},
    },
}
FIGURES = ("mel", "stft", "si_sdr", "mel_3", "si_sdr_3")
TITLES = {
    "mel": "mel distance ↓",
    "stft": "STFT distance ↓",
    "si_sdr": "SI-SDR, dB ↑",
    "mel_3": "mel, 3 codebooks ↓",
    "si_sdr_3": "SI-SDR, 3 codebooks ↑",
}
Row = dict[str, Any]


def settings(start: str, recipe: str | dict[str, Any]) -> dict[str, Any]:
    """Flags of a run: the shrunk baseline with the recipe's changes to the baseline."""
    actions = argbind.build_parser("train")._actions
    baseline = settings_of("ablations/baseline", actions)
    own = settings_of(f"ablations/{recipe}", actions) if isinstance(recipe, str) else recipe
    changes = {key: value for key, value in own.items() if baseline.get(key) != value}
    return baseline | settings_of(str(HERE / "small.yml"), actions) | changes | {"init": start}


def trained(folder: Path, flags: dict[str, Any], data: str) -> Path:
    """Run `audiocodec train` unless it is done; returns the path of its checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flags.yml").write_text(yaml.safe_dump(flags))
    command = [sys.executable, "-m", "audiocodec", "train", "--args.load"]
    command += [str(folder / "flags.yml"), "--data", data, "--out", str(folder), "--device", "cpu"]
    if not (folder / "done").exists():
        environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        subprocess.run(command, check=True, env=environment)
        (folder / "done").touch()
    return folder / checkpoints.LATEST


@torch.no_grad()
def scored(model: DAC, clips: list[tuple[str, torch.Tensor]]) -> Iterator[Row]:
    """Figures of each clip with all codebooks and with three; last, figures of codebook use.

    clips: class and audio (1, 1, n_samples) of each.
    """
    config = model.config
    usage = CodebookUsage(config.n_codebooks, config.codebook_size)
    for kind, audio in clips:
        codes = model.quantizer.encode(model.encoder(audio))
        usage.update(codes)
        all_of_them, three = (
            model.decoder(model.quantizer.decode(codes[:, :n])) for n in (config.n_codebooks, 3)
        )
        yield {
            "class": kind,
            "mel": float(mel_distance(all_of_them, audio, config.sample_rate)),
            "stft": float(stft_loss(all_of_them, audio)),
            "si_sdr": capped_si_sdr(all_of_them, audio),
            "mel_3": float(mel_distance(three, audio, config.sample_rate)),
            "si_sdr_3": capped_si_sdr(three, audio),
        }
    yield {"efficiency": usage.efficiency(), "entropy": usage.entropy().tolist()}


def read_held_out(args: argparse.Namespace, sample_rate: int, hop: int) -> list:
    """Class and audio (1, 1, n_samples) of every n-th clip: mono, whole frames, -16 LUFS."""
    folder = args.out / "references"
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for clip in find_clips(args.clips, args.every):
        audio, _ = read_clip(make_reference(clip, folder, sample_rate, SECONDS).path)
        n = len(audio) // hop * hop
        clips.append((clip.kind, torch.from_numpy(audio[:n])[None, None]))
    return clips


def table(start: str, results: dict[str, list[Row]], efficiency: dict[str, float]) -> Iterator[str]:
    """A Markdown table of means over clips and seeds, with 95 % intervals of the changes."""
    yield f"| {start} start | {' | '.join(TITLES.values())} | bitrate efficiency ↑ |"
    yield "|---" * (len(TITLES) + 2) + "|"
    for name, rows in results.items():
        cells = []
        for figure in FIGURES:
            values = np.array([row[figure] for row in rows])
            cell = f"{values.mean():.2f}"
            if name != BASELINE:
                before = np.array([row[figure] for row in results[BASELINE]])
                low, high = interval(list(values - before))
                cell += f" ({low:+.2f} to {high:+.2f})"
            cells.append(cell)
        yield f"| {name} | {' | '.join(cells)} | {100 * efficiency[name]:.1f} % |"
    yield ""


class Study:
    """All rows of one start, for each seed."""

    def __init__(self, start: str, args: argparse.Namespace) -> None:
        self.start, self.args = start, args
        self.results: dict[str, list[Row]] = {}
        self.efficiency: dict[str, float] = {}

    def run(self, name: str, recipe: str | dict[str, Any]) -> None:
        """Train and score one row."""
        self.results[name], shares = [], []
        for seed in range(self.args.seeds):
            folder = self.args.out / self.start / f"{name.replace(' ', '-')}-{seed}"
            flags = settings(self.start, recipe) | {"seed": seed}
            flags |= {"steps": self.args.steps} if self.args.steps else {}
            model = checkpoints.trained_model(trained(folder, flags, self.args.data))
            rate, hop = model.config.sample_rate, model.config.hop
            *rows, use = scored(model, read_held_out(self.args, rate, hop))
            about = {"start": self.start, "run": name, "seed": seed}
            self.results[name] += [about | row for row in rows]
            shares.append(use["efficiency"])
        self.efficiency[name] = float(np.mean(shares))


def main() -> None:
    """Train and score all rows in order, and write the tables after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="manifest of the training set")
    parser.add_argument("--clips", type=Path, required=True, help="manifest of held-out clips")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and results")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds for each row")
    parser.add_argument("--steps", type=int, default=0, help="training steps; 0: as in small.yml")
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip")
    args = parser.parse_args()
    torch.set_num_threads(1)
    studies = [Study(start, args) for start in ROWS]
    for study in studies:
        for name, recipe in tqdm(ROWS[study.start].items(), study.start, unit="run"):
            study.run(name, recipe)
            write(args.out, studies)
    print((args.out / "results.md").read_text(encoding="utf-8"))


def write(out: Path, studies: list[Study]) -> None:
    """Write results.csv, with a line for each clip, and results.md."""
    done = [study for study in studies if study.efficiency]
    rows = [row for study in done for of_run in study.results.values() for row in of_run]
    with (out / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = [line for s in done for line in table(s.start, s.results, s.efficiency)]
    (out / "results.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
