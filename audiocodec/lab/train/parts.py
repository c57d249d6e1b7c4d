"""Any part of a recording, mono at the model's rate, as it is in the whole recording."""

import math
import os
import threading
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from audiocodec.audio import AudioSource, resampled_length
from audiocodec.audio.resample import QUALITY, REACH_SAMPLES
from audiocodec.errors import AudioError
from audiocodec.recordings import Recording, open_recording

Mono = NDArray[np.float32]  # (n_samples,), full scale 1.0

MAX_OPEN = 16  # recordings in each process
CANCELLED = 1e-4  # share of the energy, -40 dB, below which channels count as opposite


def read_part(recording: Recording, start: int, n_samples: int, sample_rate: int) -> Mono:
    """Read n_samples from `start`, both at sample_rate; zeros after the end.

    Decodes and resamples only what is needed, with the reach of the resampler's filter on both
    sides, so a part equals that part of the whole recording. Channels are averaged.
    Raises AudioError for a recording that cannot be read there, for NaN or infinity, and for
    channels that cancel each other.
    """
    source = _opened(recording)
    rate = source.sample_rate
    first, last, n_skip = _needed(start, n_samples, rate, sample_rate)
    audio, end = _read_mono(source, first, last)
    if rate != sample_rate:
        audio = soxr.resample(audio, rate, sample_rate, quality=QUALITY)
    # without what the filter leaves after the end
    n_left = n_samples if end is None else resampled_length(end, rate, sample_rate) - start
    return fitted(audio[n_skip : n_skip + max(0, n_left)], n_samples)


_kept = threading.local()  # open recordings of this thread, the last used at the end


def _opened(recording: Recording) -> AudioSource:
    """Open a recording, or take it as it is still open: opening scans some formats to their end.

    A process that was forked from another opens its own: the two would move each other's place in
    the file. One that has changed is opened anew.
    """
    if getattr(_kept, "process", None) != os.getpid():
        _kept.process, _kept.sources = os.getpid(), OrderedDict()
    key = recording, _state(recording.path)
    if key in _kept.sources:
        _kept.sources.move_to_end(key)
        return _kept.sources[key][0]
    with ExitStack() as stack:
        source = stack.enter_context(open_recording(recording))
        _kept.sources[key] = source, stack.pop_all()
    if len(_kept.sources) > MAX_OPEN:
        _kept.sources.popitem(last=False)[1][1].close()
    return source


def _state(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # opening says what is wrong
        return 0, 0
    return status.st_mtime_ns, status.st_size


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


def _read_mono(source: AudioSource, first: int, last: int) -> tuple[Mono, int | None]:
    """Samples from `first`, before which there is silence, up to `last` or the end.

    Returns where the recording ends, too, if that is before `last`.
    """
    begin = max(0, first)
    blocks = list(source.blocks(begin, last))
    audio = np.concatenate([np.zeros((0, source.channels), np.float32), *blocks])
    mono = mixed(audio)
    check_mix(source.name, energy_of(mono[:, None]), energy_of(audio))
    end = begin + len(audio) if begin + len(audio) < last else None
    if end is not None and source.n_samples is not None:
        end = source.n_samples  # the part may lie behind it
    return np.pad(mono, (max(0, -first), 0)), end


def mixed(audio: NDArray[np.float32]) -> Mono:
    """Mean of the channels of (n_samples, channels), 60 times as fast as numpy's."""
    return sum(audio.T[1:], start=audio[:, 0]) / np.float32(audio.shape[1])


def energy_of(audio: NDArray[np.float32]) -> float:
    """Sum of the squares of (n_samples, channels), of a channel on average."""
    return float(np.square(audio).sum()) / audio.shape[1]


def check_mix(name: str, mono_energy: float, energy: float) -> None:
    """Raise AudioError where next to nothing is left of the channels when they are mixed."""
    if mono_energy < CANCELLED * energy:
        raise AudioError(
            f"{name}: its channels cancel each other when they are mixed to mono, as opposite ones "
            "do; train on one of them alone"
        )


def fitted(audio: Mono, n_samples: int) -> Mono:
    """Cut, or padded with zeros."""
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio))))
