"""Sound files, pipes and arrays in, as blocks of samples, through soundfile (libsndfile).

Blocks are float32 (n_samples, channels), full scale 1.0; one sample here is soundfile's "frame".
"""

import io
import operator
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile as sf
from numpy.typing import ArrayLike, NDArray

from audiocodec.audio.declared_length import declared_share
from audiocodec.errors import ArgumentError, AudioError
from audiocodec.files import is_seekable, name_of, spooled

Samples: TypeAlias = NDArray[np.float32]  # (n_samples, channels)
PathLike: TypeAlias = str | os.PathLike[str]

BLOCK_SAMPLES = 65536
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1000, 768_000
WORTH_TELLING_S = 0.01  # some programs count the header as sound
READABLE = "WAV, FLAC, Ogg Vorbis, Ogg Opus, MP3, AIFF, AU, CAF, W64, RF64"
TAGS = (  # not "software": it names the program that wrote the file
    "title",
    "artist",
    "album",
    "date",
    "genre",
    "tracknumber",
    "comment",
    "copyright",
    "license",
)


class CutAudioWarning(UserWarning):
    """A sound file that ends before its header says; what is there is used."""


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


@dataclass(frozen=True)
class AudioSource:
    """Audio that can be read from the start any number of times, one reading after the other."""

    name: str
    sample_rate: int
    channels: int
    tags: Mapping[str, str]
    _read: Callable[[], Iterator[Samples]] = field(repr=False)
    _close: Callable[[], None] = field(repr=False, default=lambda: None)

    def blocks(self) -> Iterator[Samples]:
        """Yield (BLOCK_SAMPLES, channels) again and again, the last one shorter; nothing if empty.

        The length is known by counting only: what a header says may be wrong.
        Raises AudioError for a damaged file, and for NaN or infinity, with its position.
        """
        position = 0
        for block in self._read():
            self._check_finite(block, position)
            yield block
            position += len(block)

    def _check_finite(self, block: Samples, position: int) -> None:
        finite = np.isfinite(block)
        if finite.all():
            return
        index, channel = np.argwhere(~finite)[0]
        what = "NaN" if np.isnan(block[index, channel]) else "infinity"
        position += int(index)
        raise AudioError(
            f"{self.name}: {what} at sample {position} ({position / self.sample_rate:.3f} s), "
            f"channel {channel + 1} of {self.channels}; replace it with a finite number first"
        )

    def close(self) -> None:
        """Close what open_audio opened; a file object of the caller stays open."""
        self._close()

    def __enter__(self) -> "AudioSource":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_audio(
    source: PathLike | BinaryIO | ArrayLike, sample_rate: int | None = None
) -> AudioSource:
    """Open a path, a binary file object (read from its start) or an array with its sample rate.

    A pipe is first copied to a temporary file (in memory while small), to be readable twice.
    Arrays: (n_samples,) or (n_samples, channels); floats of full scale 1.0, or uint8, int16 and
    int32, which are scaled as in a wav file. A tensor is taken as an array.
    Raises AudioError for a file that cannot be used, ArgumentError for arguments. Warns with
    CutAudioWarning of a WAV, RF64 or AIFF that is cut.
    """
    is_path = isinstance(source, str | os.PathLike)
    if not is_path and not hasattr(source, "read"):
        return _open_array(source, sample_rate)  # type: ignore[arg-type]
    name = name_of(source)
    if sample_rate is not None:
        raise ArgumentError(f"{name}: a file has its own sample rate; leave it out")
    with _file_errors(name):
        if not is_path and isinstance(source.read(0), str):  # type: ignore[union-attr]
            raise ArgumentError(f"{name}: opened as text; open it in binary mode ('rb')")
        file, owned = _rereadable(source)  # type: ignore[arg-type]
    return _open_file(file, name, owned)


@contextmanager
def _file_errors(name: str) -> Iterator[None]:
    """What goes wrong with a file as a file becomes an AudioError."""
    try:
        yield
    except ArgumentError:  # a ValueError, too
        raise
    except (OSError, ValueError) as error:  # of a file that is closed; of a path with a NUL
        reason: object = getattr(error, "strerror", None) or error
        if isinstance(error, io.UnsupportedOperation):
            reason = "not opened for reading"
        raise AudioError(f"{name}: cannot be read: {reason}") from error


def _rereadable(source: PathLike | BinaryIO) -> tuple[BinaryIO, bool]:
    """A file that can go back to its start, and whether it is ours to close."""
    if isinstance(source, str | os.PathLike):
        file = open(source, "rb")  # noqa: SIM115 - open as long as the AudioSource
        if is_seekable(file):
            return file, True
        with file:
            return spooled(file), True
    return (source, False) if is_seekable(source) else (spooled(source), True)


