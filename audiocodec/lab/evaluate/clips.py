"""Which clips to measure on, and the reference made of each, as the published test set is made:
mono, 16 bit, one rate, -16 LUFS, 10 s at most.
"""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from audiocodec.audio import LoudnessMeter, normalizing_gain, open_audio
from audiocodec.errors import AudioError
from audiocodec.files import output_file
from audiocodec.lab.measures.signals import SILENCE, Samples, at_rate
from audiocodec.listing import MANIFESTS, SOUND_SUFFIXES, manifest_rows, sound_files

MIN_SECONDS, MAX_SECONDS = 0.5, 3600.0  # of one clip; in shorter ones headers are all that counts


@dataclass(frozen=True)
class Clip:
    """A recording to measure on."""

    name: str  # differs from all others of the run
    kind: str  # class: speech, music, environment...
    path: Path


@dataclass(frozen=True)
class Reference:
    """What systems encode and are compared with: mono, 16 bit, FLAC."""

    clip: Clip
    path: Path
    digest: str  # of the samples
    seconds: float


def find_clips(data: Path, every: int = 1) -> list[Clip]:
    """List the clips of a sound file, a folder or a manifest (.csv, .jsonl); every n-th of them.

    The class is the manifest's column `class`, or the first folder below `data` that a file lies
    in, or the name of its folder. Raises AudioError where there is none.
    """
    if data.suffix.lower() in MANIFESTS:
        found = list(_of_manifest(data))
    elif data.is_dir():
        found = [(_class_of(path, data), path) for path in sound_files(data)]
    elif data.suffix.lower() in SOUND_SUFFIXES and data.is_file():
        found = [(data.absolute().parent.name, data)]
    else:
        raise AudioError(f"{data}: not a sound file, a folder or a manifest (.csv, .jsonl)")
    if not found:
        raise AudioError(f"{data}: holds no sound files")
    return list(_named(found[::every]))


def _of_manifest(manifest: Path) -> Iterator[tuple[str, Path]]:
    for row in manifest_rows(manifest):
        if not row.get("class"):
            raise AudioError(f"{manifest}: {row['path']} has no class; add a column class")
        yield str(row["class"]), manifest.parent / row["path"]


def _class_of(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else folder.absolute().name


def _named(found: Iterable[tuple[str, Path]]) -> Iterator[Clip]:
    """Names are those of the files; a number is added to what comes again."""
    seen: Counter[str] = Counter()
    for kind, path in found:
        seen[path.name] += 1
        n = seen[path.name]
        yield Clip(path.name if n == 1 else f"{path.stem} ({n}){path.suffix}", kind, path)


def make_reference(clip: Clip, folder: Path, sample_rate: int, seconds: float) -> Reference:
    """Write the reference of a clip, an excerpt of `seconds` from the middle of a longer one.

    Raises AudioError for a recording that cannot be used: damaged, too short, or silent, for then
    there is nothing to compare.
    """
    audio = at_rate(*_excerpt(clip.path, min(seconds, MAX_SECONDS)), sample_rate)
    if len(audio) < MIN_SECONDS * sample_rate:
        raise AudioError(f"{clip.path}: shorter than {MIN_SECONDS:g} s; not measured")
    if np.abs(audio).max() < SILENCE:
        raise AudioError(f"{clip.path}: silent; not measured")
    meter = LoudnessMeter(sample_rate, 1)
    meter.push(audio[:, None])
    audio = audio * np.float32(normalizing_gain(meter.integrated(), meter.peak))
    digest = hashlib.sha256(as_16_bit(audio).tobytes()).hexdigest()
    stem = re.sub(r"\W+", "_", clip.path.stem)[:60]
    path = folder / f"{stem}-{digest[:12]}-{sample_rate}.flac"
    if not path.exists():
        write_clip(path, audio, sample_rate)
    return Reference(clip, path, digest, len(audio) / sample_rate)


def _excerpt(path: Path, seconds: float) -> tuple[Samples, int]:
    """The middle of a recording, mixed to mono, and its sample rate."""
    with open_audio(path) as source:
        n_samples = sum(len(block) for block in source.blocks())
        n_wanted = min(n_samples, round(seconds * source.sample_rate))
        start = (n_samples - n_wanted) // 2
        parts, position = [], 0
        for block in source.blocks():
            part = block[max(0, start - position) : max(0, start + n_wanted - position)]
            parts.append(part.mean(axis=1))
            position += len(block)
        return np.concatenate(parts or [np.zeros(0, np.float32)]), source.sample_rate


def as_16_bit(audio: Samples) -> np.ndarray:
    """As a player with 16 bits gives it: rounded, and clipped at full scale."""
    return np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)


def write_clip(path: Path, audio: Samples, sample_rate: int) -> None:
    """Write mono audio (n_samples,) as FLAC of 16 bits. Raises OutputError."""
    content = io.BytesIO()
    sf.write(content, as_16_bit(audio), sample_rate, format="FLAC")
    with output_file(path, overwrite=True) as file:
        file.write(content.getbuffer())


def read_clip(path: Path) -> tuple[Samples, int]:
    """Samples (n_samples,) of what write_clip wrote, and their rate."""
    return sf.read(path, dtype="float32")
