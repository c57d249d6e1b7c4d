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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import argbind
import numpy as np
import soundfile as sf
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from audiocodec.audio import LoudnessMeter, normalizing_gain, resampled
from audiocodec.codec import Codec
from audiocodec.errors import AudioError
from audiocodec.model.network import DAC
from audiocodec.train.metrics import mel_distance, si_sdr
from audiocodec.weights.registry import DEFAULT_MODEL

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


Results = dict[str, Decoded]


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


def through_codec(codec: Codec, audio: Samples, counts: list[int]) -> list[Decoded]:
    """Encode once, decode the first n codebooks for each n of `counts`."""
    meter = LoudnessMeter(codec.config.sample_rate, 1)
    meter.push(audio[:, None])
    gain = np.float32(normalizing_gain(meter.integrated(), meter.peak))
    codes = codec.encode(audio[None, None] * gain)
    return [
        Decoded(codec.decode(codes[:, :n], len(audio))[0, 0] / gain, codec.config.kbps_of(n))
        for n in counts
    ]


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


def through_all(codec: Codec, untrained: Codec, audio: Samples, counts: list[int]) -> Results:
    """By name: the model at each codebook count, one with random weights, Opus if installed."""
    results = {
        f"{codec.name}, {n} of {codec.n_codebooks} codebooks": decoded
        for n, decoded in zip(counts, through_codec(codec, audio, counts), strict=True)
    }
    results["untrained, all codebooks"] = through_codec(untrained, audio, [codec.n_codebooks])[0]
    if shutil.which("opusenc") and shutil.which("opusdec"):
        for kbps in OPUS_KBPS:
            results[f"Opus, {kbps} kbps asked"] = through_opus(
                audio, codec.config.sample_rate, kbps
            )
    return results


def table(scored: list[tuple[str, str, dict[str, float]]]) -> Iterator[str]:
    """Lines of a Markdown table, one for each system, from (system, class, figures) of clips."""
    kinds = list(dict.fromkeys(kind for _, kind, _ in scored))

    def means(system: str, figure: str, kinds: list[str], digits: int) -> str:
        columns = (
            [v[figure] for name, k, v in scored if (name, k) == (system, kind) and figure in v]
            for kind in kinds
        )
        return " / ".join(f"{np.mean(values):.{digits}f}" if values else "-" for values in columns)

    yield f"| | kbps | mel distance: {' / '.join(kinds)} | SI-SDR, dB: same | ESTOI: speech |"
    yield "|---|---|---|---|---|"
    for system in dict.fromkeys(name for name, _, _ in scored):
        kbps = np.mean([v["kbps"] for name, _, v in scored if name == system])
        mel, ratio = means(system, "mel", kinds, 2), means(system, "si_sdr", kinds, 1)
        estoi = means(system, "estoi", ["speech"], 2)
        yield f"| {system} | {kbps:.2f} | {mel} | {ratio} | {estoi} |"


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
    codec = Codec.from_pretrained(model or DEFAULT_MODEL)
    torch.manual_seed(0)
    untrained = Codec(DAC(codec.config), "untrained")
    counts = [int(n) for n in codebooks.split()]
    clips = read_clips(Path(manifest), codec.config.sample_rate, every)
    scored = []
    for clip in tqdm(clips, unit="clip", disable=None):
        for name, decoded in through_all(codec, untrained, clip.audio, counts).items():
            scored.append((name, clip.kind, scores(clip, decoded, codec.config.sample_rate)))
    for line in table(scored):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    with argbind.scope(vars(argbind.build_parser("evaluate").parse_args())):
        evaluate()
