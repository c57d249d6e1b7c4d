"""Training material: lists the recordings of sources, and finds which ones are full-band.

A source is [class=]PATH. PATH is a folder, a manifest, a tar or a sound file, as for all commands:
see recordings.listing. Training reads these columns: class, group (else package), full_band (yes
or no), seconds (of the file), start and duration (of an excerpt); only path is required. Files
are opened only where no length is given, so that a large manifest is read in a second.
"""

import csv
import io
import math
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audiocodec.audio import AudioSource
from audiocodec.audio.source import Samples
from audiocodec.errors import ArgumentError, AudioError
from audiocodec.files import output_file
from audiocodec.recordings import Recording, open_recording, recordings_in
from audiocodec.recordings.listing import is_compressed
from audiocodec.recordings.opening import problem_of

THREADS = 8  # libsndfile releases the interpreter lock, and disks gain from parallel reads

FULL_BAND_HZ = 10_000.0
FULL_BAND_DB = -60.0
WINDOW_SAMPLES = 4096
MEASURED_WINDOWS = 200  # evenly spread: at most 19 s of 44.1 kHz, however long the recording


@dataclass(frozen=True)
class TrainingRecording(Recording):
    """A recording of the training set, with its class and group.

    seconds: its duration. full_band: whether it has sound above 10 kHz; None: unknown.
    """

    seconds: float = math.nan
    full_band: bool | None = None


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be used, and the reason."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class SkippedFiles(UserWarning):
    """Some files of the training set cannot be used."""


@dataclass(frozen=True)
class Material:
    """The recordings of sources, and the files that cannot be used."""

    recordings: list[TrainingRecording]
    skipped: list[Skipped]


def scan(sources: Sequence[str]) -> Material:
    """Find the recordings of one or several sources, each [class=]PATH.

    class= overrides a manifest's column. The group is the manifest's column group, else package,
    else the source. Files that cannot be used are listed, and a SkippedFiles warning counts them.
    Raises ArgumentError for a source without class, AudioError for an unusable manifest or where
    no recording is left.
    """
    recordings: list[TrainingRecording] = []
    skipped: list[Skipped] = []
    for source in sources:
        found = _sorted(_opened_where_needed(_listed(source)))
        recordings += found.recordings
        skipped += found.skipped
    if not recordings:
        first = f", first {skipped[0]}" if skipped else ""
        raise AudioError(f"{' '.join(sources) or 'no source'}: no recording to train on{first}")
    return _warned(Material(recordings, skipped))


def _warned(material: Material) -> Material:
    """Warn of skipped files, if there are any."""
    if skipped := material.skipped:
        n_files = len(material.recordings) + len(skipped)
        message = f"{len(skipped)} of {n_files} files cannot be used, first {skipped[0]}"
        warnings.warn(message, SkippedFiles, stacklevel=3)
    return material


Found = TrainingRecording | Skipped


def _listed(source: str) -> Iterator[Found]:
    """Recordings of a source; seconds is NaN where the file must be opened."""
    kind, path = _parted(source)
    if path.is_dir() and not kind:
        raise ArgumentError(f"{path}: a folder needs its class, as in speech={path}")
    for recording in recordings_in(path):
        if not (kind or recording.kind):
            raise ArgumentError(
                f"{path}: {recording.source} has no class; add a column class, or put the class "
                f"before the manifest, as in speech={path}"
            )
        group = recording.group or str(path)
        yield _usable(replace(recording, kind=kind or recording.kind, group=group), path)


def _parted(source: str) -> tuple[str, Path]:
    """'speech=/folder' -> ("speech", /folder); an existing path that contains = has no class."""
    match = re.fullmatch(r"([\w.-]+)=(.+)", source)
    if match is None or Path(source).exists():
        return "", Path(source).expanduser()
    return match[1], Path(match[2]).expanduser()


def _usable(recording: Recording, source: Path) -> Found:
    """The recording with its columns' values; does not open the file. Raises AudioError."""
    if problem := recording.problem or _problem(recording):
        return Skipped(recording.path, problem)
    try:
        stated = float(recording.columns.get("seconds") or math.nan) - recording.start
        full_band = _yes_or_no(recording.columns.get("full_band"))
    except (TypeError, ValueError) as error:
        raise AudioError(f"{source}: {recording.source}: {error}") from error
    seconds = stated if recording.duration is None else recording.duration
    return TrainingRecording(**vars(recording), seconds=seconds, full_band=full_band)


def _problem(recording: Recording) -> str | None:
    if recording.member is not None and is_compressed(recording.path):
        return "a compressed tar cannot be read from its middle; decompress it"
    return problem_of(recording.path)


