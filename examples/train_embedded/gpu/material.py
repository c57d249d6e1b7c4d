"""Holds the recordings of a pack in GPU memory and draws excerpts there.

Draws as `audiocodec train` does: classes by their shares, part of every batch full-band, audible
seconds of a class equally likely; phase shifted, at -16 LUFS. The excerpts of a step depend on the
seed and the step alone. Shapes: B excerpts, T samples.
"""

import io
import json
import math
import os
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf
import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.audio.loudness import FLOOR_LUFS, TARGET_LUFS
from audiocodec.errors import AudioError
from audiocodec.lab.train.excerpts import EDGE_SAMPLES, QUIET_LUFS, fast_length, k_weighting

RATE = 44100
HELD_OUT_SAMPLES = 173 * 512  # of a validation excerpt, 2 s in whole frames
SLOT = RATE // 10  # samples per step of the loudness measurement
CHUNK = 2**22  # samples whose loudness is measured at a time
SIDE_STREAM = 0x6B6974  # separates these random numbers from others of the same seed and step


class Place(NamedTuple):
    """A recording in the corpus."""

    kind: str
    full_band: bool
    start: int
    n_samples: int


def load(pack: Path) -> tuple[Tensor, list[Place], Tensor | None]:
    """Decode all pieces of a folder: audio int16 (n,), its recordings, held-out excerpts (B, 1, T).

    Raises AudioError where there are no pieces, or one cannot be read.
    """
    streams, held_out = _read(pack)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = list(pool.map(_decoded, [content for content, _ in streams]))
    places, start = [], 0
    for audio, (_, recordings) in zip(decoded, streams):
        places += [
            Place(r["kind"], r["full_band"], start + r["start"], r["n_samples"])
            for r in recordings
            if r["start"] + r["n_samples"] <= len(audio)
        ]
        start += len(audio)
    clips = None
    if held_out is not None:
        joined = torch.from_numpy(_decoded(held_out) / np.float32(32768))
        clips = joined.unflatten(0, (-1, 1, HELD_OUT_SAMPLES))
    return torch.from_numpy(np.concatenate(decoded)), places, clips


def _read(pack: Path) -> tuple[list[tuple[bytes, list[dict[str, Any]]]], bytes | None]:
    """Coded streams with their recordings, and the coded held-out excerpts."""
    streams, held_out = [], None
    for piece in sorted(pack.glob("piece_*.tar")):
        try:
            with tarfile.open(piece) as tar:
                files = {m.name: tar.extractfile(m) for m in tar.getmembers() if m.isfile()}
                content = {name: file.read() for name, file in files.items() if file is not None}
            index = json.loads(content["index.json"])
            streams += [(content[name], recordings) for name, recordings in index.items()]
        except (tarfile.TarError, OSError, KeyError, ValueError) as error:
            raise AudioError(f"{piece}: not a whole piece of a pack: {error}") from error
        held_out = content.get("held_out.flac", held_out)
    if not streams:
        raise AudioError(f"{pack}: no piece_*.tar there; make them with pack.py")
    return streams, held_out


def _decoded(content: bytes) -> np.ndarray:
    audio, _ = sf.read(io.BytesIO(content), dtype="int16")
    return audio


