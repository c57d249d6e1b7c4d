"""Reads sound files through soundfile (libsndfile)."""

import errno
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf

from audiocodec.audio.channels import SPEAKERS, in_wave_order
from audiocodec.audio.declared_length import declared_share, with_size
from audiocodec.audio.source import (
    BLOCK_SAMPLES,
    AudioSource,
    CutAudioWarning,
    Samples,
    UnknownFormat,
    check_layout,
    dropped,
    known_tags,
)
from audiocodec.audio.tag_text import tag_text
from audiocodec.errors import AudioError
from audiocodec.files import file_errors, read_exactly, write_whole

WORTH_TELLING_S = 0.01  # no less: some programs count the header as sound
EXACT_FORMATS = (
    "WAV",
    "WAVEX",
    "FLAC",
    "AIFF",
    "AU",
    "CAF",
    "W64",
    "RF64",
)  # seeking is exact to the sample
EXACT_SUBTYPES = (
    "PCM_S8",
    "PCM_U8",
    "PCM_16",
    "PCM_24",
    "PCM_32",
    "FLOAT",
    "DOUBLE",
    "ULAW",
    "ALAW",
)
SPEAKER_FORMATS = (
    "WAV",
    "WAVEX",
    "W64",
    "RF64",
    "CAF",
)  # not AIFF, for which libsndfile returns unrelated memory
GET_CHANNEL_MAP = 0x1100  # sndfile.h: SFC_GET_CHANNEL_MAP_INFO
SNDFILE_SPEAKERS = {  # by its SF_CHANNEL_MAP_...
    **{1: "FC", 2: "FL", 3: "FR", 4: "FC", 5: "FL", 6: "FR", 7: "FC", 8: "BC", 9: "BL", 10: "BR"},
    **{11: "LFE", 12: "FLC", 13: "FRC", 14: "SL", 15: "SR"},
}
FIRST_SAMPLES = 8192  # decoded first; later pieces double it
UNKNOWN_LENGTH = 2**62  # libsndfile states a larger number where it does not know


class ErrorTrackingFile:
    """A file for libsndfile; keeps its first error, which soundfile would print and forget."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: BaseException | None = None  # Ctrl-C too

    def _try(self, action: Callable[..., Any], *args: Any) -> Any:
        try:
            return action(*args)
        except BaseException as error:
            self.error = self.error or error
            return 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Wrap calls of libsndfile: re-raises a KeyboardInterrupt swallowed inside its callbacks.

        If it comes in soundfile's own lines of a callback, only sys.unraisablehook learns of it.
        """
        before = sys.unraisablehook
        is_main = threading.current_thread() is threading.main_thread()  # only it gets Ctrl-C
        try:
            if is_main:
                sys.unraisablehook = partial(self._keep_interrupt, before)
            yield
        finally:
            if is_main:
                sys.unraisablehook = before
            if self.error and not isinstance(self.error, Exception):
                raise self.error

    def _keep_interrupt(self, otherwise: Callable[[Any], Any], lost: Any) -> None:
        if issubclass(lost.exc_type, Exception):
            otherwise(lost)
        else:
            self.error = self.error or lost.exc_value

    def seek(self, offset: int, whence: int = 0) -> Any:
        return self._try(self._seek, offset, whence)

    def _seek(self, offset: int, whence: int) -> None:
        try:
            self.file.seek(offset, whence)
        except (OSError, ValueError, OverflowError) as error:
            # where a header states a length of 2^63, libsndfile seeks to impossible positions
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            self.file.tell()  # raises if the file itself fails

    def tell(self) -> Any:
        return self._try(self.file.tell)

    def read(self, n_bytes: int) -> Any:
        return self._try(read_exactly, self.file, n_bytes) or b""

    def write(self, data: bytes) -> Any:
        return self._try(write_whole, self.file, data)


class _ForwardSound(sf.SoundFile):
    """Reads forwards only: soundfile seeks after each read, which fails in FLAC without length."""

    def seekable(self) -> bool:
        return False


def open_sndfile(file: BinaryIO, name: str) -> AudioSource:
    """Open a file that libsndfile can read. The caller closes the file.

    Raises UnknownFormat, or AudioError for a file that cannot be used. Warns with CutAudioWarning
    of a file that is shorter than its header states.
    """
    with file_errors(name):
        file = with_size(file)
    sound = sound_info(file, name)
    if sound.is_mp3:  # open_mp3 found no frames; libsndfile would stop anywhere
        raise UnknownFormat("no whole frames of MP3")
    _tell_if_cut(file, name, sound.n_samples / sound.sample_rate)

    def read(start: int) -> Iterator[Samples]:
        first = min(start, sound.n_samples) if sound.is_exact else 0
        for block in dropped(decoded(file, name, first), start - first):
            yield in_wave_order(block, sound.speakers)

    return AudioSource(
        name,
        sound.sample_rate,
        sound.channels,
        sound.n_samples if sound.is_exact else None,
        sound.tags,
        read,
        speakers=tuple(sorted(sound.speakers, key=SPEAKERS.index)),
    )


@dataclass(frozen=True)
class SoundInfo:
    """What libsndfile reports of a file.

    is_exact: n_samples is the true length, and seeking is exact to the sample.
    speakers: the speaker that each channel feeds; empty if the file does not state it.
    """

    sample_rate: int
    channels: int
    n_samples: int
    is_exact: bool
    is_mp3: bool
    tags: Mapping[str, str]
    speakers: tuple[str, ...]