def _yes_or_no(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in ("", "yes", "true", "1", "no", "false", "0"):
        raise ValueError(f"full_band is {value!r}, not yes or no")
    return word in ("yes", "true", "1") if word else None


def _sorted(found: Sequence[Found]) -> Material:
    return Material(
        [one for one in found if isinstance(one, TrainingRecording)],
        [one for one in found if isinstance(one, Skipped)],
    )


def _opened_where_needed(found: Iterable[Found]) -> list[Found]:
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [
            pool.submit(_measured, one)
            if isinstance(one, TrainingRecording) and not one.seconds > 0
            else one
            for one in found
        ]
        return [one if isinstance(one, Found) else one.result() for one in waiting]


def _measured(recording: TrainingRecording) -> Found:
    """The recording with its measured length; some formats must be read to their end."""
    try:
        with open_recording(recording) as audio:
            n_samples = audio.length()
    except AudioError as error:
        return _skipped(recording, error)
    if not n_samples:
        return Skipped(recording.path, "holds no audio")
    return replace(recording, seconds=n_samples / audio.sample_rate)


def _skipped(recording: Recording, error: AudioError) -> Skipped:
    return Skipped(recording.path, str(error).removeprefix(f"{recording.path}: "))


def is_full_band(recording: Recording) -> bool:
    """Whether the energy above 10 kHz exceeds -60 dB of the total energy (cf. paper, section 3.5).

    Measured on up to 200 evenly spread windows of 4096 samples, so that hours cost little more than
    seconds. Raises AudioError for a recording that cannot be read.
    """
    high = total = 0.0
    with open_recording(recording) as audio:
        if audio.sample_rate <= 2 * FULL_BAND_HZ:
            return False
        first_bin = math.ceil(FULL_BAND_HZ * WINDOW_SAMPLES / audio.sample_rate)
        shape = np.hanning(WINDOW_SAMPLES)
        for window in _windows(audio):
            mono = window.mean(axis=1, dtype=np.float64)
            power = np.abs(np.fft.rfft(mono * shape[: len(mono)], WINDOW_SAMPLES)) ** 2
            high, total = high + power[first_bin:].sum(), total + power.sum()
    return bool(high > total * 10 ** (FULL_BAND_DB / 10))


def _windows(audio: AudioSource) -> Iterator[Samples]:
    """Evenly spread windows (WINDOW_SAMPLES, channels); shorter at the end of the recording.

    Where the length is unknown, the file is not seekable either: all of it is read, and windows end
    at the end of a block.
    """
    starts = _spread(audio.length())
    if audio.n_samples is not None:
        for start in starts:
            yield from audio.blocks(start, start + WINDOW_SAMPLES)
        return
    position = 0
    for block in audio.blocks():
        for start in starts:
            if position <= start < position + len(block):
                yield block[start - position :][:WINDOW_SAMPLES]
        position += len(block)


def _spread(n_samples: int) -> list[int]:
    n_windows = min(MEASURED_WINDOWS, max(1, n_samples // WINDOW_SAMPLES))
    last = max(0, n_samples - WINDOW_SAMPLES)
    return [int(start) for start in np.linspace(0, last, n_windows)]


def with_full_band(recordings: Sequence[TrainingRecording]) -> Material:
    """Measure full_band wherever it is unknown, 8 files at a time.

    Unreadable files are skipped, and a SkippedFiles warning counts them. A part of every such file
    is read, so keep the result: see write_manifest.
    """

    def filled(recording: TrainingRecording) -> Found:
        if recording.full_band is not None:
            return recording
        try:
            return replace(recording, full_band=is_full_band(recording))
        except AudioError as error:
            return _skipped(recording, error)

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(filled, recordings))
    return _warned(_sorted(found))


def write_manifest(recordings: Iterable[TrainingRecording], path: Path) -> None:
    """Write the results of scan and with_full_band as a CSV manifest for scan; replaces `path`.

    Raises ArgumentError for a recording in a tar, which a manifest cannot name, and OutputError.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("path", "class", "group", "seconds", "full_band", "start", "duration"))
    band = {None: "", True: "yes", False: "no"}
    for one in recordings:
        if one.member is not None:
            raise ArgumentError(f"{one.place}: lies in a tar; a manifest names files alone")
        relative = os.path.relpath(one.path, path.parent)
        excerpt = (one.start or None, one.duration)
        file_s = repr(one.start + one.seconds)
        writer.writerow((relative, one.kind, one.group, file_s, band[one.full_band], *excerpt))
    with output_file(path, overwrite=True) as file:
        file.write(text.getvalue().encode("utf-8"))
