"""Codecs that are other programs: a clip as a WAV file, a command, a file, a command, a WAV file.

The seconds of a program hold its start, the WAV files (32-bit float) and the resampling to the rate
that it works at, which is done here so that all come back in place. Programs never see a shell.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import ClassVar

import soundfile as sf

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.lab.measures.signals import Samples, at_rate
from audiocodec.lab.systems.base import DecodedClip, Setting, Unavailable, fitted, rates_in

SOURCE, TARGET = "{source}", "{target}"  # stand for file names in a command
TIMEOUT_S = 300.0
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", "-i", SOURCE, "-threads", "1")
FROM_FFMPEG = (*FFMPEG, "-c:a", "pcm_f32le", TARGET)  # to a WAV file


@dataclass(frozen=True)
class Road:
    """How a program makes a file of a WAV file, and a WAV file of that."""

    rate: int  # samples per second of both WAV files
    suffix: str  # of the file between them: ".mp3"
    encode: tuple[str, ...]  # a command with SOURCE and TARGET in it
    decode: tuple[str, ...]


@dataclass(frozen=True)
class EncodedFile:
    """A file that a program made."""

    path: Path
    n_bytes: int
    seconds: float


class ProgramCodec:
    """A System that is another program, with a road for each bit rate that is asked of it."""

    codebook_size = 0
    in_programs = True

    def __init__(self, name: str, identity: str, roads: Mapping[float, Road]) -> None:
        """roads: by the asked kbps, which label the settings."""
        self.name, self.identity = name, identity
        self._roads = {Setting(f"{kbps:g} kbps", kbps): roads[kbps] for kbps in sorted(roads)}
        self.settings = tuple(self._roads)

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Encode and decode mono audio (n_samples,). Raises CodecError where the program fails."""
        road = self._roads[setting]
        with TemporaryDirectory() as folder:
            encoded = encode(road, audio, sample_rate, Path(folder))
            return decode(road, encoded, len(audio), sample_rate)


class FfmpegCodec(ProgramCodec):
    """A ProgramCodec that is an encoder of ffmpeg: a subclass names it and its rates."""

    title: str  # in tables
    encoder: str  # as ffmpeg calls it
    suffix: str
    asked_kbps: tuple[float, ...]  # by default
    rate_of_kbps: ClassVar[Mapping[float, int]]  # samples per second to encode, by what is asked

    def __init__(self, kbps: tuple[float, ...] = ()) -> None:
        """Raises ArgumentError for kbps that are not in rate_of_kbps, Unavailable."""
        asked = kbps or self.asked_kbps
        if wrong := sorted(set(asked) - self.rate_of_kbps.keys()):
            known = ", ".join(f"{rate:g}" for rate in self.rate_of_kbps)
            raise ArgumentError(f"{self.title} at {wrong[0]:g} kbps; here it takes {known}")
        identity = f"{ffmpeg_with(self.encoder)}, {self.encoder} at {dict(self.rate_of_kbps)}"
        super().__init__(self.title, identity, {one: self._road(one) for one in asked})

    @classmethod
    def from_argument(cls, argument: str) -> "FfmpegCodec":
        """See System; bit rates to ask for, in kbps."""
        return cls(rates_in(argument))

    def _road(self, kbps: float) -> Road:
        to_file = to_ffmpeg(self.encoder, kbps)
        return Road(self.rate_of_kbps[kbps], self.suffix, to_file, FROM_FFMPEG)


def encode(
    road: Road, audio: Samples, sample_rate: int, folder: Path, name: str = "clip"
) -> EncodedFile:
    """Make a file of mono audio (n_samples,) in a folder; a name of its own keeps it apart."""
    wav, path = folder / f"{name}.wav", folder / f"{name}{road.suffix}"
    start = perf_counter()
    sf.write(wav, at_rate(audio, sample_rate, road.rate), road.rate, subtype="FLOAT")
    run(_filled(road.encode, wav, path))
    return EncodedFile(path, path.stat().st_size, perf_counter() - start)


def decode(road: Road, encoded: EncodedFile, n_samples: int, sample_rate: int) -> DecodedClip:
    """Take a file back to n_samples at a rate."""
    wav = encoded.path.with_suffix(".decoded.wav")
    start = perf_counter()
    run(_filled(road.decode, encoded.path, wav))
    samples, rate = sf.read(wav, dtype="float32")
    audio = fitted(at_rate(samples, rate, sample_rate), n_samples)
    return DecodedClip(audio, encoded.n_bytes, encoded.seconds, perf_counter() - start)


def run(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> str:
    """Run a program to its end; what it printed.

    Raises Unavailable where there is none of that name, CodecError with the last line of its
    complaint where it fails, or where it is not done in time.
    """
    program = command[0]
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise Unavailable(f"{program} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CodecError(f"{program} was not done after {timeout_s:g} s and was stopped") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise CodecError(f"{program} failed: {lines[-1]}")
    return done.stdout


def first_line(program: str, option: str, package: str) -> str:
    """The line with the version of a program. Raises Unavailable that names the package."""
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is missing: install {package}")
    lines = run((program, option)).strip().splitlines()
    return lines[0].split(" Copyright")[0] if lines else program


def ffmpeg_with(encoder: str) -> str:
    """The version of ffmpeg. Raises Unavailable where it is missing or lacks an encoder."""
    version = first_line("ffmpeg", "-version", "ffmpeg")
    listed = [line.split()[1:2] for line in run(("ffmpeg", "-v", "error", "-encoders")).split("\n")]
    if [encoder] not in listed:
        raise Unavailable(f"ffmpeg was built without {encoder}: install a build that has it")
    return version


def to_ffmpeg(encoder: str, kbps: float) -> tuple[str, ...]:
    """A command that encodes and writes no tags, not even its own name."""
    bits = str(round(1000 * kbps))
    return (*FFMPEG, "-c:a", encoder, "-b:a", bits, "-map_metadata", "-1", "-bitexact", TARGET)


def _filled(command: Sequence[str], source: Path, target: Path) -> list[str]:
    names = {SOURCE: str(source), TARGET: str(target)}
    return [names.get(word, word) for word in command]
