"""Recordings to train on, as tests name them."""

from pathlib import Path

from audiocodec.lab.train.sources import TrainingRecording


def recording(
    path: Path,
    kind: str = "x",
    group: str = "x",
    seconds: float = 1.0,
    full_band: bool | None = None,
) -> TrainingRecording:
    """A sound file of the training set."""
    return TrainingRecording(
        path.name, str(path), path, kind=kind, group=group, seconds=seconds, full_band=full_band
    )