def _open_file(file: BinaryIO, name: str, owned: bool) -> AudioSource:
    close = file.close if owned else lambda: None
    try:
        with _sound_file(file, name) as (sound, _):
            rate, channels, tags = sound.samplerate, sound.channels, sound.copy_metadata()
            n_samples = sound.frames
        _check_layout(name, rate, channels)
        _tell_if_cut(file, name, n_samples / rate)
    except BaseException:
        close()
        raise
    known = {tag: tags[tag].strip() for tag in TAGS if tags.get(tag, "").strip()}
    return AudioSource(name, rate, channels, known, lambda: _decoded(file, name), close)


def _check_layout(name: str, rate: int, channels: int) -> None:
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: has {channels} channels; 1 to {MAX_CHANNELS} can be used")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name}: says its sample rate is {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used"
        )


def _tell_if_cut(file: BinaryIO, name: str, there_s: float) -> None:
    with _file_errors(name):
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
        raise AudioError(
            f"{name}: cannot be read as audio ({reason}); formats that work: {READABLE}"
        ) from error
    with sound:
        yield sound, recorded


def _decoded(file: BinaryIO, name: str) -> Iterator[Samples]:
    n_read = 0
    with _sound_file(file, name) as (sound, recorded):
        while len(block := _next_block(sound, recorded, name, n_read)):
            yield block
            n_read += len(block)
        # FLAC states its exact length, or none; other headers state guesses
        if sound.format == "FLAC" and n_read < sound.frames < 2**62:
            raise _damaged(name, sound, n_read, f"{sound.frames} samples were promised")


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


def _open_array(array: ArrayLike, sample_rate: int | None) -> AudioSource:
    name = "<array>"
    if array is None or isinstance(array, bytes | bytearray):
        raise ArgumentError(
            f"a source of type {type(array).__name__}; give a path, a binary file object "
            "(io.BytesIO holds bytes) or samples"
        )
    rate = checked_rate(name, sample_rate)
    try:
        if hasattr(array, "detach"):  # a tensor, which may have a gradient or lie on a GPU
            array = array.detach().cpu()
        samples = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ArgumentError(f"{name}: neither a file nor an array of samples: {reason}") from error
    _check_array(name, samples)
    n_samples, channels = samples.shape if samples.ndim == 2 else (len(samples), 1)
    if not 1 <= channels <= MAX_CHANNELS:
        hint = "; transpose it" if 1 <= n_samples <= MAX_CHANNELS else ""
        raise ArgumentError(
            f"{name}: shape {samples.shape} has {channels} channels, and 1 to {MAX_CHANNELS} can "
            f"be used: (n_samples, channels){hint}"
        )
    samples = samples.reshape(n_samples, channels)
    return AudioSource(name, rate, channels, {}, lambda: cut(samples))


def _check_array(name: str, samples: NDArray[Any]) -> None:
    dtype = samples.dtype.newbyteorder("=")
    if dtype.kind != "f" and dtype not in (np.uint8, np.int16, np.int32):
        raise ArgumentError(
            f"{name}: numbers of type {samples.dtype}; use floats, or uint8, int16 or int32"
        )
    if samples.ndim not in (1, 2):
        raise ArgumentError(
            f"{name}: shape {samples.shape}; samples are (n_samples,) or (n_samples, channels)"
        )


def cut(samples: NDArray[Any]) -> Iterator[Samples]:
    """Yield copies of BLOCK_SAMPLES each, as float32."""
    for start in range(0, len(samples), BLOCK_SAMPLES):
        yield _as_float(samples[start : start + BLOCK_SAMPLES])


def _as_float(samples: NDArray[Any]) -> Samples:
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinity, which is reported with its position
            return np.array(samples, np.float32, order="C")
    middle = 128 if samples.dtype == np.uint8 else 0
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return ((samples.astype(np.float64) - middle) / full_scale).astype(np.float32, order="C")


def checked_rate(name: str, sample_rate: Any) -> int:
    """Return the rate as an int, or raise ArgumentError that begins with `name`."""
    if sample_rate is None:
        raise ArgumentError(f"{name}: give the sample rate of the array too")
    try:
        rate = operator.index(sample_rate)
    except TypeError:
        rate = 0
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ArgumentError(
            f"{name}: sample rate {sample_rate!r}; a whole number from {MIN_RATE} to {MAX_RATE} Hz"
        )
    return rate
