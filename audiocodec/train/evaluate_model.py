"""Measure a model on held-out clips beside the untrained one and Opus: a table on stdout.

    python -m audiocodec.train.evaluate_model --manifest CLIPS.csv [--model FOLDER]

Clips are mixed to mono, brought to the model's rate and, for the model alone, to -16 LUFS and
back. Figures are means over the clips of a class: mel distance (settings of the published
evaluation), SI-SDR in dB, and for speech ESTOI (pystoi, from the extra "train"). Opus runs
through opusenc and opusdec where they are installed, at bit rates measured on the files.
May import: everything but cli.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import argbind
import numpy as np
import soundfile as sf
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from audiocodec.audio import LoudnessMeter, normalizing_gain, resampled
from audiocodec.errors import AudioError
from audiocodec.model.network import DAC
from audiocodec.train.metrics import mel_distance, si_sdr
from audiocodec.weights.registry import DEFAULT_MODEL
from audiocodec.weights.resolve import resolve
from audiocodec.weights.store import load_model

Samples = NDArray[np.float32]  # (n_samples,)
OPUS_KBPS = (8, 12)


@dataclass(frozen=True)
class Clip:
    """A mono recording at the model's rate."""

    kind: str  # class: speech, music, environment...
    audio: Samples


@dataclass(frozen=True)
class Decoded:
    """What a codec made of a clip."""

    audio: Samples
    kbps: float


def read_clips(manifest: Path, sample_rate: int, every: int = 1) -> list[Clip]:
    """Read the clips of a CSV with the columns file (or path) and class, or every n-th row."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::every]
    if not rows:
        raise AudioError(f"{manifest}: names no clips")
    return [_clip(manifest.parent, row, sample_rate) for row in rows]


def _clip(folder: Path, row: dict[str, str], sample_rate: int) -> Clip:
    audio, rate = sf.read(
        folder / (row.get("file") or row["path"]), dtype="float32", always_2d=True
    )
    mono = audio.mean(axis=1, keepdims=True)
    blocks = list(resampled([mono], rate, sample_rate, 1))
    return Clip(row["class"], np.concatenate(blocks)[:, 0])


@torch.no_grad()
def through_model(model: DAC, audio: Samples, n_codebooks: int) -> Decoded:
    """Encode and decode with the first n codebooks."""
    config = model.config
    meter = LoudnessMeter(config.sample_rate, 1)
    meter.push(audio[:, None])
    gain = normalizing_gain(meter.integrated(), meter.peak)
    wave = F.pad(torch.from_numpy(audio)[None, None] * gain, (0, -len(audio) % config.hop))
    codes = model.quantizer.encode(model.encoder(wave), n_codebooks)
    decoded = model.decoder(model.quantizer.decode(codes))[0, 0, : len(audio)]
    return Decoded(decoded.numpy() / np.float32(gain), config.kbps_of(n_codebooks))


def through_opus(audio: Samples, sample_rate: int, kbps: int) -> Decoded:
    """Encode and decode with the reference implementation of Opus."""
    with tempfile.TemporaryDirectory() as folder:
        wav, opus, back = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        sf.write(wav, audio, sample_rate)
        subprocess.run(["opusenc", "--quiet", "--bitrate", str(kbps), wav, opus], check=True)
        subprocess.run(["opusdec", "--quiet", "--rate", str(sample_rate), opus, back], check=True)
        decoded, _ = sf.read(back, dtype="float32")
        n_bits = Path(opus).stat().st_size * 8
    decoded = np.pad(decoded, (0, max(0, len(audio) - len(decoded))))[: len(audio)]
    return Decoded(decoded, n_bits * sample_rate / len(audio) / 1000)


def scores(clip: Clip, decoded: Decoded, sample_rate: int) -> dict[str, float]:
    """Figures of one clip; ESTOI for speech only."""
    estimate, reference = (
        torch.from_numpy(np.ascontiguousarray(x))[None, None] for x in (decoded.audio, clip.audio)
    )
    values = {
        "kbps": decoded.kbps,
        "mel": mel_distance(estimate, reference, sample_rate),
        "si_sdr": max(-80.0, si_sdr(estimate, reference)),
    }
    if clip.kind == "speech":
        from pystoi import stoi  # only here: an extra

        values["estoi"] = float(stoi(clip.audio, decoded.audio, sample_rate, extended=True))
    return values


def table(
    clips: list[Clip], sample_rate: int, systems: dict[str, Callable[[Samples], Decoded]]
) -> Iterator[str]:
    """Lines of a Markdown table, a system a line."""
    kinds = list(dict.fromkeys(clip.kind for clip in clips))
    yield f"| | kbps | mel distance: {' / '.join(kinds)} | SI-SDR, dB: same | ESTOI, speech |"
    yield "|---|---|---|---|---|"
    for name, run in systems.items():
        results = [(clip.kind, scores(clip, run(clip.audio), sample_rate)) for clip in clips]

        def mean(figure: str, kind: str = "", results: list = results) -> float:
            values = [v[figure] for k, v in results if figure in v and kind in ("", k)]
            return float(np.mean(values)) if values else float("nan")

        mels = " / ".join(f"{mean('mel', kind):.2f}" for kind in kinds)
        ratios = " / ".join(f"{mean('si_sdr', kind):.1f}" for kind in kinds)
        yield f"| {name} | {mean('kbps'):.2f} | {mels} | {ratios} | {mean('estoi'):.2f} |"


def systems_of(
    model: DAC, counts: list[int], untrained: bool
) -> dict[str, Callable[[Samples], Decoded]]:
    """The model at each codebook count, the same with random weights, Opus where installed."""
    systems: dict[str, Callable[[Samples], Decoded]] = {}
    for n in counts:
        systems[f"this model, {n} codebooks"] = partial(through_model, model, n_codebooks=n)
    if untrained:
        torch.manual_seed(0)
        random = DAC(model.config).eval()
        systems[f"untrained, {counts[-1]} codebooks"] = partial(
            through_model, random, n_codebooks=counts[-1]
        )
    if shutil.which("opusenc") and shutil.which("opusdec"):
        rate = model.config.sample_rate
        for kbps in OPUS_KBPS:
            systems[f"Opus, {kbps} kbps asked"] = partial(through_opus, sample_rate=rate, kbps=kbps)
    return systems


@argbind.bind(without_prefix=True, group="evaluate")
def evaluate(
    manifest: str = "", model: str = "", codebooks: str = "1 3 6 9", every: int = 1
) -> None:
    """Print the table.

    Parameters
    ----------
    manifest : str
        CSV with the columns file (or path), relative to it, and class
    model : str
        name, folder or file of the model; empty for the default one
    codebooks : str
        how many of them to decode, one line of the table each
    every : int
        take every n-th clip
    """
    network, _ = load_model(resolve(model or DEFAULT_MODEL).path)
    clips = read_clips(Path(manifest), network.config.sample_rate, every)
    systems = systems_of(network, [int(n) for n in codebooks.split()], untrained=True)
    for line in table(clips, network.config.sample_rate, systems):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with argbind.scope(vars(argbind.build_parser("evaluate").parse_args())):
        evaluate()