class Corpus:
    """Draws batches of excerpts."""

    def __init__(
        self, audio: Tensor, places: list[Place], n_samples: int, device: torch.device
    ) -> None:
        """audio: int16 (n,); n_samples: of an excerpt. Recordings that are shorter are left out."""
        self.audio, self.n_samples = audio.to(device), n_samples
        self.power = slot_energies(self.audio)
        long_enough = [place for place in places if place.n_samples >= n_samples]
        self.starts: dict[tuple[str, bool], np.ndarray] = {}  # (first, last) start of each slot
        for kind in {place.kind for place in long_enough}:
            mine = [place for place in long_enough if place.kind == kind]
            self.starts[kind, False] = self._audible(mine)
            self.starts[kind, True] = self._audible([place for place in mine if place.full_band])

    def _audible(self, places: list[Place]) -> np.ndarray:
        """Ranges (first, last) in which excerpts above QUIET_LUFS may start: int64 (n, 2)."""
        found = [np.zeros((0, 2), np.int64)]
        for place in places:
            last = place.start + place.n_samples - self.n_samples
            slots = np.arange(place.start, last + 1, SLOT)
            found.append(np.stack([slots, np.minimum(slots + SLOT - 1, last)], axis=1))
        starts = np.concatenate(found)
        block = self.power.unfold(0, 4, 1).mean(dim=1) / SLOT  # 400 ms
        loud = (lufs(block) > QUIET_LUFS).cpu().numpy()
        return starts[loud[np.minimum(starts[:, 0] // SLOT, len(loud) - 1)]]

    def classes(self, shares: Mapping[str, float]) -> dict[str, float]:
        """The shares of classes with audible recordings. Raises AudioError where there are none."""
        kept = {kind: s for kind, s in shares.items() if len(self.starts.get((kind, False), ()))}
        if not kept:
            raise AudioError(f"the pack has nothing audible of {', '.join(shares)}")
        return kept

    def places(self, plan: list[tuple[str, bool]], seed: int, step: int) -> np.ndarray:
        """Starts of excerpts, int64 (B,); plan: class and whether full band, where there is any."""
        rng = np.random.default_rng((SIDE_STREAM, seed, step))
        found = []
        for kind, full_band in plan:
            starts = self.starts[kind, full_band]
            first, last = starts[rng.integers(len(starts))]
            found.append(rng.integers(first, last, endpoint=True))
        return np.array(found)

    def batch(self, plan: list[tuple[str, bool]], seed: int, step: int) -> Tensor:
        """Excerpts (B, 1, T), their phases shifted, at TARGET_LUFS as far as their peaks allow."""
        device = self.audio.device
        starts = torch.from_numpy(self.places(plan, seed, step)).to(device, non_blocking=True)
        rng = np.random.default_rng((SIDE_STREAM, seed, step, 1))
        angles = torch.from_numpy(rng.uniform(-math.pi, math.pi, len(plan)).astype(np.float32))
        index = starts[:, None] + torch.arange(self.n_samples, device=device)
        drawn = self.audio[index].float() / 32768
        level = loudness(drawn)
        shifted = phase_shifted(drawn, angles.to(device, non_blocking=True))
        gain = 10 ** ((TARGET_LUFS - level) / 20)
        peak = shifted.abs().amax(dim=1).clamp(min=1e-9)
        return (shifted * torch.minimum(gain, 1 / peak)[:, None])[:, None]


def phase_shifted(audio: Tensor, angles: Tensor) -> Tensor:
    """Shift all phases of each signal (B, T) by its angle (B,), as excerpts.phase_shifted does."""
    n_samples = audio.shape[1]
    fade = torch.sin(torch.linspace(0, math.pi / 2, EDGE_SAMPLES, device=audio.device)) ** 2
    padded = F.pad(audio[:, None], (EDGE_SAMPLES, EDGE_SAMPLES), mode="reflect")[:, 0]
    padded[:, :EDGE_SAMPLES] *= fade
    padded[:, -EDGE_SAMPLES:] *= fade.flip(0)
    n_fft = fast_length(padded.shape[1])
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    shifted = torch.fft.irfft(torch.fft.rfft(padded, n_fft) * turn, n_fft)
    return shifted[:, EDGE_SAMPLES : EDGE_SAMPLES + n_samples]


def loudness(audio: Tensor) -> Tensor:
    """Loudness (B,) in LUFS of signals (B, T), padded to 0.5 s, as excerpts.loudness."""
    padded = F.pad(k_weighted(audio).square(), (0, max(0, 5 * SLOT - audio.shape[1])))
    energy = padded[:, : padded.shape[1] // SLOT * SLOT].unflatten(1, (-1, SLOT)).sum(dim=2)
    power = energy.unfold(1, 4, 1).mean(dim=2) / SLOT
    loud = power > 10 ** ((FLOOR_LUFS + 0.691) / 10)
    mean = (power * loud).sum(dim=1, keepdim=True) / loud.sum(dim=1, keepdim=True).clamp(min=1)
    loud &= power > mean / 10
    return lufs((power * loud).sum(dim=1) / loud.sum(dim=1).clamp(min=1))


def lufs(power: Tensor) -> Tensor:
    """Mean squares of K-weighted audio to LUFS, FLOOR_LUFS or more."""
    return (-0.691 + 10 * power.clamp(min=1e-12).log10()).clamp(min=FLOOR_LUFS)


def slot_energies(audio: Tensor) -> Tensor:
    """K-weighted energy of every SLOT of int16 audio (n,): (slots,), at least four."""
    audio = F.pad(audio, (0, -len(audio) % SLOT + 3 * SLOT))
    chunks = audio.split(CHUNK // SLOT * SLOT)
    energies = [k_weighted(chunk[None].float() / 32768).square()[0] for chunk in chunks]
    return torch.cat([energy.unflatten(0, (-1, SLOT)).sum(dim=1) for energy in energies])


def k_weighted(audio: Tensor) -> Tensor:
    """Apply the K-weighting of loudness measurement to audio (B, T)."""
    n_fft = fast_length(audio.shape[1] + RATE // 10)
    response = torch.from_numpy(k_weighting(RATE, n_fft)).to(audio.device)
    return torch.fft.irfft(torch.fft.rfft(audio, n_fft) * response, n_fft)[:, : audio.shape[1]]
