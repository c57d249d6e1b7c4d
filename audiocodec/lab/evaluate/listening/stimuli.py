"""Makes the audio of a listening test, and its folder: page, one data script per trial, key.

A page opened from a folder can neither fetch files nor read samples from <audio>. So each trial's
audio is a script that holds 16-bit FLAC in base64, which the page decodes. Scripts contain ids, but
no names of systems.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.files import make_folder, write_file
from audiocodec.lab.evaluate.listening.key import (
    ANCHOR,
    REFERENCE,
    SYSTEM,
    Key,
    KeyCondition,
    KeyTrial,
    write_key,
)
from audiocodec.lab.evaluate.report_data import Condition, HeardClip
from audiocodec.lab.evaluate.rows import printable

Pcm: TypeAlias = NDArray[np.int16]  # (n_samples,)

PAGE = "listening_test.html"
KEY = "listening_key.json"
PARTS = "listening"  # folder of the files that the page loads
SOURCES = Path(__file__).with_name("page")

MAX_SYSTEMS = 10  # BS.1534-3: at most 12 signals a trial, the reference and anchor among them
PASS_HZ, STOP_HZ = 3500.0, 4000.0  # edges of the anchor's filter
STOP_DB = 60.0


def write_listening_test(
    folder: Path, title: str, clips: Sequence[HeardClip], seed: int = 0
) -> None:
    """Write listening_test.html, what it loads under listening/, and listening_key.json.

    clips: one for each trial, with the conditions to rate; this function adds the hidden reference
    and the anchor. Replaces an older test in `folder`. The seed determines ids and their order.
    Raises ArgumentError without clips, or without or with too many conditions; AudioError for a
    file that does not fit its reference; OutputError if the folder cannot be written.
    Source: ITU-R BS.1534-3.
    """
    if not clips:
        raise ArgumentError("a listening test needs at least one clip")
    parts = folder / PARTS
    _prepare(parts)
    ids = _Ids(seed)
    trials, described, rates, digest = [], [], [], hashlib.sha256(f"{seed} {title}".encode())
    for number, clip in enumerate(clips, start=1):
        reference, rate = _read(clip.reference)
        trial, order = _key_trial(clip, ids)
        script = _script(trial, order, _stimuli(clip, reference, rate), rate)
        digest.update(script)
        write_file(parts / f"trial_{number:02d}.js", script)
        trials.append(trial)
        rates.append(rate)
        described.append({"id": trial.trial, "file": f"trial_{number:02d}.js", "conditions": order})
    test = digest.hexdigest()[:12]
    about = {"id": test, "title": title, "sampleRate": max(rates), "trials": described}
    write_file(parts / "test.js", f"window.LISTENING_TEST = {json.dumps(about)};\n".encode())
    _copy_page(folder)
    write_key(folder / KEY, Key(test, title, tuple(trials)))


def low_pass(audio: NDArray[np.number], sample_rate: int) -> NDArray[np.float64]:
    """The 3.5 kHz low-pass anchor of BS.1534-3 for audio (n_samples,), as long as the audio.

    A linear-phase FIR (Kaiser-windowed sinc) whose delay is removed, so that the anchor stays
    aligned with the reference. Flat within 0.01 dB up to 3.5 kHz, at least 59 dB down from 4 kHz;
    the standard demands 0.1 dB, and 25 dB at 4 kHz, 50 dB at 4.5 kHz.
    Raises ArgumentError for a sample rate too low for that band.
    """
    if sample_rate < 2.25 * STOP_HZ:
        raise ArgumentError(
            f"{sample_rate} Hz: too low a rate for a {PASS_HZ:.0f} Hz anchor; 9000 Hz at least"
        )
    taps = anchor_filter(sample_rate)
    return np.convolve(audio.astype(np.float64), taps)[len(taps) // 2 :][: len(audio)]


def anchor_filter(sample_rate: int) -> NDArray[np.float64]:
    """Impulse response (n_taps,), symmetric and odd in length, which follows Kaiser's formulas."""
    width = 2 * np.pi * (STOP_HZ - PASS_HZ) / sample_rate  # of the transition, radians a sample
    half = int(np.ceil((STOP_DB - 7.95) / (2.285 * width) / 2))
    cut = (PASS_HZ + STOP_HZ) / sample_rate  # middle of the transition, as a share of Nyquist
    window = np.kaiser(2 * half + 1, 0.1102 * (STOP_DB - 8.7))
    taps = np.sinc(cut * np.arange(-half, half + 1)) * window
    return np.asarray(taps / taps.sum())


