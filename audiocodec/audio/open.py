"""Opens sound files, pipes and arrays with the first reader that knows the format."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import BinaryIO, TypeAlias

from numpy.typing import ArrayLike

from audiocodec.audio.arrays import open_array
from audiocodec.audio.flac import open_flac
from audiocodec.audio.formats import has_ffmpeg
from audiocodec.audio.mp3 import open_mp3
from audiocodec.audio.ogg import open_ogg
from audiocodec.audio.pyav_reader import open_pyav
from audiocodec.audio.sndfile import open_sndfile
from audiocodec.audio.source import AudioSource, PathLike, UnknownFormat
from audiocodec.errors import ArgumentError, AudioError
from audiocodec.files import file_errors, is_seekable, name_of, spooled
from audiocodec.validation import check_int

Reader: TypeAlias = Callable[[BinaryIO, str], AudioSource]

READABLE = "WAV, FLAC, Ogg Vorbis, Ogg Opus, MP3, AIFF, AU, CAF, W64, RF64"
# in the order in which they are tried; FFmpeg comes last
READERS: tuple[Reader, ...] = (open_flac, open_ogg, open_mp3, open_sndfile)
BY_FFMPEG = "m4a, AAC, webm, mp4 and more"
WITHOUT_FFMPEG = (
    f"for {BY_FFMPEG}: pip install 'audiocodec[av]', or pipe: "
    "ffmpeg -i IN -f wav - | audiocodec encode - OUT.dac"
)


def open_audio(
    source: PathLike | BinaryIO | ArrayLike,
    sample_rate: int | None = None,
    *,
    track: int | None = None,
) -> AudioSource:
    """Open a path, a binary file object (read from its start) or an array with its sample rate.

    A pipe is first copied to a temporary file (in memory while small), so that it can be
    read twice.
    Arrays and tensors: (n_samples,) or (n_samples, channels); floats of full scale 1.0, or uint8,
    int16 and int32, which are scaled as in a wav file.
    track: which audio track of a video to take, from 1; the first by default.
    Raises AudioError for a file that cannot be used, ArgumentError for a wrong argument. Warns with
    CutAudioWarning of a file with parts missing.
    """
    is_path = isinstance(source, str | os.PathLike)
    if not is_path and not hasattr(source, "read"):
        return open_array(source, sample_rate)  # type: ignore[arg-type]
    name = name_of(source)
    if sample_rate is not None:
        raise ArgumentError(f"{name}: a file has its own sample rate; leave it out")
    with file_errors(name):
        if not is_path and isinstance(source.read(0), str):  # type: ignore[union-attr]
            raise ArgumentError(f"{name}: opened as text; open it in binary mode ('rb')")
        file, owned = _rereadable(source)  # type: ignore[arg-type]
    return _open_file(file, name, owned, track)


def _rereadable(source: PathLike | BinaryIO) -> tuple[BinaryIO, bool]:
    """Return a seekable file, and whether we must close it."""
    if isinstance(source, str | os.PathLike):
        file = open(source, "rb")  # noqa: SIM115 - open as long as the AudioSource
        if is_seekable(file):
            return file, True
        with file:
            return spooled(file), True
    return (source, False) if is_seekable(source) else (spooled(source), True)


def _open_file(file: BinaryIO, name: str, owned: bool, track: int | None) -> AudioSource:
    """Open the file; the source closes it later if we own it."""
    close = file.close if owned else lambda: None
    try:
        return replace(_read_by_any(file, name, track), _close=close)
    except BaseException:
        close()
        raise


def _read_by_any(file: BinaryIO, name: str, track: int | None) -> AudioSource:
    reasons = []
    for open_sound in _readers(track):
        try:
            return open_sound(file, name)
        except UnknownFormat as error:
            reasons.append(str(error))
    reason = reasons[min(len(READERS), len(reasons)) - 1]  # libsndfile's, if it was tried
    known = f"formats that work: {READABLE}"
    hint = f", {BY_FFMPEG}" if has_ffmpeg() else f"; {WITHOUT_FFMPEG}"
    raise AudioError(f"{name}: cannot be read as audio ({reason}); {known}{hint}")


def _readers(track: int | None) -> list[Reader]:
    """The readers to try, in order; only FFmpeg's knows more than one track."""
    by_ffmpeg = partial(open_pyav, track=track)
    if track is not None and check_int(track, "track") < 1:
        raise ArgumentError(f"track {track}; tracks are counted from 1")
    return [by_ffmpeg] if (track or 1) > 1 else [*READERS, by_ffmpeg]