def sound_info(file: BinaryIO, name: str) -> SoundInfo:
    """Read the properties of a sound.

    Raises UnknownFormat, or AudioError for a number of channels or a rate that cannot be used.
    """
    with _sound_file(file, name) as (sound, _):
        info = SoundInfo(
            sound.samplerate,
            sound.channels,
            sound.frames,
            _is_exact(sound),
            sound.format == "MP3",
            _tags(sound),
            _speakers(sound),
        )
    check_layout(name, info.sample_rate, info.channels)
    return info


def _tags(sound: sf.SoundFile) -> dict[str, str]:
    """The tags named in TAGS. soundfile decodes all as UTF-8, which they need not be."""
    tags = sound.copy_metadata()
    for name, text in tags.items():
        if "\ufffd" in text:
            raw = sf._snd.sf_get_string(sound._file, sf._str_types[name])
            tags[name] = tag_text(sf._ffi.string(raw))
    return known_tags(tags)


def _speakers(sound: sf.SoundFile) -> tuple[str, ...]:
    """The speakers that a WAVE, W64 or CAF file states; empty if they make no sense."""
    if sound.format not in SPEAKER_FORMATS:
        return ()
    numbers = sf._ffi.new("int[]", sound.channels)
    if not sf._snd.sf_command(sound._file, GET_CHANNEL_MAP, numbers, sf._ffi.sizeof(numbers)):
        return ()
    speakers = tuple(SNDFILE_SPEAKERS.get(number, "") for number in numbers)
    is_sane = "" not in speakers and len(set(speakers)) == len(speakers)
    return speakers if is_sane else ()


def _is_exact(sound: sf.SoundFile) -> bool:
    known = 0 <= sound.frames < UNKNOWN_LENGTH
    return known and sound.format in EXACT_FORMATS and sound.subtype in EXACT_SUBTYPES


def _tell_if_cut(file: BinaryIO, name: str, there_s: float) -> None:
    with file_errors(name):
        promised_s = there_s * declared_share(file)
    lost_s = promised_s - there_s
    if lost_s >= WORTH_TELLING_S:
        digits = 1 if lost_s >= 0.1 else 2
        warnings.warn(
            f"{name}: its header promises {promised_s:.{digits}f} s, "
            f"there are {there_s:.{digits}f} s",
            CutAudioWarning,
            stacklevel=2,
        )


@contextmanager
def _sound_file(file: BinaryIO, name: str) -> Iterator[tuple[sf.SoundFile, ErrorTrackingFile]]:
    """Open from the start. Not by name: libsndfile reads text named .au as headerless audio."""
    recorded = ErrorTrackingFile(file)
    recorded.seek(0)
    try:
        with recorded.watching():
            sound = _ForwardSound(recorded)  # type: ignore[arg-type]
    except sf.LibsndfileError as error:
        reason = recorded.error or error.error_string.rstrip(".")
        if recorded.error:
            raise AudioError(f"{name}: cannot be read: {reason}") from error
        if "possibly a pipe" in str(reason):  # libsndfile's words where libmpg123 finds no MP3
            reason = "Format not recognised"
        raise UnknownFormat(reason) from error
    with sound:
        yield sound, recorded


def decoded(file: BinaryIO, name: str, start: int = 0, n_before: int = 0) -> Iterator[Samples]:
    """Decode a sound from sample `start` to its end, as blocks (n_samples, channels).

    n_before: samples of earlier sounds, which count in the positions that messages name.
    Raises AudioError where that cannot be done.
    """
    with _sound_file(file, name) as (sound, recorded):
        if start or sound.format == "OGG":  # places Opus that does not begin at 0
            _seek(sound, recorded, name, start)
        # FLAC states its exact length or none; bytes behind it are no sound
        is_true = sound.format == "FLAC" and sound.frames < UNKNOWN_LENGTH
        n_left = sound.frames - start if is_true else UNKNOWN_LENGTH
        position = n_before + start
        while True:
            # small pieces first: callers often want only a few
            n_wanted = min(n_left, max(FIRST_SAMPLES, position - n_before - start), BLOCK_SAMPLES)
            block = _next_block(sound, recorded, name, position, n_wanted)
            if not len(block):
                break
            yield block
            position += len(block)
            n_left -= len(block)
        if is_true and n_left > 0:
            raise _damaged(name, sound, position, f"its header states {sound.frames} samples")


def _seek(sound: sf.SoundFile, recorded: ErrorTrackingFile, name: str, start: int) -> None:
    try:
        with recorded.watching():
            sound.seek(start)
    except sf.LibsndfileError as error:
        reason = recorded.error or error.error_string
        raise _damaged(name, sound, start, str(reason)) from error


def _next_block(
    sound: sf.SoundFile, recorded: ErrorTrackingFile, name: str, n_before: int, n_wanted: int
) -> Samples:
    n_read = 0
    block = np.empty((n_wanted, sound.channels), np.float32)
    reason: object = None
    try:
        with recorded.watching():
            while n_read < n_wanted and (n_new := len(sound.read(out=block[n_read:]))):
                n_read += n_new
    except sf.LibsndfileError as error:
        reason = error.error_string
    if reason := recorded.error or reason:
        raise _damaged(name, sound, n_before + n_read, str(reason))
    return block[:n_read]


def _damaged(name: str, sound: sf.SoundFile, n_read: int, reason: str) -> AudioError:
    return AudioError(
        f"{name}: cannot be read to its end: damaged or cut short near "
        f"{n_read / sound.samplerate:.1f} s (sample {n_read}): {reason.rstrip('.')}"
    )
