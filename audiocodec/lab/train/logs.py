"""Logs of a training run: a file of JSON lines, and TensorBoard if it is installed."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from audiocodec.errors import OutputError
from audiocodec.files import append_line
from audiocodec.lab.measures import spectral
from audiocodec.lab.train.validation import Validated

FILE = "log.jsonl"
IMAGE_WINDOW, IMAGE_MELS = 2048, 128
IMAGE_FLOOR_DB = -80.0


class Logs:
    """Appends to folder/log.jsonl and to event files in folder/tensorboard."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.path, self.sample_rate = folder / FILE, sample_rate
        self.board = _board(folder / "tensorboard")

    def figures(self, step: int, values: Mapping[str, float], kind: str = "train") -> None:
        """One line of JSON, and one point on each curve. Raises OutputError."""
        rounded = {name: float(f"{value:.5g}") for name, value in values.items()}
        append_line(self.path, json.dumps({"step": step, "kind": kind, **rounded}))
        if self.board is not None:
            with _board_errors(self.path.parent):
                for name, value in values.items():
                    self.board.add_scalar(f"{kind}/{name}", value, step)

    def sounds(self, step: int, validated: Validated) -> None:
        """Originals and decoded excerpts as audio, and as mel spectrograms one above the other."""
        if self.board is None:
            return
        for i, pair in enumerate(zip(validated.originals, validated.decoded)):
            for name, audio in zip(("original", "decoded"), pair):
                self.board.add_audio(f"{i}/{name}", audio.clamp(-1, 1), step, self.sample_rate)
            picture = np.concatenate([_picture(audio, self.sample_rate) for audio in pair])
            self.board.add_image(f"{i}/original above decoded", picture, step, dataformats="HW")

    def close(self) -> None:
        """Write buffered events."""
        if self.board is not None:
            with suppress(OSError):  # log.jsonl has all figures
                self.board.close()


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        warnings.warn(
            "TensorBoard is not installed (`pip install 'audiocodec[train]'` does it); figures go "
            f"to {FILE} only",
            stacklevel=3,
        )
        return None
    with _board_errors(folder.parent):
        return SummaryWriter(str(folder))


@contextmanager
def _board_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder / 'tensorboard'}: cannot be written: {reason}") from error


def _picture(audio: Tensor, sample_rate: int) -> np.ndarray:
    """Mel spectrogram of (1, T) as (mels, frames) from 0 to 1, low frequencies at the bottom."""
    mel = spectral.mel_filterbank(sample_rate, IMAGE_WINDOW, IMAGE_MELS)
    magnitudes = mel @ spectral.spectrogram(audio[None], IMAGE_WINDOW)[0].abs()
    db = 20 * magnitudes.clamp(min=1e-5).log10()
    return (1 - (db - db.max()).clamp(min=IMAGE_FLOOR_DB) / IMAGE_FLOOR_DB).flip(0).numpy()


def read_log(folder: Path, kind: str = "train") -> list[dict[str, float]]:
    """Logged figures of one kind, in order of steps; of repeated steps the last."""
    lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    by_step = {row["step"]: row for row in map(json.loads, lines) if row["kind"] == kind}
    return [by_step[step] for step in sorted(by_step)]
