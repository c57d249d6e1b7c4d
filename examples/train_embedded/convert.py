"""Converts a recording of a package to a 16-bit FLAC and a row of the manifest.

Needs numpy, soundfile, soxr; ffmpeg for G.722.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

AUDIO_SUFFIXES = frozenset(
    (".ogg", ".oga", ".wav", ".flac", ".aif", ".aiff", ".au", ".opus", ".mp3", ".g722")
)
FULL_SCALE = 0.999
SILENT_PEAK = 1e-3
FULL_BAND_DB = -60.0  # least share of energy above 10 kHz
G722_RATE = 16000


@dataclass(frozen=True)
class Job:
    """A recording to convert."""

    sources: tuple[Path, ...]  # if there are several, they are stems and are added up
    target: Path
    row: dict[str, str]  # the columns of the manifest that are known already
    sample_rate: int = 44100  # of the target
    min_seconds: float = 0.3


def convert(job: Job) -> dict[str, str] | None:
    """Write the target and return its row; None if the recording is silent, short or unreadable.

    Unreadable recordings are reported on standard error.
    """
    try:
        audio, rate = _summed(job.sources)
    except (sf.LibsndfileError, subprocess.CalledProcessError, ValueError) as error:
        sys.stderr.write(f"left out: {job.row['source']}: {error}\n")
        return None
    too_short = len(audio) < job.min_seconds * rate
    if too_short or np.abs(audio).max() < SILENT_PEAK or audio.shape[1] > 2:
        return None
    full_band = above_10_khz_db(audio, rate) > FULL_BAND_DB
    if rate != job.sample_rate:
        audio = soxr.resample(audio, rate, job.sample_rate, quality="VHQ")
    write_flac(job.target, audio, job.sample_rate)
    return job.row | {
        "seconds": f"{len(audio) / job.sample_rate:.3f}",
        "rate": str(job.sample_rate),
        "channels": str(audio.shape[1]),
        "source_rate": str(rate),
        "full_band": "yes" if full_band else "no",
    }


def write_flac(target: Path, audio: np.ndarray, sample_rate: int) -> None:
    """Write audio (n_samples, channels), scaled down rather than clipped if it exceeds full scale.

    Decoded Vorbis may do that.
    """
    audio = audio * np.float32(min(1.0, FULL_SCALE / max(1e-9, float(np.abs(audio).max()))))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")  # so that a stopped run leaves no incomplete file
    sf.write(partial, audio, sample_rate, format="FLAC", subtype="PCM_16")
    partial.rename(target)


def above_10_khz_db(audio: np.ndarray, rate: int, window: int = 2048) -> float:
    """Energy above 10 kHz relative to all energy, in dB, from up to 400 windows.

    audio: (n_samples, channels). -200 if it is too short, or sampled below 22.05 kHz.
    """
    mono = audio.mean(axis=1)
    if rate < 22050 or len(mono) < window:
        return -200.0
    power = np.zeros(window // 2 + 1)
    n_frames = min(400, len(mono) // window)
    for start in np.linspace(0, len(mono) - window, n_frames).astype(int):
        power += np.abs(np.fft.rfft(mono[start : start + window] * np.hanning(window))) ** 2
    high = power[np.fft.rfftfreq(window, 1 / rate) >= 10000].sum()
    return float(10 * np.log10((high + 1e-20) / (power.sum() + 1e-12)))


def _summed(sources: tuple[Path, ...]) -> tuple[np.ndarray, int]:
    audio, rate = _read(sources[0])
    for source in sources[1:]:
        other, other_rate = _read(source)
        if other_rate != rate or other.shape[1] != audio.shape[1]:
            raise ValueError("its stems differ in rate or channels")
        longer, shorter = (audio, other) if len(audio) >= len(other) else (other, audio)
        longer[: len(shorter)] += shorter
        audio = longer
    return audio, rate


def _read(path: Path) -> tuple[np.ndarray, int]:
    """Audio float32 (n_samples, channels) and its sample rate; ffmpeg decodes raw G.722."""
    if path.suffix.lower() != ".g722":
        return sf.read(path, dtype="float32", always_2d=True)
    command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path)]
    command += ["-f", "f32le", "-ar", str(G722_RATE), "-ac", "1", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, 1).copy(), G722_RATE
