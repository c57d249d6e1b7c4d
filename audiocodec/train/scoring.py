"""One clip through every system, and its figures: a model at several codebook counts, and Opus.

A Scorer is made once in a process; it takes a clip of the manifest and gives a ClipReport, which
is plain data. Clips are mixed to mono and brought to the model's rate, at which Opus gets them
too; for the model alone they are brought to -16 LUFS and back.
May import: everything but cli.
"""

import csv
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from audiocodec.audio import LoudnessMeter, normalizing_gain
from audiocodec.codec import Codec
from audiocodec.errors import ArgumentError, AudioError
from audiocodec.model.network import DAC
from audiocodec.train import metrics
from audiocodec.train.codebooks import CodebookUsage
from audiocodec.train.metrics import NoFigure, Samples

OPUS_TOOLS = ("opusenc", "opusdec")
OPUS_KBPS = range(6, 257)  # what opusenc takes for one channel
FIGURES = ("mel", "mel_training", "stft", "si_sdr", "visqol", "estoi", "pesq")
SPEECH_FIGURES = ("estoi", "pesq")  # say nothing about other sounds


@dataclass(frozen=True)
class ClipFile:
    """A row of the manifest."""

    path: Path
    kind: str  # class: speech, music, environment...


@dataclass(frozen=True)
class Decoded:
    """What a system made of a clip."""

    audio: Samples
    kbps: float


@dataclass(frozen=True)
class Score:
    """Figures of one clip through one system; what has none is in `failures` with the reason."""

    clip: str
    kind: str
    system: str
    n_codebooks: int  # 0 for what has none: Opus
    kbps: float
    figures: dict[str, float]
    failures: dict[str, str]


@dataclass(frozen=True)
class ClipReport:
    """All about a clip, and how the model's codebooks were used for it."""

    scores: list[Score]
    usage: CodebookUsage


@dataclass(frozen=True)
class Systems:
    """What to compare."""

    model: str  # name, folder or file
    codebooks: tuple[int, ...]  # counts to decode
    opus_kbps: tuple[int, ...]  # bit rates to ask for
    untrained: bool = False  # also the same architecture with random weights


def read_clips(manifest: Path, every: int = 1) -> list[ClipFile]:
    """Rows of a CSV with the columns file (or path), relative to it, and class; or every n-th.

    Raises AudioError for a manifest that is missing, empty or has other columns.
    """
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[::every]
    except OSError as error:
        raise AudioError(f"{manifest}: cannot be read: {error.strerror}") from error
    if not rows:
        raise AudioError(f"{manifest}: names no clips")
    name = "file" if "file" in rows[0] else "path"
    if not {name, "class"} <= rows[0].keys():
        raise AudioError(f"{manifest}: needs the columns file (or path) and class")
    return [ClipFile(manifest.parent / row[name], row["class"]) for row in rows]


def read_mono(path: Path, sample_rate: int) -> Samples:
    """Samples of a sound file, mixed to mono and resampled. Raises AudioError."""
    try:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be read as audio: {error}") from error
    return metrics.at_rate(audio.mean(axis=1), rate, sample_rate)


def through_codec(
    codec: Codec, audio: Samples, counts: tuple[int, ...]
) -> tuple[list[Decoded], torch.Tensor]:
    """Encode once, decode the first n codebooks for each n of `counts`; also all the codes."""
    meter = LoudnessMeter(codec.config.sample_rate, 1)
    meter.push(audio[:, None])
    gain = np.float32(normalizing_gain(meter.integrated(), meter.peak))
    codes = codec.encode(audio[None, None] * gain)
    decoded = [
        Decoded(codec.decode(codes[:, :n], len(audio))[0, 0] / gain, codec.config.kbps_of(n))
        for n in counts
    ]
    return decoded, torch.from_numpy(codes)


