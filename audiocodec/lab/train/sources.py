"""Training material: folders and manifests to recordings, and which of them are full-band.

A source is [class=]PATH. PATH is a folder, searched with its subfolders for what libsndfile reads,
or a manifest: CSV with a header, or JSONL. Columns: path (relative to the manifest), class, group
(else package), full_band (yes or no), seconds; only path must be there. Files are opened only
where no length is stated, so that a large manifest is read in a second.
"""

import csv
import io
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.files import output_file
from audiocodec.listing import MANIFESTS, SOUND_SUFFIXES, manifest_rows, sound_files

UNREADABLE = (".aac", ".ac3", ".ape", ".m4a", ".m4b", ".mka", ".mp4", ".wma", ".wv")  # audio too
THREADS = 8  # libsndfile works without the interpreter's lock, and disks like company

FULL_BAND_HZ = 10_000.0
FULL_BAND_DB = -60.0
WINDOW_SAMPLES = 4096
MEASURED_WINDOWS = 200  # evenly spread: at most 19 s of 44.1 kHz, however long the recording


@dataclass(frozen=True)
class Recording:
    """A sound file of the training set. group: within its class; full_band: None if not known."""

    path: Path
    kind: str  # class: speech, music, environment...
    group: str
    seconds: float
    full_band: bool | None = None


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be used, and why."""

    path: Path
    reason: str


class SkippedFiles(UserWarning):
    """Some files of the training set cannot be used."""


@dataclass(frozen=True)
class Material:
    """What was found; skipped files are left out of the recordings."""

    recordings: list[Recording]
    skipped: list[Skipped]


def scan(sources: Sequence[str]) -> Material:
    """Find the recordings of one or several sources, each [class=]PATH.

    class= wins over a manifest's column. The group is the manifest's column group, else package,
    else the source. Files that cannot be used are listed, and a SkippedFiles warning counts them.
    Raises ArgumentError for a source without class, AudioError for an unusable manifest or where
    no recording is left.
    """
    recordings: list[Recording] = []
    skipped: list[Skipped] = []
    for source in sources:
        found = _sorted(_opened_where_needed(_listed(source)))
        recordings += found.recordings
        skipped += found.skipped
    first = f", first {skipped[0].path}: {skipped[0].reason}" if skipped else ""
    if not recordings:
        raise AudioError(f"{' '.join(sources) or 'no source'}: no recording to train on{first}")
    if skipped:
        n_files = len(recordings) + len(skipped)
        warnings.warn(
            f"{len(skipped)} of {n_files} files cannot be used{first}", SkippedFiles, stacklevel=2
        )
    return Material(recordings, skipped)


Found = Recording | Skipped


def _listed(source: str) -> Iterator[Found]:
    """Recordings of a source; seconds is NaN where only the file knows."""
    kind, path = _parted(source)
    if path.is_dir():
        if not kind:
            raise ArgumentError(f"{path}: a folder needs its class, as in speech={path}")
        both = (*SOUND_SUFFIXES, *UNREADABLE)
        yield from (_of_folder(file, kind, str(path)) for file in sound_files(path, both))
    elif path.suffix.lower() in MANIFESTS:
        for row in manifest_rows(path):
            yield _of_row(row, kind, path)
    else:
        raise AudioError(f"{path}: neither a folder nor a manifest (.csv, .jsonl)")


def _parted(source: str) -> tuple[str, Path]:
    """'speech=/folder' -> ("speech", /folder); a path with a = of its own is no class."""
    match = re.fullmatch(r"([\w.-]+)=(.+)", source)
    if match is None or Path(source).exists():
        return "", Path(source).expanduser()
    return match[1], Path(match[2]).expanduser()


def _of_folder(file: Path, kind: str, group: str) -> Found:
    if file.suffix.lower() in UNREADABLE:
        return Skipped(file, f"libsndfile does not read {file.suffix}; convert it to FLAC")
    return Recording(file, kind, group, math.nan)


def _of_row(row: Mapping[str, Any], kind: str, manifest: Path) -> Found:
    """A row's recording; only looks whether the file is there."""
    kind = kind or str(row.get("class") or "")
    if not kind:
        raise ArgumentError(
            f"{manifest}: {row['path']} has no class; add a column class, or put the class before "
            f"the manifest, as in speech={manifest}"
        )
    path = Path(os.path.join(manifest.parent, str(row["path"])))
    if not os.path.isfile(path):
        return Skipped(path, "no such file")
    group = str(row.get("group") or row.get("package") or manifest)
    try:
        seconds = float(row.get("seconds") or math.nan)
        full_band = _yes_or_no(row.get("full_band"))
    except (TypeError, ValueError) as error:
        raise AudioError(f"{manifest}: {row['path']}: {error}") from error
    return Recording(path, kind, group, seconds, full_band)


