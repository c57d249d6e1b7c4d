"""Any part of any recording, mono at the model's rate: decoded by seeking, or from a cache on disk.

The cache holds a file per recording, 16-bit samples scaled to its peak, so that quiet recordings
keep their detail and loud ones do not clip. An excerpt is a plain read of a few pages; processes
share them through the system. A file is named by a hash of path, size, change time and rate, so a
changed recording is decoded anew; it appears whole or not at all, so building can be interrupted
and runs can share a folder.
"""

import hashlib
import math
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from audiocodec.audio import open_audio, resampled, resampled_length
from audiocodec.audio.resample import QUALITY, REACH_SAMPLES
from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.files import make_folder, output_file
from audiocodec.lab.train.sources import Recording, Skipped

Mono = NDArray[np.float32]  # (n_samples,), full scale 1.0

HEADER = struct.Struct("<8sdQ")  # magic, value of one step, samples
MAGIC = b"DACpcm1\0"
STEPS = 32767
CHUNK_SAMPLES = 2**20
MP3_MEMORY = 12 * 1152  # a frame may need bits of several before it; 6 were enough
GIB = 2**30


def read_part(path: Path, start: int, n_samples: int, sample_rate: int) -> Mono:
    """Read n_samples from `start`, both at sample_rate; zeros after the end.

    Decodes and resamples only what is needed, with the reach of the resampler's filter on both
    sides, so a part equals that part of the whole recording. Channels are averaged.
    Raises AudioError for a file that cannot be read there, and for NaN or infinity.
    """
    try:
        with sf.SoundFile(path) as sound:
            rate = sound.samplerate
            first, last, n_skip = _needed(start, n_samples, rate, sample_rate)
            audio = _read_mono(sound, first, last)
            n_left = resampled_length(sound.frames, rate, sample_rate) - start
    except (OSError, sf.LibsndfileError) as error:
        raise AudioError(f"{path}: cannot be read as audio: {error}") from error
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: holds NaN or infinity near {start / sample_rate:.1f} s")
    if rate != sample_rate:
        audio = soxr.resample(audio, rate, sample_rate, quality=QUALITY)
    # without what the filter leaves after the end
    return _fitted(audio[n_skip : n_skip + max(0, n_left)], n_samples)


def _needed(start: int, n_samples: int, from_rate: int, to_rate: int) -> tuple[int, int, int]:
    """Input samples [first, last) for the output wanted, and how much output comes before it.

    first falls on a whole output sample, or the part would lie between those of the whole; it is
    below 0 near the start, where silence comes before the recording.
    """
    if from_rate == to_rate:
        return start, start + n_samples, 0
    divisor = math.gcd(from_rate, to_rate)
    step, step_out = from_rate // divisor, to_rate // divisor
    reach = math.ceil(REACH_SAMPLES * max(1.0, from_rate / to_rate))
    n_steps = (start * from_rate // to_rate - reach) // step
    last = -(-(start + n_samples) * from_rate // to_rate) + reach
    return n_steps * step, last, start - n_steps * step_out


def _read_mono(sound: sf.SoundFile, first: int, last: int) -> Mono:
    """Samples [first, last), with silence before and after the recording."""
    start = min(max(0, first), sound.frames)
    warm_up = min(start, MP3_MEMORY) if sound.format == "MP3" else 0
    sound.seek(start - warm_up)
    audio = sound.read(max(0, last - start + warm_up), dtype="float32", always_2d=True)
    return np.pad(_mixed(audio[warm_up:]), (max(0, -first), 0))


def _mixed(audio: NDArray[np.float32]) -> Mono:
    """Mean of the channels of (n_samples, channels), 60 times as fast as numpy's."""
    return sum(audio.T[1:], start=audio[:, 0]) / np.float32(audio.shape[1])


def _fitted(audio: Mono, n_samples: int) -> Mono:
    """Cut, or padded with zeros."""
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio))))


