"""Random excerpts of recordings, balanced by class, equal in level, the same for the same seed.

May import: numpy, soundfile, torch, errors.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from torch import Tensor

from audiocodec.errors import ArgumentError, AudioError

LEVEL_DB = -17.0  # RMS of an excerpt re full scale: about -16 LUFS for speech and music
SILENCE_DB = -50.0  # an excerpt below it is drawn again
TRIES = 8
GAIN_DB = (-9.0, 2.0)  # range of a random gain: files are normalised as a whole, excerpts vary


@dataclass(frozen=True)
class Recording:
    """A sound file of the training set."""

    path: Path
    kind: str  # class: speech, music, environment...
    n_samples: int


def read_manifest(path: str | Path, sample_rate: int) -> list[Recording]:
    """Read a CSV with the columns path (relative to the manifest) and class.

    Raises AudioError for a file that cannot be read or is not at `sample_rate`.
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "class"} <= rows[0].keys():
        raise AudioError(f"{path}: not a manifest; it needs rows with the columns path and class")
    return [_recording(path.parent / row["path"], row["class"], sample_rate) for row in rows]


def _recording(path: Path, kind: str, sample_rate: int) -> Recording:
    try:
        info = sf.info(path)
    except sf.LibsndfileError as error:
        raise AudioError(f"{path}: cannot be read as audio: {error}") from error
    if info.samplerate != sample_rate:
        raise AudioError(
            f"{path}: at {info.samplerate} Hz; the model trains at {sample_rate} Hz, "
            "so resample the recordings first"
        )
    return Recording(path, kind, info.frames)


class Excerpts:
    """Batches of mono excerpts. A class is drawn by its share, then a recording by its length.

    So a class's total length does not matter, and a second of a one-shot comes up as often as a
    second of a symphony. Excerpts are brought to one level, then moved by a random gain.
    """

    def __init__(
        self, recordings: Sequence[Recording], shares: Mapping[str, float], n_samples: int
    ) -> None:
        """shares: class -> how often it is drawn, relative to the others."""
        self.n_samples = n_samples
        self.groups: dict[str, list[Recording]] = {kind: [] for kind in shares}
        for recording in recordings:
            if recording.kind in self.groups:
                self.groups[recording.kind].append(recording)
        if empty := [kind for kind, group in self.groups.items() if not group]:
            raise ArgumentError(f"no recordings of class {', '.join(empty)} in the manifest")
        self.shares = np.array([shares[kind] for kind in self.groups])
        self.shares = self.shares / self.shares.sum()
        self.lengths = {}
        for kind, group in self.groups.items():
            lengths = np.array([recording.n_samples for recording in group], dtype=np.float64)
            self.lengths[kind] = lengths.cumsum() / lengths.sum()

    def batch(self, n_items: int, seed: int, step: int) -> Tensor:
        """Audio (n_items, 1, n_samples) of one step; depends on nothing but the arguments."""
        rng = np.random.default_rng((seed, step))
        items = [self._excerpt(rng) for _ in range(n_items)]
        return torch.from_numpy(np.stack(items)[:, None])

    def draw(self, rng: np.random.Generator) -> Recording:
        """One recording."""
        kind = list(self.groups)[rng.choice(len(self.shares), p=self.shares)]
        return self.groups[kind][int(np.searchsorted(self.lengths[kind], rng.random()))]

    def _excerpt(self, rng: np.random.Generator) -> np.ndarray:
        for _ in range(TRIES):
            audio = self._read(self.draw(rng), rng)
            if _level_db(audio) > SILENCE_DB:
                break
        return at_level(audio, LEVEL_DB + rng.uniform(*GAIN_DB)) * np.float32(rng.choice((-1, 1)))

    def _read(self, recording: Recording, rng: np.random.Generator) -> np.ndarray:
        start = int(rng.integers(max(1, recording.n_samples - self.n_samples + 1)))
        audio, _ = sf.read(recording.path, self.n_samples, start, dtype="float32", always_2d=True)
        mono = audio.mean(axis=1)
        return np.pad(mono, (0, self.n_samples - len(mono)))


def at_level(audio: np.ndarray, level_db: float) -> np.ndarray:
    """Scale to an RMS re full scale, or less where peaks would exceed it; silence stays."""
    gain = 10 ** ((level_db - _level_db(audio)) / 20)
    return audio * np.float32(min(gain, 1 / max(1e-4, float(np.abs(audio).max()))))


def _level_db(audio: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-12))
