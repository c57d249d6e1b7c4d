"""Writes sound files, whole or not at all, through soundfile (libsndfile)."""

import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf
from numpy.typing import ArrayLike

from audiocodec.audio.arrays import checked_rate, cut
from audiocodec.audio.channels import vorbis_from_wave
from audiocodec.audio.formats import looks_like_media
from audiocodec.audio.id3_writer import id3_tag
from audiocodec.audio.open import open_audio
from audiocodec.audio.sndfile import ErrorTrackingFile
from audiocodec.audio.source import MAX_CHANNELS, TAGS, PathLike
from audiocodec.errors import ArgumentError, OutputError
from audiocodec.files import name_of, output_file, write_whole

FORMATS = {  # by extension
    "wav": "WAV",
    "flac": "FLAC",
    "ogg": "OGG",
    "oga": "OGG",
    "opus": "OGG",
    "mp3": "MP3",
    "aiff": "AIFF",
    "aif": "AIFF",
    "w64": "W64",
    "rf64": "RF64",
    "caf": "CAF",
    "au": "AU",
}
_WAV = ("wav", "wave", "bwf", "rf64")
NAMES = {  # extensions of a format or subtype; those not listed have their own name
    **{"WAV": _WAV, "RF64": _WAV, "AIFF": ("aif", "aiff", "aifc"), "AU": ("au", "snd")},
    **{"OGG": ("ogg", "oga"), "OPUS": ("opus", "ogg", "oga")},
}
PLAIN_BYTES = {  # bytes of one sample
    "PCM_S8": 1,
    "PCM_U8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}
# Not ADPCM and GSM, which change the length, nor ALAC, which does not report a full disk.
CODED = {"OGG": ["VORBIS", "OPUS"], "MP3": ["MPEG_LAYER_III"]}
SIZE_LIMITED = ("WAV", "AIFF", "AU")  # their size fields have 32 bits
MAX_BYTES = 2**32 - 2**16
NEVER_EMPTY = ("FLAC", "MP3", "OPUS")  # libsndfile cannot read the empty file that it writes
MAX_TAG_BYTES = 32_768  # of all tags; libsndfile cannot read an Opus file whose tags exceed a page
MAX_VORBIS_RATE = 200_000  # above it libvorbis crashes
OPUS_RATES, OPUS_RATE = (8000, 12000, 16000, 24000, 48000), 48000  # the second: its own
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CODED_RATES = {"OPUS": OPUS_RATES, "MPEG_LAYER_III": MP3_RATES}


@dataclass(frozen=True)
class _OutputFormat:
    """Format of a file to be written. Raises ArgumentError for one that cannot hold the sound."""

    name: str
    format: str
    subtype: str
    sample_rate: int
    channels: int

    def __post_init__(self) -> None:
        checked_rate(self.name, self.sample_rate)
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ArgumentError(f"{self.name}: {self.channels} channels; use 1 to {MAX_CHANNELS}")
        if self.subtype not in (allowed := _subtypes(self.format)):
            raise ArgumentError(
                f"{self.name}: {self.format} has no subtype {self.subtype}; "
                f"use one of {', '.join(allowed)}"
            )
        if self.subtype == "VORBIS" and self.sample_rate > MAX_VORBIS_RATE:
            raise ArgumentError(
                f"{self.name}: {self.sample_rate} Hz; Ogg Vorbis takes up to {MAX_VORBIS_RATE} Hz"
            )
        rates = CODED_RATES.get(self.subtype)
        if rates and self.sample_rate not in rates:
            raise ArgumentError(
                f"{self.name}: {self.subtype} cannot hold {self.channels} channel(s) at "
                f"{self.sample_rate} Hz: it allows {', '.join(map(str, rates))} Hz; rate=48000 "
                "(--rate 48000) converts the sound"
            )

    @property
    def max_samples(self) -> int:
        if self.format not in SIZE_LIMITED:
            return 2**62
        return MAX_BYTES // (self.channels * PLAIN_BYTES[self.subtype])


def _subtypes(format: str) -> list[str]:
    return CODED.get(format) or [name for name in PLAIN_BYTES if sf.check_format(format, name)]


def file_rate(
    target: PathLike | BinaryIO, sample_rate: int, *, subtype: str | None, format: str | None
) -> int:
    """The sample rate that the file will have: 48 kHz in Opus if that lacks `sample_rate`.

    Raises ArgumentError for an unknown format.
    """
    _, _, chosen = _coding(target, format, subtype)
    return OPUS_RATE if chosen == "OPUS" and sample_rate not in OPUS_RATES else sample_rate


def _layout(target: object, format: str | None, subtype: str | None, *shape: int) -> _OutputFormat:
    layout = _OutputFormat(*_coding(target, format, subtype), *shape)
    if isinstance(target, str | os.PathLike):
        _check_name(layout)
    return layout


def _coding(target: object, format: str | None, subtype: str | None) -> tuple[str, str, str]:
    """Return the name for messages, the format and the subtype. Raises ArgumentError."""
    name = name_of(target)
    extension = Path(name).suffix[1:].lower() if isinstance(target, str | os.PathLike) else "wav"
    key = extension if format is None else format.lower()
    chosen = FORMATS.get(key)
    if key == "dac":
        raise ArgumentError(
            f"{name}: .dac files hold codes; give a sound file the extension of its format"
        )
    if chosen is None or chosen not in sf.available_formats():
        usable = [key for key, value in FORMATS.items() if value in sf.available_formats()]
        raise ArgumentError(f"{name}: unknown sound format {key!r}; use one of {', '.join(usable)}")
    default = "OPUS" if key == "opus" else sf.default_subtype(chosen)
    return name, chosen, (subtype or default or "").upper()


def _check_name(layout: _OutputFormat) -> None:
    """Raises ArgumentError for a file name whose extension belongs to another format."""
    extension = Path(layout.name).suffix[1:].lower()
    written = "OPUS" if layout.subtype == "OPUS" else layout.format
    says_other = extension == "dac" or looks_like_media(layout.name)
    if says_other and extension not in NAMES.get(written, (written.lower(),)):
        raise ArgumentError(
            f"{layout.name}: the format is {written}, but the name ends in .{extension}; name it "
            f"{os.path.splitext(layout.name)[0]}.{written.lower()}, or choose another format"
        )


class _OffsetFile:
    """A file as seen from n_bytes behind its start."""

    def __init__(self, file: BinaryIO, n_bytes: int) -> None:
        self.file, self.n_bytes, self.write = file, n_bytes, file.write

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset + (self.n_bytes if whence == 0 else 0), whence) - self.n_bytes

    def tell(self) -> int:
        return self.file.tell() - self.n_bytes


