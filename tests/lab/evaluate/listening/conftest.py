"""Clips to listen to, made of tones, so that a test can tell which one is heard."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.lab.evaluate.listening.stimuli import write_listening_test
from audiocodec.lab.evaluate.report_data import Condition, HeardClip
from audiocodec.lab.evaluate.rows import ResultRow

RATE = 16000
N_SAMPLES = 2 * RATE
SYSTEMS = {"ourcodec": 1000.0, "opuslike": 2000.0}  # and the tone each one makes of any clip


def tone(*frequencies: float) -> np.ndarray:
    """N_SAMPLES of sines of one level, full scale 1.0."""
    time = np.arange(N_SAMPLES) / RATE
    return 0.2 * sum(np.sin(2 * np.pi * frequency * time) for frequency in frequencies)


def row(clip: str, kind: str, system: str) -> ResultRow:
    """A row without figures."""
    return ResultRow(clip, kind, system, "8 kbps", 0, 8.0, 8.0, 0.0, 1.0, 1.0, {}, {})


def heard_clip(folder: Path, clip: str, kind: str) -> HeardClip:
    """A reference of 400 and 6000 Hz, of which the anchor keeps 400 Hz; systems with tones."""
    reference = folder / f"{clip}.flac"
    sf.write(reference, tone(400, 6000), RATE, subtype="PCM_16")
    conditions = []
    for system, frequency in SYSTEMS.items():
        path = folder / f"{clip}_{system}.flac"
        sf.write(path, tone(frequency), RATE, subtype="PCM_16")
        conditions.append(Condition(row(clip, kind, system), path))
    return HeardClip(clip, kind, reference, tuple(conditions))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[HeardClip]:
    """Two clips of two classes."""
    folder = tmp_path_factory.mktemp("clips")
    return [heard_clip(folder, "violin", "music"), heard_clip(folder, "talk", "speech")]


@pytest.fixture(scope="session")
def listening_folder(tmp_path_factory: pytest.TempPathFactory, clips: list[HeardClip]) -> Path:
    """A folder with a listening test of both clips."""
    folder = tmp_path_factory.mktemp("report")
    write_listening_test(folder, "A test of tones", clips, seed=3)
    return folder