class _Ids:
    """Random ids and orders, determined by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.given: set[str] = set()

    def next(self) -> str:
        """Eight hex digits, different from all earlier ids."""
        while (name := self.random.bytes(4).hex()) in self.given:
            pass
        self.given.add(name)
        return name

    def shuffled(self, names: Sequence[str]) -> list[str]:
        return [str(name) for name in self.random.permutation(np.array(names))]


def _key_trial(clip: HeardClip, ids: _Ids) -> tuple[KeyTrial, list[str]]:
    """The key of a trial in the report's order, and its ids in random order."""
    if not 1 <= len(clip.conditions) <= MAX_SYSTEMS:
        raise ArgumentError(
            f"{clip.clip}: {len(clip.conditions)} conditions; a trial has 1 to {MAX_SYSTEMS}"
        )
    trial = ids.next()
    roles = [
        KeyCondition(REFERENCE, "hidden reference", 0.0),
        KeyCondition(ANCHOR, "3.5 kHz anchor", 0.0),
        *(
            KeyCondition(SYSTEM, printable(made.row.label), made.row.kbps)
            for made in clip.conditions
        ),
    ]
    conditions = {ids.next(): role for role in roles}
    names = (printable(clip.clip), printable(clip.kind))
    return KeyTrial(trial, *names, conditions), ids.shuffled(list(conditions))


def _stimuli(clip: HeardClip, reference: Pcm, rate: int) -> list[Pcm]:
    """The audio of each condition in the key's order: reference, anchor, systems."""
    anchor = np.clip(np.rint(low_pass(reference, rate)), -32768, 32767).astype(np.int16)
    systems = [_fitting(made, reference, rate) for made in clip.conditions]
    return [reference, anchor, *systems]


def _fitting(made: Condition, reference: Pcm, rate: int) -> Pcm:
    audio, its_rate = _read(made.audio)
    if (len(audio), its_rate) != (len(reference), rate):
        raise AudioError(
            f"{made.audio}: {len(audio)} samples at {its_rate} Hz, but its reference has "
            f"{len(reference)} at {rate} Hz; all conditions of a trial must be of one length"
        )
    return audio


def _script(trial: KeyTrial, order: Sequence[str], audio: Sequence[Pcm], rate: int) -> bytes:
    """A script that gives the page a trial's audio, with the conditions in the given order."""
    coded = dict(zip(trial.conditions, (_coded(pcm, rate) for pcm in audio), strict=True))
    data = {
        "reference": _coded(audio[0], rate),
        "conditions": {name: coded[name] for name in order},
    }
    return f'window.LISTENING_AUDIO["{trial.trial}"] = {json.dumps(data)};\n'.encode()


def _coded(pcm: Pcm, rate: int) -> str:
    """Newly encoded FLAC in base64; the original file may have tags that name its system."""
    file = io.BytesIO()
    sf.write(file, pcm, rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(file.getvalue()).decode()


def _read(path: Path) -> tuple[Pcm, int]:
    """Mono int16 samples (n_samples,) and the sample rate. Raises AudioError."""
    try:
        audio, rate = sf.read(path, dtype="int16", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise AudioError(f"{path}: cannot be read for the listening test: {error}") from error
    if audio.shape[1] != 1 or not len(audio):
        raise AudioError(f"{path}: {audio.shape[1]} channels, {len(audio)} samples; needs mono")
    return audio[:, 0], int(rate)


def _prepare(parts: Path) -> None:
    """Make the folder, and delete the trials of an older test, which may have had more."""
    make_folder(parts)
    try:
        for old in parts.glob("trial_*.js"):
            old.unlink()
    except OSError as error:
        raise OutputError(f"{parts}: cannot be written: {error.strerror}") from error


def _copy_page(folder: Path) -> None:
    for source in sorted(SOURCES.iterdir()):
        target = folder / source.name if source.name == PAGE else folder / PARTS / source.name
        write_file(target, source.read_bytes())