class AudioWriter:
    """Writes blocks to one open file; made by audio_output, which also closes it."""

    def __init__(self, file: BinaryIO, layout: _OutputFormat, tags: Mapping[str, str]) -> None:
        known = _fitting(tags)
        if layout.format == "MP3" and (head := id3_tag(known)):
            write_whole(file, head)
            file = _OffsetFile(file, len(head))  # type: ignore[assignment]
        self._file, self._layout, self._n_samples = ErrorTrackingFile(file), layout, 0
        try:
            with self._errors(opening=True):
                self._open(known)
        except BaseException:
            self._abandon()
            raise

    def _open(self, tags: Mapping[str, str]) -> None:
        layout = self._layout
        self._sound = sf.SoundFile(
            self._file,  # type: ignore[arg-type]
            mode="w",
            samplerate=layout.sample_rate,
            channels=layout.channels,
            subtype=layout.subtype,
            format=layout.format,
        )
        if layout.format != "MP3":
            self._set_tags(tags)

    def _set_tags(self, tags: Mapping[str, str]) -> None:
        with suppress(sf.LibsndfileError):  # formats without tags
            for tag, value in tags.items():
                setattr(self._sound, tag, value)

    def write(self, samples: ArrayLike) -> None:
        """Append floats (n_samples, channels), the channels in the order of WAVE.

        Samples beyond full scale are clipped, except in FLOAT and DOUBLE.
        Raises ArgumentError for another shape or type, OutputError where it cannot be written.
        """
        samples, layout = np.asarray(samples), self._layout
        if samples.dtype.kind != "f" or samples.shape[1:] != (layout.channels,):
            raise ArgumentError(
                f"{layout.name}: block of {samples.dtype} {samples.shape}, "
                f"not of floats (n_samples, {layout.channels})"
            )
        self._n_samples += len(samples)
        if self._n_samples > layout.max_samples:
            raise OutputError(
                f"{layout.name}: a {layout.format} file ends at 4 GiB; "
                "write .flac, .w64 or .rf64, or cut the audio"
            )
        for block in cut(samples):  # longer writes overflow the stack in libvorbis
            if layout.subtype not in ("FLOAT", "DOUBLE"):
                np.clip(block, -1.0, 1.0, out=block)
            if layout.format == "OGG":
                block = vorbis_from_wave(block)
            with self._errors():
                self._sound.write(block)

    def close(self) -> None:
        """Write the rest and close. Raises OutputError: FLAC and Ogg meet a full disk only here."""
        with self._errors():
            self._sound.close()
        layout = self._layout
        kind = "OPUS" if layout.subtype == "OPUS" else layout.format
        if not self._n_samples and kind in NEVER_EMPTY:
            raise OutputError(f"{layout.name}: {kind} cannot hold an empty signal; write a .wav")

    def _abandon(self) -> None:
        """Close a file that is thrown away. Left to Python, closing it could lose a Ctrl-C."""
        sound = getattr(self, "_sound", None)  # none where it could not be opened
        with suppress(sf.SoundFileError), self._file.watching():
            if sound is not None:
                sound.close()

    @contextmanager
    def _errors(self, opening: bool = False) -> Iterator[None]:
        try:
            with self._file.watching():
                yield
        except (sf.SoundFileError, AssertionError) as error:  # soundfile asserts a full write
            if self._file.error:
                raise self._file.error from error
            raise (
                self._refused(error)
                if opening
                else OutputError(f"{self._layout.name}: cannot be written: {error}")
            ) from error
        if self._file.error:
            raise self._file.error

    def _refused(self, error: Exception) -> ArgumentError:
        layout = self._layout
        return ArgumentError(
            f"{layout.name}: {layout.format} {layout.subtype} cannot hold {layout.channels} "
            f"channel(s) at {layout.sample_rate} Hz: {getattr(error, 'error_string', error)}"
        )


