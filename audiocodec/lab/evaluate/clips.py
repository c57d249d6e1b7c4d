"""Finds the clips to measure on, and makes a reference from each.

References are prepared as in the published test set: mono, 16 bit, one sample rate, -16 LUFS, 10 s
at most.
"""

import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from audiocodec.audio import LoudnessMeter, normalizing_gain
from audiocodec.errors import AudioError
from audiocodec.files import output_file
from audiocodec.lab.measures.signals import SILENCE, Samples, at_rate
from audiocodec.recordings import Recording, open_recording, recordings_in

MIN_SECONDS, MAX_SECONDS = 0.5, 3600.0  # of one clip; headers dominate the rate of shorter ones


@dataclass(frozen=True)
class Clip:
    """A recording to measure on."""

    name: str  # unique in the run
    recording: Recording

    @property
    def kind(self) -> str:
        """Its class: speech, music, environment..."""
        return self.recording.kind


@dataclass(frozen=True)
class Reference:
    """The audio that systems encode and are compared with: mono, 16 bit, FLAC."""

    clip: Clip
    path: Path
    digest: str  # of the samples
    seconds: float


def find_clips(data: Path, every: int = 1) -> list[Clip]:
    """List every n-th clip of a sound file, a folder, a manifest or a tar; see recordings_in.

    Raises AudioError if there are no recordings, or if one has no class.
    """
    found = list(recordings_in(data))
    if not found:
        raise AudioError(f"{data}: holds no sound files")
    if without := [one for one in found if not one.kind]:
        raise AudioError(f"{data}: {without[0].source} has no class; add a column class")
    return list(_named(found[::every]))


def _named(found: Iterable[Recording]) -> Iterator[Clip]:
    """Name the clips after their files; repeated names get a number."""
    seen: Counter[str] = Counter()
    for recording in found:
        name = recording.name
        seen[name] += 1
        stem, suffix = os.path.splitext(name)
        yield Clip(name if seen[name] == 1 else f"{stem} ({seen[name]}){suffix}", recording)


def make_reference(clip: Clip, folder: Path, sample_rate: int, seconds: float) -> Reference:
    """Write the reference of a clip: at most `seconds` from its middle.

    Raises AudioError for a recording that is damaged, too short, or silent, so that there is
    nothing to compare.
    """
    audio = at_rate(*_middle(clip.recording, min(seconds, MAX_SECONDS)), sample_rate)
    if len(audio) < MIN_SECONDS * sample_rate:
        raise AudioError(f"{clip.recording.place}: shorter than {MIN_SECONDS:g} s; not measured")
    if np.abs(audio).max() < SILENCE:
        raise AudioError(f"{clip.recording.place}: silent; not measured")
    meter = LoudnessMeter(sample_rate, 1)
    meter.push(audio[:, None])
    audio = audio * np.float32(normalizing_gain(meter.integrated(), meter.peak))
    digest = hashlib.sha256(as_16_bit(audio).tobytes()).hexdigest()
    stem = re.sub(r"\W+", "_", os.path.splitext(clip.recording.name)[0])[:60]
    path = folder / f"{stem}-{digest[:12]}-{sample_rate}.flac"
    if not path.exists():
        write_clip(path, audio, sample_rate)
    return Reference(clip, path, digest, len(audio) / sample_rate)


def _middle(recording: Recording, seconds: float) -> tuple[Samples, int]:
    """At most `seconds` from the middle, mixed to mono (n_samples,), and the sample rate."""
    with open_recording(recording) as source:
        n_samples = source.length()
        n_wanted = min(n_samples, round(seconds * source.sample_rate))
        start = (n_samples - n_wanted) // 2
        parts = [block.mean(axis=1) for block in source.blocks(start, start + n_wanted)]
        return np.concatenate(parts or [np.zeros(0, np.float32)]), source.sample_rate


def as_16_bit(audio: Samples) -> np.ndarray:
    """Audio (n_samples,) as int16 (n_samples,), rounded and clipped at full scale."""
    return np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)


def write_clip(path: Path, audio: Samples, sample_rate: int) -> None:
    """Write mono audio (n_samples,) as FLAC of 16 bits. Raises OutputError."""
    content = io.BytesIO()
    sf.write(content, as_16_bit(audio), sample_rate, format="FLAC")
    with output_file(path, overwrite=True) as file:
        file.write(content.getbuffer())


def read_clip(path: Path) -> tuple[Samples, int]:
    """Read a file of write_clip: float32 (n_samples,) and the sample rate."""
    return sf.read(path, dtype="float32")
