"""A folder of decoded recordings, mono at the model's rate, for fast random access.

The cache holds one file per recording: 16-bit samples scaled to its peak, so that quiet recordings
keep their detail and loud ones do not clip. Reading an excerpt takes a few pages, which processes
share through the page cache. A file is named by a hash of path, size, modification time and sample
rate, so a changed recording is decoded anew. It appears whole or not at all, so building can be
interrupted and runs can share a folder.
"""

import hashlib
import math
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from audiocodec.audio import resampled
from audiocodec.audio.source import Samples
from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.files import make_folder, output_file
from audiocodec.lab.train.parts import Mono, check_mix, energy_of, fitted, mixed, read_part
from audiocodec.lab.train.sources import Skipped, TrainingRecording
from audiocodec.recordings import Recording, open_recording
from audiocodec.workers import each_done, worker_pool

HEADER = struct.Struct("<8sdQ")  # magic, value of one quantization step, number of samples
MAGIC = b"DACpcm1\0"
STEPS = 32767
CHUNK_SAMPLES = 2**20
GIB = 2**30


class Cache:
    """Decoded recordings in a folder, at one sample rate."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder, self.sample_rate = Path(folder), sample_rate
        self._found: dict[Recording, Path] = {}

    def read_part(self, recording: Recording, start: int, n_samples: int) -> Mono:
        """Audio (n_samples,) from `start`, as parts.read_part gives it to within a 16-bit step.

        Read from the cache, or from the recording if it is not cached. Raises AudioError.
        """
        if recording not in self._found:
            if _length(entry := self._entry(recording)) is None:
                return read_part(recording, start, n_samples, self.sample_rate)
            self._found[recording] = entry
        try:
            return _read_entry(self._found[recording], start, n_samples)
        except OSError:  # the cache was emptied in the meantime
            del self._found[recording]
            return read_part(recording, start, n_samples, self.sample_rate)

    def build(
        self, recordings: Sequence[TrainingRecording], budget_gib: float, n_workers: int = 0
    ) -> list[Skipped]:
        """Decode recordings that are not cached yet, in n_workers processes (0: in this one).

        budget_gib: how much of the set the folder may hold. Recordings are chosen by hash, so that
        all classes and groups get a like share; others are read from their files.
        Returns recordings that cannot be decoded, with the reason. Raises ArgumentError for a
        budget of 0 or less, and OutputError where the folder cannot be written.
        """
        if budget_gib <= 0:
            raise ArgumentError(f"a cache of {budget_gib} GiB; it must be more than 0")
        make_folder(self.folder)
        missing = self._missing(recordings, budget_gib * GIB)
        jobs = [(one, entry, self.sample_rate) for one, entry in missing]
        bar = tqdm(_decoded_all(jobs, n_workers), "cache", len(jobs), unit="file", disable=None)
        return [skipped for skipped in bar if skipped is not None]

    def _missing(
        self, recordings: Sequence[TrainingRecording], budget_bytes: float
    ) -> list[tuple[Recording, Path]]:
        """Recordings within the budget that are not cached yet, with their entries."""
        entries: dict[Path, tuple[Recording, int]] = {}
        for one in recordings:
            n_bytes = HEADER.size + 2 * math.ceil(one.seconds * self.sample_rate)
            entries.setdefault(self._entry(one), (one, n_bytes))
        missing, used = [], 0
        for entry, (recording, n_bytes) in sorted(entries.items(), key=itemgetter(0)):
            used += n_bytes
            if used > budget_bytes:
                break
            if _length(entry) is None:
                missing.append((recording, entry))
        return missing

    def _entry(self, recording: Recording) -> Path:
        try:
            status = os.stat(recording.path)
            state = f"{status.st_size}\n{status.st_mtime_ns}"
        except OSError:
            state = "missing"  # decoding reports it
        text = f"{os.path.abspath(recording.path)}\n{state}\n{self.sample_rate}"
        if recording.member is not None or not recording.is_whole:
            text += f"\n{recording.offset}\n{recording.start!r}\n{recording.duration!r}"
        name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.pcm"


def _length(entry: Path) -> int | None:
    """Number of samples of an entry; None if it is missing or incomplete."""
    try:
        with entry.open("rb") as file:
            magic, _, n_samples = HEADER.unpack(file.read(HEADER.size))
            size = os.fstat(file.fileno()).st_size
    except (OSError, struct.error):
        return None
    return n_samples if magic == MAGIC and size == HEADER.size + 2 * n_samples else None


def _read_entry(entry: Path, start: int, n_samples: int) -> Mono:
    with entry.open("rb", buffering=0) as file:
        _, scale, length = HEADER.unpack(file.read(HEADER.size))
        file.seek(HEADER.size + 2 * min(start, length))
        steps = np.frombuffer(file.read(2 * n_samples), "<i2")
    return fitted(steps.astype(np.float32) * np.float32(scale), n_samples)


_Job = tuple[Recording, Path, int]


def _decoded_all(jobs: list[_Job], n_workers: int) -> Iterator[Skipped | None]:
    if not n_workers:
        yield from map(_decode, jobs)
        return
    with worker_pool(n_workers, 1) as pool:
        for _, skipped in each_done(pool, _decode, jobs):
            yield skipped


def _decode(job: _Job) -> Skipped | None:
    recording, entry, sample_rate = job
    make_folder(entry.parent)
    try:
        with tempfile.TemporaryFile(dir=entry.parent) as floats:
            peak, n_samples = _spool(recording, sample_rate, floats)
            floats.seek(0)
            with output_file(entry, overwrite=True) as file:
                _write_entry(floats, file, peak, n_samples)
    except AudioError as error:
        return Skipped(recording.path, str(error).removeprefix(f"{recording.path}: "))
    except OSError as error:
        raise OutputError(f"{entry}: cannot be written: {error.strerror}") from error
    return None


def _spool(recording: Recording, sample_rate: int, file: BinaryIO) -> tuple[float, int]:
    """Decode to a float32 file, since a recording may exceed memory; returns peak and length.

    Raises AudioError for a recording that is empty or whose channels cancel each other.
    """
    peak, n_samples, mono_energy, energy = 0.0, 0, 0.0, 0.0

    def mono_blocks() -> Iterator[Samples]:
        nonlocal mono_energy, energy
        for block in source.blocks():
            mono = mixed(block)[:, None]
            mono_energy, energy = mono_energy + energy_of(mono), energy + energy_of(block)
            yield mono

    with open_recording(recording) as source:
        for block in resampled(mono_blocks(), source.sample_rate, sample_rate, 1):
            peak = max(peak, float(np.abs(block).max()))
            n_samples += len(block)
            file.write(block.tobytes())
    if not n_samples:
        raise AudioError(f"{recording.place}: holds no audio")
    check_mix(source.name, mono_energy, energy)
    return peak, n_samples


def _write_entry(floats: BinaryIO, file: BinaryIO, peak: float, n_samples: int) -> None:
    scale = max(peak, 1e-9) / STEPS
    file.write(HEADER.pack(MAGIC, scale, n_samples))
    while chunk := floats.read(4 * CHUNK_SAMPLES):
        steps = np.rint(np.frombuffer(chunk, np.float32) / scale)
        file.write(steps.clip(-STEPS, STEPS).astype("<i2").tobytes())