def through_opus(audio: Samples, sample_rate: int, kbps: int) -> Decoded:
    """Encode and decode with the reference implementation of Opus.

    The bit rate is that of the file, whose room for comments is left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        wav, opus, back = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        sf.write(wav, audio, sample_rate)
        encode = ["opusenc", "--quiet", "--padding", "0", "--bitrate", str(kbps), wav, opus]
        subprocess.run(encode, check=True)
        subprocess.run(["opusdec", "--quiet", "--rate", str(sample_rate), opus, back], check=True)
        decoded, _ = sf.read(back, dtype="float32")
        n_bits = Path(opus).stat().st_size * 8
    decoded = np.pad(decoded, (0, max(0, len(audio) - len(decoded))))[: len(audio)]
    return Decoded(decoded, n_bits * sample_rate / len(audio) / 1000)


def figures(
    kind: str, reference: Samples, estimate: Samples, sample_rate: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Figures by name, and the reasons of those that are missing; FIGURES, some for speech only."""
    y, x = (torch.from_numpy(np.ascontiguousarray(s))[None, None] for s in (estimate, reference))
    ways: dict[str, Callable[[], float]] = {
        "mel": lambda: metrics.mel_distance(y, x, sample_rate),
        "mel_training": lambda: metrics.mel_training_distance(y, x, sample_rate),
        "stft": lambda: metrics.stft_distance(y, x),
        "si_sdr": lambda: metrics.capped_si_sdr(y, x),
        "visqol": lambda: metrics.visqol(estimate, reference, sample_rate),
        "estoi": lambda: metrics.estoi(estimate, reference, sample_rate),
        "pesq": lambda: metrics.pesq_wide_band(estimate, reference, sample_rate),
    }
    found, failures = {}, {}
    for name in FIGURES:
        if name in SPEECH_FIGURES and kind != "speech":
            continue
        try:
            found[name] = ways[name]()
        except NoFigure as reason:
            failures[name] = str(reason)
    return found, failures


class Scorer:
    """Puts clips through the systems."""

    def __init__(self, systems: Systems) -> None:
        """Loads the model. Raises ArgumentError for what it or Opus cannot do."""
        self.systems, self.codec = systems, Codec.from_pretrained(systems.model)
        self.sample_rate = self.codec.config.sample_rate
        for n in systems.codebooks:
            if not 1 <= n <= self.codec.n_codebooks:
                raise ArgumentError(f"{n} codebooks; the model has {self.codec.n_codebooks}")
        for kbps in systems.opus_kbps:
            if kbps not in OPUS_KBPS:
                raise ArgumentError(f"Opus at {kbps} kbps; it takes {OPUS_KBPS[0]} to 256")
        if systems.opus_kbps and not all(map(shutil.which, OPUS_TOOLS)):
            raise ArgumentError('opusenc or opusdec is missing: install opus-tools, or --opus ""')
        torch.manual_seed(0)
        self.untrained = Codec(DAC(self.codec.config), "untrained") if systems.untrained else None

    def __call__(self, clip: ClipFile) -> ClipReport:
        """Figures of all systems."""
        audio, systems = read_mono(clip.path, self.sample_rate), self.systems
        decoded, codes = through_codec(self.codec, audio, systems.codebooks)
        scores = [
            self._score(clip, audio, codebooks_name(self.codec, n), n, result)
            for n, result in zip(systems.codebooks, decoded, strict=True)
        ]
        if self.untrained:
            every = self.codec.n_codebooks
            [noise], _ = through_codec(self.untrained, audio, (every,))
            scores.append(self._score(clip, audio, "untrained, all codebooks", every, noise))
        for kbps in systems.opus_kbps:
            result = through_opus(audio, self.sample_rate, kbps)
            scores.append(self._score(clip, audio, f"Opus, {kbps} kbps asked", 0, result))
        usage = CodebookUsage(self.codec.n_codebooks, self.codec.config.codebook_size)
        usage.update(codes)
        return ClipReport(scores, usage)

    def _score(
        self, clip: ClipFile, audio: Samples, system: str, n_codebooks: int, decoded: Decoded
    ) -> Score:
        found, failures = figures(clip.kind, audio, decoded.audio, self.sample_rate)
        return Score(
            clip.path.name, clip.kind, system, n_codebooks, decoded.kbps, found, failures
        )


def codebooks_name(codec: Codec, n: int) -> str:
    """How the model at n codebooks is called in tables."""
    return f"{codec.name}, {n} of {codec.n_codebooks} codebooks"