class Cache:
    """Decoded recordings in a folder, at one sample rate."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder, self.sample_rate = Path(folder), sample_rate
        self._found: dict[Path, Path] = {}

    def read_part(self, path: Path, start: int, n_samples: int) -> Mono:
        """As the function read_part, within one step of 16 bits, from the cache where it can be."""
        if path not in self._found:
            if _length(entry := self._entry(path)) is None:
                return read_part(path, start, n_samples, self.sample_rate)
            self._found[path] = entry
        try:
            return _read_entry(self._found[path], start, n_samples)
        except OSError:  # the cache was emptied meanwhile
            del self._found[path]
            return read_part(path, start, n_samples, self.sample_rate)

    def build(
        self, recordings: Sequence[Recording], budget_gib: float, n_workers: int = 0
    ) -> list[Skipped]:
        """Decode what is not there yet, in n_workers processes (0: in this one).

        budget_gib: how much of the set the folder may hold. What fits is chosen by hash, so all
        classes and groups are served alike; the rest stays with its files.
        Returns the recordings that cannot be decoded, as AudioError says. Raises ArgumentError,
        and OutputError where the folder cannot be written.
        """
        if budget_gib <= 0:
            raise ArgumentError(f"a cache of {budget_gib} GiB; it must be more than 0")
        make_folder(self.folder)
        missing = self._missing(recordings, budget_gib * GIB)
        jobs = [(path, entry, self.sample_rate) for path, entry in missing]
        bar = tqdm(_decoded_all(jobs, n_workers), "cache", len(jobs), unit="file", disable=None)
        return [skipped for skipped in bar if skipped is not None]

    def _missing(
        self, recordings: Sequence[Recording], budget_bytes: float
    ) -> list[tuple[Path, Path]]:
        """Recordings that belong into the cache and are not there, with their entries."""
        entries: dict[Path, tuple[Path, int]] = {}
        for one in recordings:
            n_bytes = HEADER.size + 2 * math.ceil(one.seconds * self.sample_rate)
            entries.setdefault(self._entry(one.path), (one.path, n_bytes))
        missing, used = [], 0
        for entry, (path, n_bytes) in sorted(entries.items()):
            used += n_bytes
            if used > budget_bytes:
                break
            if _length(entry) is None:
                missing.append((path, entry))
        return missing

    def _entry(self, path: Path) -> Path:
        try:
            status = os.stat(path)
            state = f"{status.st_size}\n{status.st_mtime_ns}"
        except OSError:
            state = "missing"  # decoding will say so
        text = f"{os.path.abspath(path)}\n{state}\n{self.sample_rate}"
        name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.pcm"


def _length(entry: Path) -> int | None:
    """Samples of a whole entry; None for one that is not there, or not whole."""
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
    return _fitted(steps.astype(np.float32) * np.float32(scale), n_samples)


_Job = tuple[Path, Path, int]


def _decoded_all(jobs: list[_Job], n_workers: int) -> Iterator[Skipped | None]:
    if not n_workers:
        yield from map(_decode, jobs)
        return
    # a fresh interpreter each: forking one that runs torch's threads may hang
    with ProcessPoolExecutor(n_workers, get_context("spawn")) as pool:
        try:
            yield from pool.map(_decode, jobs, chunksize=8)
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the rest


def _decode(job: _Job) -> Skipped | None:
    path, entry, sample_rate = job
    make_folder(entry.parent)
    try:
        with tempfile.TemporaryFile(dir=entry.parent) as floats:
            peak, n_samples = _spool(path, sample_rate, floats)
            floats.seek(0)
            with output_file(entry, overwrite=True) as file:
                _write_entry(floats, file, peak, n_samples)
    except AudioError as error:
        return Skipped(path, str(error))
    except OSError as error:
        raise OutputError(f"{entry}: cannot be written: {error.strerror}") from error
    return None


def _spool(path: Path, sample_rate: int, file: BinaryIO) -> tuple[float, int]:
    """Decode into a temporary file of float32: a recording may be longer than memory."""
    peak, n_samples = 0.0, 0
    with open_audio(path) as source:
        mono = (_mixed(block)[:, None] for block in source.blocks())
        for block in resampled(mono, source.sample_rate, sample_rate, 1):
            peak = max(peak, float(np.abs(block).max()))
            n_samples += len(block)
            file.write(block.tobytes())
    if not n_samples:
        raise AudioError(f"{path}: holds no audio")
    return peak, n_samples


def _write_entry(floats: BinaryIO, file: BinaryIO, peak: float, n_samples: int) -> None:
    scale = max(peak, 1e-9) / STEPS
    file.write(HEADER.pack(MAGIC, scale, n_samples))
    while chunk := floats.read(4 * CHUNK_SAMPLES):
        steps = np.rint(np.frombuffer(chunk, np.float32) / scale)
        file.write(steps.clip(-STEPS, STEPS).astype("<i2").tobytes())
