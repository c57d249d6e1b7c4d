"""Makes music in which nobody holds rights: random four-part pieces, rendered with a sound font.

Needs numpy, soundfile; fluidsynth to render.
"""

import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 44100
MOST_SECONDS = 180  # rendered of a score; some last a quarter of an hour
TICKS_PER_BEAT, TICKS_PER_BAR = 480, 1920
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))
DRUM_CHANNEL, DRUMS = 9, (36, 38, 42, 46, 49)
PARTS = ((0, 1, 4), (1, 2, 8), (2, 0, 2), (DRUM_CHANNEL, 0, 8))  # channel, octave, notes per bar
REST = 0.2  # probability that a note is left out


def random_piece(seed: int, bars: int = 24) -> bytes:
    """A standard MIDI file of about a minute, the same for the same seed."""
    rng = random.Random(seed)
    scale = rng.choice(SCALES)
    root, microseconds_a_beat = rng.randint(40, 52), rng.randint(380000, 900000)
    tracks = [b"\0\xff\x51\x03" + struct.pack(">I", microseconds_a_beat)[1:]]
    for channel, octave, notes in PARTS:
        keys = [root + 12 * octave + step for step in scale]
        drums = channel == DRUM_CHANNEL
        program = b"" if drums else b"\0" + bytes([0xC0 | channel, rng.randrange(112)])
        tracks.append(program + _part(rng, channel, DRUMS if drums else keys, notes, bars))
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_PER_BEAT)
    return header + b"".join(_chunk(track) for track in tracks)


def _part(
    rng: random.Random, channel: int, keys: list[int] | tuple[int, ...], notes: int, bars: int
) -> bytes:
    """Events of one part: notes of equal length, some left out."""
    events, ticks = b"", TICKS_PER_BAR // notes
    for _ in range(bars):
        gap = 0
        for _ in range(notes):
            if rng.random() < REST:
                gap += ticks
                continue
            key = rng.choice(keys)
            events += _delta(gap) + bytes([0x90 | channel, key, rng.randint(50, 115)])
            events += _delta(ticks) + bytes([0x80 | channel, key, 0])
            gap = 0
    return events


def _delta(ticks: int) -> bytes:
    """MIDI's variable-length number: 7 bits per byte, the high bit set in all but the last."""
    digits = [ticks & 127]
    while ticks := ticks >> 7:
        digits.insert(0, 128 | ticks & 127)
    return bytes(digits)


def _chunk(events: bytes) -> bytes:
    events += b"\0\xff\x2f\0"  # end of track
    return b"MTrk" + struct.pack(">I", len(events)) + events


def render(sound_font: Path, score: Path, wav: Path) -> None:
    """Render the beginning of a score, at most MOST_SECONDS, in stereo."""
    command = ["fluidsynth", "-ni", "-q", "-g", "0.5", "-r", str(RATE), "-O", "s16", "-T", "raw"]
    command += ["-F", "-", str(sound_font), str(score)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        raw = process.stdout.read(MOST_SECONDS * RATE * 4) if process.stdout else b""
        process.kill()
    samples = np.frombuffer(raw[: len(raw) // 4 * 4], "<i2").reshape(-1, 2)
    partial = wav.with_suffix(".part")
    sf.write(partial, samples, RATE, format="WAV")
    partial.rename(wav)
