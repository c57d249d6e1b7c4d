"""Codecs that are other programs: one command encodes a WAV file, another decodes to a WAV file.

The times include the program's start, the WAV files (32-bit float) and the resampling to its sample
rate, which is done here so that all clips stay aligned. Commands are never passed to a shell.
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

SOURCE, TARGET = "{source}", "{target}"  # placeholders for file names in a command
TIMEOUT_S = 300.0
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", "-i", SOURCE, "-threads", "1")
FROM_FFMPEG = (*FFMPEG, "-c:a", "pcm_f32le", TARGET)  # to a WAV file


@dataclass(frozen=True)
class Road:
    """The commands that turn a WAV file into a compressed file and back."""

    rate: int  # sample rate of both WAV files
    suffix: str  # of the compressed file: ".mp3"
    encode: tuple[str, ...]  # a command with the placeholders SOURCE and TARGET
    decode: tuple[str, ...]


@dataclass(frozen=True)
class EncodedFile:
    """A compressed file that a program wrote."""

    path: Path
    n_bytes: int
    seconds: float


class ProgramCodec:
    """A System that runs another program, with a Road for each requested bit rate."""

    codebook_size = 0
    in_programs = True

    def __init__(self, name: str, identity: str, roads: Mapping[float, Road]) -> None:
        """roads: by requested kbps, which name the settings."""
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
    """A ProgramCodec that runs an encoder of ffmpeg; a subclass names the encoder and its rates."""

    title: str  # in tables
    encoder: str  # its name in ffmpeg
    suffix: str
    asked_kbps: tuple[float, ...]  # requested by default
    rate_of_kbps: ClassVar[Mapping[float, int]]  # sample rate by requested kbps

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
        """See System; the argument lists bit rates to request, in kbps."""
        return cls(rates_in(argument))

    def _road(self, kbps: float) -> Road:
        to_file = to_ffmpeg(self.encoder, kbps)
        return Road(self.rate_of_kbps[kbps], self.suffix, to_file, FROM_FFMPEG)


def encode(
    road: Road, audio: Samples, sample_rate: int, folder: Path, name: str = "clip"
) -> EncodedFile:
    """Encode mono audio (n_samples,) to a file in a folder. name: of the file, without ending."""
    wav, path = folder / f"{name}.wav", folder / f"{name}{road.suffix}"
    start = perf_counter()
    sf.write(wav, at_rate(audio, sample_rate, road.rate), road.rate, subtype="FLOAT")
    run(_filled(road.encode, wav, path))
    return EncodedFile(path, path.stat().st_size, perf_counter() - start)


def decode(road: Road, encoded: EncodedFile, n_samples: int, sample_rate: int) -> DecodedClip:
    """Decode a file to n_samples at sample_rate."""
    wav = encoded.path.with_suffix(".decoded.wav")
    start = perf_counter()
    run(_filled(road.decode, encoded.path, wav))
    samples, rate = sf.read(wav, dtype="float32")
    audio = fitted(at_rate(samples, rate, sample_rate), n_samples)
    return DecodedClip(audio, encoded.n_bytes, encoded.seconds, perf_counter() - start)


def run(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> str:
    """Run a program and return what it printed.

    Raises Unavailable if it cannot be started, CodecError if it fails, with the last line of its
    error output, or if it takes longer than timeout_s.
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
    """The first line of a program's version text. Raises Unavailable that names the package."""
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
    """A command that encodes without any tags, not even ffmpeg's own name."""
    bits = str(round(1000 * kbps))
    return (*FFMPEG, "-c:a", encoder, "-b:a", bits, "-map_metadata", "-1", "-bitexact", TARGET)


def _filled(command: Sequence[str], source: Path, target: Path) -> list[str]:
    names = {SOURCE: str(source), TARGET: str(target)}
    return [names.get(word, word) for word in command]