def _yes_or_no(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in ("", "yes", "true", "1", "no", "false", "0"):
        raise ValueError(f"full_band is {value!r}, not yes or no")
    return word in ("yes", "true", "1") if word else None


def _sorted(found: Sequence[Found]) -> Material:
    return Material(
        [one for one in found if isinstance(one, Recording)],
        [one for one in found if isinstance(one, Skipped)],
    )


def _opened_where_needed(found: Iterable[Found]) -> list[Found]:
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [
            pool.submit(_measured, one)
            if isinstance(one, Recording) and not one.seconds > 0
            else one
            for one in found
        ]
        return [one if isinstance(one, Found) else one.result() for one in waiting]


def _measured(recording: Recording) -> Found:
    try:
        info = sf.info(recording.path)
    except (OSError, sf.LibsndfileError) as error:
        return Skipped(recording.path, f"cannot be read as audio: {error}")
    if not 0 < info.frames < 2**62:
        return Skipped(recording.path, "holds no audio, or does not say how much")
    return replace(recording, seconds=info.frames / info.samplerate)


def is_full_band(path: Path) -> bool:
    """Whether the energy above 10 kHz exceeds -60 dB of the whole (needed: paper, section 3.5).

    Measured on up to 200 windows of 4096 samples, spread evenly, so that hours cost no more than
    seconds. Raises AudioError for a file that cannot be read.
    """
    high = total = 0.0
    try:
        with sf.SoundFile(path) as sound:
            if sound.samplerate <= 2 * FULL_BAND_HZ:
                return False
            first_bin = math.ceil(FULL_BAND_HZ * WINDOW_SAMPLES / sound.samplerate)
            window = np.hanning(WINDOW_SAMPLES)
            for start in _spread(sound.frames):
                sound.seek(start)
                audio = sound.read(WINDOW_SAMPLES, always_2d=True).mean(axis=1)
                power = np.abs(np.fft.rfft(audio * window[: len(audio)], WINDOW_SAMPLES)) ** 2
                high, total = high + power[first_bin:].sum(), total + power.sum()
    except (OSError, sf.LibsndfileError) as error:
        raise AudioError(f"{path}: cannot be read as audio: {error}") from error
    return bool(high > total * 10 ** (FULL_BAND_DB / 10))


def _spread(n_samples: int) -> list[int]:
    n_windows = min(MEASURED_WINDOWS, max(1, n_samples // WINDOW_SAMPLES))
    last = max(0, n_samples - WINDOW_SAMPLES)
    return [int(start) for start in np.linspace(0, last, n_windows)]


def with_full_band(
    recordings: Sequence[Recording], measure: Callable[[Path], bool] = is_full_band
) -> Material:
    """Fill in full_band wherever it is not known, 8 files at a time; unreadable files are skipped.

    It reads a part of every such file, so keep the result: see write_manifest.
    """

    def filled(recording: Recording) -> Found:
        if recording.full_band is not None:
            return recording
        try:
            return replace(recording, full_band=measure(recording.path))
        except AudioError as error:
            return Skipped(recording.path, str(error))

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(filled, recordings))
    return _sorted(found)


def write_manifest(recordings: Iterable[Recording], path: Path) -> None:
    """Keep what scan and with_full_band found, as a CSV that scan reads back; replaces `path`.

    Raises OutputError.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("path", "class", "group", "seconds", "full_band"))
    band = {None: "", True: "yes", False: "no"}
    for one in recordings:
        relative = os.path.relpath(one.path, path.parent)
        writer.writerow((relative, one.kind, one.group, repr(one.seconds), band[one.full_band]))
    with output_file(path, overwrite=True) as file:
        file.write(text.getvalue().encode("utf-8"))