def _fitting(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags named in TAGS, without those that exceed MAX_TAG_BYTES."""
    fitting, room = {}, MAX_TAG_BYTES
    for tag in TAGS:
        value = tags.get(tag, "").replace("\0", " ")
        if value and len(value.encode()) <= room:
            fitting[tag] = value
            room -= len(value.encode())
    return fitting


@contextmanager
def audio_output(
    target: PathLike | BinaryIO,
    sample_rate: int,
    channels: int,
    *,
    subtype: str | None = None,
    format: str | None = None,
    overwrite: bool = False,
    n_samples: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[AudioWriter]:
    """Open a sound file for writing; it appears whole if the block ends well, or not at all.

    The format is `format` (a key of FORMATS), else the extension of a path, else wav.
    The default subtype is PCM_16; for .ogg VORBIS, for .opus OPUS, for .mp3 MPEG_LAYER_III.
    A file object, such as a pipe, gets all bytes at the end, from a temporary file.
    A .wav of `n_samples` above 4 GiB is written as RF64, which most readers of WAV know.
    tags: those named in TAGS are written; W64 and AU hold none, WAV, RF64 and AIFF not all.
    Raises ArgumentError for a format that cannot hold the sound, OutputExists for a file that is
    there already, OutputError where it cannot be written.
    """
    layout = _layout(target, format, subtype, sample_rate, channels)
    if layout.format == "WAV" and (n_samples or 0) > layout.max_samples:
        layout = _OutputFormat(layout.name, "RF64", layout.subtype, sample_rate, channels)
    with _destination(target, overwrite) as file:
        writer = AudioWriter(file, layout, tags or {})
        try:
            yield writer
            writer.close()
        except BaseException:
            writer._abandon()
            raise


def write_audio(
    target: PathLike | BinaryIO,
    samples: ArrayLike,
    sample_rate: int,
    *,
    subtype: str | None = None,
    format: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write an array of samples, (n_samples,) or (n_samples, channels); see audio_output."""
    source = open_audio(np.asarray(samples), sample_rate)
    with audio_output(
        target,
        source.sample_rate,
        source.channels,
        subtype=subtype,
        format=format,
        overwrite=overwrite,
        n_samples=len(np.asarray(samples)),
    ) as output:
        for block in source.blocks():
            output.write(block)


def _destination(target: PathLike | BinaryIO, overwrite: bool) -> AbstractContextManager[BinaryIO]:
    if isinstance(target, str | os.PathLike):
        return output_file(target, overwrite)
    return _copied_to(target)


@contextmanager
def _copied_to(target: BinaryIO) -> Iterator[BinaryIO]:
    """A temporary file, copied to `target` if the block ends well."""
    _check_writable(target)
    try:
        with tempfile.TemporaryFile() as file:
            yield file  # type: ignore[misc]
            file.seek(0)
            while piece := file.read(2**20):
                write_whole(target, piece)
            if hasattr(target, "flush"):  # write() is all that is asked of a file object
                target.flush()
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{name_of(target)}: cannot be written: {reason}") from error


def _check_writable(target: BinaryIO) -> None:
    """Try to write, before the work rather than after it. Raises OutputError, ArgumentError."""
    if not hasattr(target, "write"):
        raise ArgumentError(
            f"a target of type {type(target).__name__}; give a path or a binary file object"
        )
    try:
        target.write(b"")
    except (OSError, ValueError) as error:
        is_source = isinstance(error, io.UnsupportedOperation)
        reason = "not opened for writing" if is_source else error
        raise OutputError(f"{name_of(target)}: cannot be written: {reason}") from error
    except TypeError as error:
        raise ArgumentError(
            f"{name_of(target)}: opened as text; open it in binary mode ('wb')"
        ) from error
