"""Opens a recording as an AudioSource: a file, a member of a tar, or an excerpt of either."""

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO

from audiocodec.audio import AudioSource, open_audio
from audiocodec.audio.source import Samples
from audiocodec.errors import AudioError, OutputError
from audiocodec.files import SPOOL_BYTES
from audiocodec.recordings.listing import is_compressed, open_tar
from audiocodec.recordings.recording import Recording
from audiocodec.recordings.tars import Member, Section
from audiocodec.recordings.unused import NOT_ORDINARY

MAX_MEMBER_BYTES = 2**32  # of a sound file in a tar: the limit of wav files


@contextmanager
def open_recording(recording: Recording, track: int | None = None) -> Iterator[AudioSource]:
    """Open the audio of a recording; of an excerpt, only that part is read.

    track: which audio track of a video, from 1; the first by default.
    Raises AudioError for a recording that cannot be used, OutputError where a compressed tar cannot
    be unpacked to a temporary file. Paths within a tar are never written to.
    """
    if recording.problem:
        raise AudioError(f"{recording.source}: {recording.problem}")
    if problem := problem_of(recording.path):
        raise AudioError(f"{recording.path}: {problem}")
    with _opened(recording, track) as audio:
        yield audio if recording.is_whole else _excerpt(audio, recording)


def problem_of(path: Path) -> str | None:
    """Why a file cannot be opened, as far as one can tell without opening it; None if it can.

    Opening a named pipe would wait forever for a writer.
    """
    if path.is_file():
        return None
    return NOT_ORDINARY if path.exists() else "there is no such file"


@contextmanager
def _opened(recording: Recording, track: int | None) -> Iterator[AudioSource]:
    """Open the whole sound file of a recording."""
    if recording.member is None:
        with open_audio(recording.path, track=track) as audio:
            yield audio
        return
    if recording.n_bytes > MAX_MEMBER_BYTES:
        raise AudioError(
            f"{recording.source}: {recording.n_bytes} bytes; at most {MAX_MEMBER_BYTES} can be "
            "read from a tar"
        )
    member = Member(recording.member, recording.offset, recording.n_bytes)
    if is_compressed(recording.path):
        with SpooledTemporaryFile(SPOOL_BYTES) as spool:
            _unpack(Section(_compressed_tar(recording), member, recording.source), spool)
            unpacked = Section(spool, replace(member, offset=0), recording.source)
            with open_audio(unpacked, track=track) as audio:  # type: ignore[arg-type]
                yield audio
    else:
        with _tar(recording) as file:
            section = Section(file, member, recording.source)
            with open_audio(section, track=track) as audio:  # type: ignore[arg-type]
                yield audio


def _tar(recording: Recording) -> BinaryIO:
    try:
        return open_tar(recording.path)
    except OSError as error:
        raise AudioError(f"{recording.path}: cannot be read: {error.strerror or error}") from error


def _unpack(source: Section, target: IO[bytes]) -> None:
    """Copy a member of a compressed tar, which cannot be read backwards."""
    while piece := _piece(source):
        try:
            target.write(piece)
        except OSError as error:
            raise OutputError(
                f"{source.name}: cannot be unpacked to a temporary file: {error.strerror}"
            ) from error


def _piece(source: Section) -> bytes:
    try:
        return source.read(2**20)
    except (OSError, EOFError, zlib.error) as error:
        raise AudioError(f"{source.name}: the tar is damaged: {error}") from error


_open_tars = threading.local()  # of this process and thread


def _compressed_tar(recording: Recording) -> BinaryIO:
    """Open a compressed tar and keep it open, so that later members need no new decompression."""
    key = os.getpid(), recording.path
    if getattr(_open_tars, "key", None) != key:
        if hasattr(_open_tars, "key"):
            _open_tars.file.close()
            del _open_tars.key
        _open_tars.file = _tar(recording)
        _open_tars.key = key
    return _open_tars.file


def _excerpt(audio: AudioSource, recording: Recording) -> AudioSource:
    """The excerpt as an AudioSource of its own."""
    first = round(recording.start * audio.sample_rate)
    last = None
    if recording.duration is not None:
        last = first + max(1, round(recording.duration * audio.sample_rate))
    n_samples = None
    if audio.n_samples is not None:
        end = audio.n_samples if last is None else min(last, audio.n_samples)
        n_samples = max(0, end - first)

    def read(start: int) -> Iterator[Samples]:
        empty = True
        for block in audio.blocks(first + start, last):
            empty = False
            yield block
        if empty and not start:
            raise AudioError(
                f"{audio.name}: ends before {recording.start:g} s, where the excerpt would start"
            )

    return replace(audio, n_samples=n_samples, _read=read)
