"""Draws batches of training excerpts: balanced over classes, audible, at one level.

Item i of step s depends on the seed, s and i alone. So a resumed run draws the same batches, and
processes that share a batch take slices of the same one. Source: paper, sections 3.5 and 4.2, and
the published recipe.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiocodec.audio import normalizing_gain
from audiocodec.audio.loudness import (
    FLOOR_LUFS,
    SHORTEST_S,
    gated_loudness,
    high_pass,
    high_shelf,
)
from audiocodec.errors import ArgumentError, AudioError
from audiocodec.lab.train.cache import Cache
from audiocodec.lab.train.parts import Mono, read_part
from audiocodec.lab.train.sources import FULL_BAND_HZ, SkippedFiles, TrainingRecording

QUIET_LUFS = -40.0  # an excerpt at or below it is drawn again
TRIES = 8
CHECKED = 32  # excerpts, of TRIES draws each: a class is silent if all of them are
BALANCES = ("groups", "duration", "none")
MAX_TURN = 1000  # longest cycle of items over which classes have their exact shares
STREAM = 0x64617461  # separates these random numbers from others of the same seed and step
EDGE_SAMPLES = 1024  # half the window of the published phase shift
DECAY_S = 0.1  # after which the impulse response of the K-weighting is below -150 dB


class QuietExcerpts(UserWarning):
    """Training uses excerpts that are silent or nearly so."""


@dataclass(frozen=True)
class ExcerptSettings:
    """How excerpts are drawn.

    n_samples: of an excerpt, at sample_rate. batch_size: over all processes.
    balance: "groups" draws classes by share and the groups of a class alike (paper, section 3.5);
    "duration" draws classes by share, each class as one group; "none" draws from all recordings as
    one group (the ablation without balance). Within a group every second of audio is equally
    likely, so that many short recordings do not outweigh long ones.
    full_band_share: at least this share of a batch, its first items, is from full-band recordings.
    shift_phase: shift the phase of each excerpt by a random angle, which includes sign flips.

    Raises ArgumentError for values out of range.
    """

    n_samples: int
    sample_rate: int
    batch_size: int
    balance: str = "groups"
    full_band_share: float = 0.0
    shift_phase: bool = True

    def __post_init__(self) -> None:
        if min(self.n_samples, self.sample_rate, self.batch_size) < 1:
            raise ArgumentError(f"{self}: n_samples, sample_rate and batch_size must be 1 or more")
        if self.balance not in BALANCES:
            raise ArgumentError(f"--balance {self.balance!r}; one of {', '.join(BALANCES)}")
        if not 0 <= self.full_band_share <= 1:
            raise ArgumentError(f"--full-band-share {self.full_band_share}; from 0 to 1")

    @property
    def n_full_band(self) -> int:
        """Number of items of a batch that must be full-band."""
        return math.ceil(self.full_band_share * self.batch_size - 1e-9)


class _Group:
    """Recordings, drawn in proportion to their duration."""

    def __init__(self, recordings: Sequence[TrainingRecording]) -> None:
        self.recordings = recordings
        self.ends_s = np.cumsum([one.seconds for one in recordings])

    def draw(self, rng: np.random.Generator) -> TrainingRecording:
        index = np.searchsorted(self.ends_s, rng.random() * self.ends_s[-1], side="right")
        return self.recordings[min(int(index), len(self.recordings) - 1)]


class Excerpts:
    """Draws excerpts of recordings: balanced, audible, at one level."""

    def __init__(
        self,
        recordings: Sequence[TrainingRecording],
        shares: Mapping[str, float],
        settings: ExcerptSettings,
        cache: Cache | None = None,
    ) -> None:
        """shares: class -> relative frequency; empty: all classes alike.

        Classes without a share are left out. Raises ArgumentError for a class without recordings,
        and where too few classes have full-band recordings for full_band_share.
        """
        self.settings, self.cache = settings, cache
        shares = shares or {one.kind: 1.0 for one in recordings}
        check_shares(shares, recordings)
        _check_full_band(settings, full_band_limit(recordings, shares, settings.balance))
        drawn = [one for one in recordings if one.kind in shares]
        if settings.balance == "none":
            shares = {"": 1.0}
        self._turn = turn(shares)
        full = [one for one in drawn if one.full_band]
        self._groups = {kind: self._grouped(kind, drawn) for kind in shares}
        self._full_band = {kind: self._grouped(kind, full) for kind in shares}

    def _grouped(self, kind: str, recordings: Sequence[TrainingRecording]) -> list[_Group]:
        """Groups of a class, from those of `recordings` in it; class "" holds all."""
        groups: dict[str, list[TrainingRecording]] = {}
        for one in recordings:
            if kind in ("", one.kind):
                name = one.group if self.settings.balance == "groups" else ""
                groups.setdefault(name, []).append(one)
        return [_Group(group) for group in groups.values()]

    def items(self, seed: int, step: int, items: range) -> Tensor:
        """Audio float32 (len(items), 1, n_samples): some items of a step's batch.

        items: indices below batch_size. Raises ArgumentError for other indices, and AudioError
        where nothing can be read.
        """
        if items and not 0 <= min(items) <= max(items) < self.settings.batch_size:
            raise ArgumentError(f"items {items}: a batch has {self.settings.batch_size}")
        plan = self.plan(seed, step)
        audio = np.zeros((len(items), 1, self.settings.n_samples), np.float32)
        for row, item in enumerate(items):
            audio[row, 0] = self._excerpt(_rng(seed, step, item + 1), *plan[item])
        return torch.from_numpy(audio)

    def check_audible(self, seed: int) -> None:
        """Raise AudioError for a class in which all of some random excerpts are silent."""
        for number, kind in enumerate(self._groups, 1):
            draws = (self._drawn(_rng(seed, number, i), kind, False)[1] for i in range(CHECKED))
            if all(lufs <= FLOOR_LUFS for lufs in draws):
                name = f"class {kind}" if kind else "the training set"
                raise AudioError(
                    f"{name} is silent: in {CHECKED * TRIES} excerpts from all over it nothing is "
                    f"louder than {FLOOR_LUFS:g} LUFS; give other recordings, or leave it out"
                )

    def plan(self, seed: int, step: int) -> list[tuple[str, bool]]:
        """Class of every item of a batch, and whether it must be full-band.

        Classes follow a fixed cycle, so a batch whose size is a multiple of it has the exact
        shares; the cycle's start is random, so that other sizes have them on average. Items of
        classes with full-band recordings come first, so that full_band_share does not change the
        classes' shares.
        """
        rng, size = _rng(seed, step, 0), self.settings.batch_size
        first = int(rng.integers(len(self._turn)))
        kinds = [self._turn[(first + i) % len(self._turn)] for i in range(size)]
        kinds.sort(key=lambda kind: not self._full_band[kind])  # stable
        able = [kind for kind in self._turn if self._full_band[kind]]
        for i in range(self.settings.n_full_band):
            if not self._full_band[kinds[i]]:  # a batch smaller than the cycle
                kinds[i] = able[int(rng.integers(len(able)))]
        return [(kind, i < self.settings.n_full_band) for i, kind in enumerate(kinds)]

    def draw(self, rng: np.random.Generator, kind: str, full_band: bool) -> TrainingRecording:
        """One recording of a class, or of all with class "" (balance "none")."""
        groups = (self._full_band if full_band else self._groups)[kind]
        return groups[int(rng.integers(len(groups)))].draw(rng)

    def _excerpt(self, rng: np.random.Generator, kind: str, full_band: bool) -> Mono:
        """One excerpt (n_samples,), phase shifted, at the target level."""
        found, lufs = self._drawn(rng, kind, full_band)
        if lufs <= QUIET_LUFS:
            warnings.warn(
                f"{f'class {kind}' if kind else 'the training set'} has excerpts no louder than "
                f"{QUIET_LUFS:g} LUFS, as {TRIES} draws in a row gave nothing else; they are used",
                QuietExcerpts,
                stacklevel=2,
            )
        if self.settings.shift_phase:
            found = phase_shifted(found, rng.uniform(-math.pi, math.pi))
        # loudness does not depend on phase, but peaks do
        return found * np.float32(normalizing_gain(lufs, float(np.abs(found).max())))

    def _drawn(self, rng: np.random.Generator, kind: str, full_band: bool) -> tuple[Mono, float]:
        """An excerpt (n_samples,) and its loudness in LUFS: up to 8 draws, until one is audible.

        If none is, the last readable one. The published recipe tries 8 places in one file. Drawing
        the recording anew as well makes all audible seconds of a class equally likely, and skips
        files that are silent or damaged. Raises AudioError where no draw can be read.
        """
        rate, found, lufs = self.settings.sample_rate, None, FLOOR_LUFS
        for _ in range(TRIES):
            recording = self.draw(rng, kind, full_band)
            try:
                found = self._read(recording, rng.random())
            except AudioError as error:
                warnings.warn(str(error), SkippedFiles, stacklevel=2)
                reason = error
                continue
            if (lufs := loudness(found, rate)) > QUIET_LUFS:
                break
        if found is None:
            raise AudioError(f"{TRIES} recordings in a row cannot be read; {reason}")
        return found, lufs

    def _read(self, recording: TrainingRecording, place: float) -> Mono:
        n_samples, rate = self.settings.n_samples, self.settings.sample_rate
        n_places = max(1, math.ceil(recording.seconds * rate) - n_samples + 1)
        start = int(place * n_places)
        if self.cache is not None:
            return self.cache.read_part(recording, start, n_samples)
        return read_part(recording, start, n_samples, rate)


def _rng(seed: int, step: int, stream: int) -> np.random.Generator:
    return np.random.default_rng((STREAM, seed, step, stream))


def check_shares(shares: Mapping[str, float], recordings: Sequence[TrainingRecording]) -> None:
    """Raise ArgumentError for a class without recordings, and for shares not above 0."""
    kinds = {one.kind for one in recordings}
    if empty := [kind for kind in shares if kind not in kinds]:
        raise ArgumentError(
            f"--shares: no recordings of class {', '.join(empty)}; there are "
            f"{', '.join(sorted(kinds))}; name only those, or add {empty[0]}=FOLDER to --data"
        )
    if not all(0 < share < math.inf for share in shares.values()):
        text = " ".join(f"{kind}={share:g}" for kind, share in shares.items())
        raise ArgumentError(f"--shares {text!r}; each must be more than 0")


def _check_full_band(settings: ExcerptSettings, limit: float) -> None:
    if settings.full_band_share > limit:
        raise ArgumentError(
            f"--full-band-share {settings.full_band_share:g}, but classes with full-band "
            f"recordings make up {limit:.2f} of the shares; lower it, or add recordings to --data "
            f"whose sound goes beyond {FULL_BAND_HZ / 1000:g} kHz"
        )


def full_band_limit(
    recordings: Sequence[TrainingRecording], shares: Mapping[str, float], balance: str
) -> float:
    """The largest possible full_band_share: the share of classes with full-band recordings.

    shares, balance: as for Excerpts; every class must have recordings.
    """
    shares = shares or {one.kind: 1.0 for one in recordings}
    able = {one.kind for one in recordings if one.full_band and one.kind in shares}
    if balance == "none":
        return float(bool(able))
    order = turn(shares)
    return sum(kind in able for kind in order) / len(order)


def turn(shares: Mapping[str, float]) -> list[str]:
    """A cycle of classes in which each occurs in proportion to its share, evenly spread.

    {"a": 3, "b": 2, "c": 1} -> a b a c b a. Shares that need a cycle longer than about MAX_TURN
    are rounded.
    """
    largest = max(shares.values())
    parts = [Fraction(share / largest).limit_denominator(100) for share in shares.values()]
    whole = min(MAX_TURN, math.lcm(*(part.denominator for part in parts)))
    counts = [max(1, round(part * whole)) for part in parts]
    kinds, due, order = list(shares), [0] * len(parts), []
    for _ in range(sum(counts)):  # smooth weighted round robin
        due = [have + count for have, count in zip(due, counts)]
        chosen = due.index(max(due))
        due[chosen] -= sum(counts)
        order.append(kinds[chosen])
    return order


def phase_shifted(audio: Mono, angle: float) -> Mono:
    """Add one angle in radians to the phase of every frequency; (n_samples,) -> (n_samples,).

    The published transform adds it to every bin of an STFT with a window of 2048 samples: the same
    filter, truncated to the window. One FFT of the whole signal costs a third. Because an FFT wraps
    around, the signal is extended by reflection, as in the STFT, and faded out.
    """
    edge = min(EDGE_SAMPLES, len(audio) - 1)
    padded = np.pad(audio, edge, mode="reflect")
    fade = np.sin(np.linspace(0, math.pi / 2, edge, dtype=np.float32)) ** 2
    padded[:edge] *= fade
    padded[len(padded) - edge :] *= fade[::-1]
    n_fft = fast_length(len(padded))
    spectrum = np.fft.rfft(padded, n_fft) * np.complex64(complex(math.cos(angle), math.sin(angle)))
    return np.fft.irfft(spectrum, n_fft)[edge : edge + len(audio)].astype(np.float32)


def loudness(audio: Mono, sample_rate: int) -> float:
    """Integrated loudness of mono audio (n_samples,) in LUFS, padded to 0.5 s; -70 or more.

    Equals audiocodec.audio.LoudnessMeter (ITU-R BS.1770-4), but filters by one FFT, which is five
    times as fast for training excerpts.
    """
    n_samples = max(len(audio), int(SHORTEST_S * sample_rate))
    n_fft = fast_length(n_samples + int(DECAY_S * sample_rate))
    spectrum = np.fft.rfft(audio, n_fft) * k_weighting(sample_rate, n_fft)
    weighted = np.fft.irfft(spectrum, n_fft)[:n_samples].astype(np.float64)
    n_slots = -(-n_samples * 10 // sample_rate)  # of 100 ms
    starts = -(-np.arange(n_slots) * sample_rate // 10)
    return gated_loudness(np.add.reduceat(weighted**2, starts), sample_rate)


@lru_cache(maxsize=8)
def k_weighting(sample_rate: int, n_fft: int) -> NDArray[np.complex64]:
    """Response of the K-weighting at the bins of an rfft, complex64 (n_fft // 2 + 1,)."""
    delays = np.exp(-2j * np.pi * np.fft.rfftfreq(n_fft)[:, None] * np.arange(3))
    response = np.ones(len(delays), np.complex128)
    for numerator, denominator in (high_shelf(sample_rate), high_pass(sample_rate)):
        response *= (delays @ numerator) / (delays @ denominator)
    return response.astype(np.complex64)


@lru_cache(maxsize=64)
def fast_length(n_samples: int) -> int:
    """The smallest length from n_samples up whose only prime factors are 2, 3 and 5."""
    while n_samples > 1:
        rest = n_samples
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            break
        n_samples += 1
    return n_samples
