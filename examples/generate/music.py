"""Composes music in which nobody holds rights: broken chords in four keys over a bass.

It takes the place of recordings, so that the example runs without any download.
"""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100
PIECE_SECONDS = 20
SCALE = (0, 2, 4, 5, 7, 9, 11)
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0))  # roots of chords, steps of the scale
FIGURES = ((0, 1, 2, 1, 3, 1, 2, 1), (0, 2, 1, 2, 3, 2, 1, 2))  # chord notes in a bar


@cache
def note(pitch: int, seconds: float) -> np.ndarray:
    """A plucked string, float64 (n_samples,): harmonics, of which high ones decay faster.

    pitch: as in MIDI.
    """
    hz = 440 * 2 ** ((pitch - 69) / 12)
    harmonics = np.arange(1, 13)[:, None]
    time = np.arange(round(seconds * RATE)) / RATE
    waves = np.sin(2 * np.pi * hz * harmonics * time) * np.exp(-(1.5 + harmonics) * time)
    fade = np.minimum(1, np.minimum(time / 0.003, (seconds - time) / 0.02))
    return fade * (waves / harmonics).sum(axis=0)


def piece(rng: np.random.Generator) -> np.ndarray:
    """PIECE_SECONDS of music, float64 (n_samples,): one key, tempo, progression and figure."""
    key, beat = rng.choice([55, 57, 60, 62]), 60 / rng.choice([100, 120])
    chords, figure = rng.choice(PROGRESSIONS), rng.choice(FIGURES)
    samples = np.zeros((PIECE_SECONDS + 4) * RATE)
    for half_beat in range(int(2 * PIECE_SECONDS / beat)):
        bar, place = divmod(half_beat, 8)
        chord = [chords[bar % 4] + third for third in (0, 2, 4, 7)]
        played = [(chord[figure[place]], 0, 1.2, rng.uniform(0.5, 1))]
        if place % 4 == 0:
            played.append((chord[0], -24, 2.4, 0.9))
        start = round(half_beat * beat / 2 * RATE)
        for step, octave, seconds, loudness in played:
            octaves, degree = divmod(step, 7)
            sound = note(int(key + 12 * octaves + SCALE[degree] + octave), seconds)
            samples[start : start + len(sound)] += loudness * sound
    return 0.2 * samples[: PIECE_SECONDS * RATE]


def write_music(folder: Path, minutes: float, seed: int = 0) -> None:
    """Fill a folder with pieces, the same for the same seed; existing ones stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(max(2, round(60 * minutes / PIECE_SECONDS))):
        path = folder / f"seed_{seed}_{number:02d}.flac"
        if not path.exists():
            soundfile.write(path, piece(np.random.default_rng([seed, number])), RATE)
