"""Compares a setting with the reference, exact float32 on the CPU, on the same audio.

Both encode the audio, and their codes are compared one by one. Then both decode the reference's
codes, and the samples are compared.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import audiocodec
from audiocodec.audio import resampled
from audiocodec.errors import AudioError, CodecError
from audiocodec.lab.speed.results import Fidelity
from audiocodec.lab.systems.workloads import noise
from audiocodec.recordings import Recording, open_recording, recordings_in

NOISE = "noise"  # the audio's name in tables where there are no recordings
NOISE_S = 2.0
CLIP_S = 10.0  # from the start of a file
CLIPS, SEEDED_CLIPS = 64, 4  # at most; fewer for weights that were never trained
SMALLEST = 1e-20  # least energy of a reference, so that a silent one has a ratio

Wave = NDArray[np.float32]  # (channels, 1, n_samples)
Miss = Callable[[str, Exception], None]


class Coder(Protocol):
    """A model at one setting, such as worker.Worker."""

    def codes(self, samples: Wave) -> Any: ...

    def decoded(self, codes: Any) -> Any: ...


@dataclass(frozen=True)
class ComparedAudio:
    """The audio on which settings are compared: recordings, or noise where there are none."""

    name: str
    recordings: tuple[Recording, ...]

    @property
    def n_clips(self) -> int:
        """The number of recordings, or 1 for noise."""
        return max(1, len(self.recordings))

    def some(self, n_clips: int) -> "ComparedAudio":
        """At most n_clips of the recordings, evenly spaced."""
        n_all = len(self.recordings)
        if n_all <= n_clips:
            return self
        chosen = (self.recordings[i * n_all // n_clips] for i in range(n_clips))
        return ComparedAudio(self.name, tuple(chosen))


def find_audio(names: Sequence[str]) -> ComparedAudio:
    """The recordings in the named files and folders; without names, a checkout's examples.

    An installed package has no examples, so noise takes their place. Raises AudioError as
    recordings_in does.
    """
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        found = tuple(one for name in names for one in recordings_in(Path(name)))
        return ComparedAudio(f"{names[0]}{more}", found)
    examples = Path(audiocodec.__file__).parents[1] / "examples" / "audio"
    if not examples.is_dir():
        return ComparedAudio(NOISE, ())
    return ComparedAudio("examples/audio", tuple(recordings_in(examples)))


def read_clip(recording: Recording, sample_rate: int) -> Wave:
    """The first CLIP_S seconds of a recording, resampled, its level unchanged.

    Returns float32 (channels, 1, n_samples). Raises AudioError for a recording that cannot be read
    or is empty.
    """
    n_wanted, n_read, parts = round(CLIP_S * sample_rate), 0, []
    with open_recording(recording) as source:
        for block in resampled(source.blocks(), source.sample_rate, sample_rate, source.channels):
            parts.append(block)
            n_read += len(block)
            if n_read >= n_wanted:
                break
    if not parts:
        raise AudioError(f"{recording.place}: holds no samples")
    return np.ascontiguousarray(np.concatenate(parts)[:n_wanted].T[:, None])


def clips(audio: ComparedAudio, sample_rate: int, miss: Miss) -> Iterator[Wave]:
    """Read clips (channels, 1, n_samples) one by one; miss: called for each that cannot be used."""
    if not audio.recordings:
        yield noise(round(NOISE_S * sample_rate), 1).numpy()
    for recording in audio.recordings:
        try:
            clip = read_clip(recording, sample_rate)
        except AudioError as error:
            miss("audio", error)
        else:
            yield clip


@dataclass
class FidelityCounts:
    """Counts over the clips compared so far."""

    n_frames: int = 0
    n_codes: int = 0
    n_equal: int = 0
    n_first_equal: int = 0
    snr_db: list[float] = field(default_factory=list)  # of each clip

    def add(self, tested: Coder, reference: Coder, clip: Wave) -> None:
        """Encode clip (channels, 1, n_samples), then decode the reference's codes, with both.

        Raises CodecError.
        """
        codes = reference.codes(clip)  # (channels, n_codebooks, frames)
        equal = tested.codes(clip) == codes
        self.n_frames += codes.shape[0] * codes.shape[2]
        self.n_codes += codes.size
        self.n_equal += int(equal.sum())
        self.n_first_equal += int(equal[:, 0].sum())
        self.snr_db.append(snr_db(tested.decoded(codes), reference.decoded(codes)))

    def result(self, model: str, seeded: bool, audio: ComparedAudio) -> Fidelity:
        """The figures over all clips, of which there must be at least one."""
        median, worst = statistics.median(self.snr_db), min(self.snr_db)
        return Fidelity(
            model=model,
            seeded=seeded,
            audio=audio.name,
            n_clips=len(self.snr_db),
            n_available=audio.n_clips,
            n_frames=self.n_frames,
            codes_equal=self.n_equal / self.n_codes,
            first_equal=self.n_first_equal / self.n_frames,
            snr_median_db=median if median < math.inf else None,
            snr_worst_db=worst if worst < math.inf else None,
        )


def snr_db(signal: NDArray[Any], reference: NDArray[Any]) -> float:
    """Energy of the reference over that of the difference, in dB; inf if they are equal.

    signal, reference: samples (channels, 1, n_samples), all channels together. Raises CodecError
    for samples that are not finite.
    """
    wanted = np.asarray(reference, np.float64)
    difference = float(np.square(np.asarray(signal, np.float64) - wanted).sum())
    if not math.isfinite(difference):
        raise CodecError("decoding gave samples that are not finite")
    if difference == 0:
        return math.inf
    return 10 * math.log10(max(float(np.square(wanted).sum()), SMALLEST) / difference)
