"""Sound files through soundfile (libsndfile)."""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf

from audiocodec.audio.declared_length import declared_share
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
from audiocodec.errors import AudioError
from audiocodec.files import file_errors

WORTH_TELLING_S = 0.01  # some programs count the header as sound
EXACT_FORMATS = ("WAV", "WAVEX", "FLAC", "AIFF", "AU", "CAF", "W64", "RF64")  # seek to the sample
EXACT_SUBTYPES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
UNKNOWN_LENGTH = 2**62  # libsndfile's is above


class ErrorTrackingFile:
    """A file as libsndfile uses it: keeps the first error, which soundfile prints and forgets."""

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
        """Around calls of libsndfile: lets Ctrl-C out that came while it was asking for bytes.

        One that comes in soundfile's part of the way is told to a hook of Python's only.
        """
        before = sys.unraisablehook
        is_main = threading.current_thread() is threading.main_thread()  # only there it comes
        if is_main:
            sys.unraisablehook = partial(self._keep_interrupt, before)
        try:
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
        return self._try(self.file.seek, offset, whence)

    def tell(self) -> Any:
        return self._try(self.file.tell)

    def read(self, n_bytes: int) -> Any:
        return self._try(self.file.read, n_bytes) or b""

    def write(self, data: bytes) -> Any:
        return self._try(self.file.write, data)


class _ForwardSound(sf.SoundFile):
    """Read straight on: soundfile seeks after each read, which fails in a FLAC without length."""

    def seekable(self) -> bool:
        return False


def open_sndfile(file: BinaryIO, name: str) -> AudioSource:
    """Open what libsndfile can read, from its start. The caller closes the file.

    Raises UnknownFormat, or AudioError for a file that cannot be used. Warns with CutAudioWarning.
    """
    with _sound_file(file, name) as (sound, _):
        rate, channels, tags = sound.samplerate, sound.channels, sound.copy_metadata()
        n_samples, is_exact = sound.frames, _is_exact(sound)
    check_layout(name, rate, channels)
    _tell_if_cut(file, name, n_samples / rate)

    def read(start: int) -> Iterator[Samples]:
        first = min(start, n_samples) if is_exact else 0
        return dropped(_decoded(file, name, first), start - first)

    return AudioSource(
        name, rate, channels, n_samples if is_exact else None, known_tags(tags), read
    )


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
    """Open from the start. Not by name: libsndfile takes text in a .au for headerless audio."""
    recorded = ErrorTrackingFile(file)
    recorded.seek(0)
    try:
        with recorded.watching():
            sound = _ForwardSound(recorded)  # type: ignore[arg-type]
    except sf.LibsndfileError as error:
        reason = recorded.error or error.error_string.rstrip(".")
        if recorded.error:
            raise AudioError(f"{name}: cannot be read: {reason}") from error
        raise UnknownFormat(reason) from error
    with sound:
        yield sound, recorded


def _decoded(file: BinaryIO, name: str, start: int) -> Iterator[Samples]:
    n_read = start
    with _sound_file(file, name) as (sound, recorded):
        if start:
            _seek(sound, recorded, name, start)
        while len(block := _next_block(sound, recorded, name, n_read)):
            yield block
            n_read += len(block)
        # FLAC states its exact length, or none; other headers state guesses
        if sound.format == "FLAC" and n_read < sound.frames < UNKNOWN_LENGTH:
            raise _damaged(name, sound, n_read, f"{sound.frames} samples were promised")


def _seek(sound: sf.SoundFile, recorded: ErrorTrackingFile, name: str, start: int) -> None:
    try:
        with recorded.watching():
            sound.seek(start)
    except sf.LibsndfileError as error:
        reason = recorded.error or error.error_string
        raise _damaged(name, sound, start, str(reason)) from error


def _next_block(
    sound: sf.SoundFile, recorded: ErrorTrackingFile, name: str, n_before: int
) -> Samples:
    block, n_read = np.empty((BLOCK_SAMPLES, sound.channels), np.float32), 0
    reason: object = None
    try:
        with recorded.watching():
            while n_read < BLOCK_SAMPLES and (n_new := len(sound.read(out=block[n_read:]))):
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
