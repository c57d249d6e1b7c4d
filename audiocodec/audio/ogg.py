"""Reads Ogg Vorbis and Ogg Opus: also joined files, the sound of a video, and damaged streams.

Silence takes the place of missing pages.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

from audiocodec.audio.channels import wave_from_vorbis
from audiocodec.audio.file_view import file_view
from audiocodec.audio.joined import StreamPiece, joined, tell_cut, with_bounded_silence
from audiocodec.audio.ogg_pages import NO_GRANULE, OggStream, sound_streams
from audiocodec.audio.sndfile import SoundInfo, decoded, sound_info
from audiocodec.audio.source import AudioSource, Samples, UnknownFormat, dropped
from audiocodec.errors import AudioError
from audiocodec.files import file_errors

OPUS_RATE = 48000  # of its granule positions, whatever rate it is decoded at
OPUS_WARM_UP_S = 1.0  # its prediction forgets slowly; RFC 7845 asks for at least 80 ms
WORTH_TELLING_S = 0.001
MAX_PACKET_SAMPLES = 8192  # libsndfile seeks wrongly in the last page of Vorbis
DISCRETE = 255  # the channel mapping family of Opus whose channels have no order


def open_ogg(file: BinaryIO, name: str) -> AudioSource:
    """Open Vorbis or Opus in Ogg. The caller closes the file.

    Raises UnknownFormat, or AudioError for a file that cannot be used. Warns with CutAudioWarning
    of missing parts, which become silence.
    """
    with file_errors(name):
        streams = sound_streams(file, name)
    n_known = next((i for i, stream in enumerate(streams) if not stream.is_known), len(streams))
    if not n_known:
        raise UnknownFormat("not Vorbis or Opus in Ogg")
    pieces: list[StreamPiece] = []
    for stream in streams[:n_known]:
        pieces += _pieces(file, name, stream, bool(pieces))
    if not pieces:
        raise AudioError(f"{name}: holds the header of a stream but no sound")
    pieces = with_bounded_silence(pieces)
    source = joined(name, pieces, _reordered_by(streams[0]))
    _tell_of_silence(name, pieces)
    if n_known < len(streams):
        tell_cut(
            f"{name}: only the first {_seconds(pieces)} are used; "
            "what follows is neither Vorbis nor Opus"
        )
    elif not all(stream.is_ended for stream in streams):
        tell_cut(f"{name}: is cut off: its last page is missing; {_seconds(pieces)} are left")
    return source


def _pieces(file: BinaryIO, name: str, stream: OggStream, is_later: bool) -> Iterator[StreamPiece]:
    """Yield the unbroken parts of a stream, each with the silence that replaces what was lost."""
    position, origin = 0, None  # samples so far; granule position of the first
    for number, run in enumerate(stream.runs):
        if run.granule == NO_GRANULE:
            continue
        view = file_view(file, [*stream.header_spans, *run.spans])
        info = _info(view, name, is_later or position > 0)
        end = _samples(stream, run.granule, info.sample_rate)
        if origin is None:  # positions need not begin at 0
            origin = end - info.n_samples
            if number > 0:
                _tell_of_late_start(name, stream, origin / info.sample_rate)
        n_silent = max(0, end - origin - info.n_samples - position)
        last_page = _samples(stream, run.granule - run.granule_before, info.sample_rate)
        last_seek = max(0, info.n_samples - last_page - MAX_PACKET_SAMPLES)
        warm_up = round(OPUS_WARM_UP_S * info.sample_rate) if stream.is_opus else 0
        yield StreamPiece(info, partial(_decoded, view, name, warm_up, last_seek), n_silent)
        position += n_silent + info.n_samples


def _decoded(
    view: BinaryIO, name: str, warm_up: int, last_seek: int, start: int, n_before: int
) -> Iterator[Samples]:
    """Yield samples from `start` on, after a warm-up. Never seeks behind last_seek."""
    sought = min(max(0, start - warm_up), last_seek)
    return dropped(decoded(view, name, sought, n_before), start - sought)


def _tell_of_late_start(name: str, stream: OggStream, start_s: float) -> None:
    """Warn of a late start. No silence fills it: it may be a recording of a broadcast."""
    start_s -= stream.pre_skip / OPUS_RATE
    if start_s >= WORTH_TELLING_S:
        tell_cut(f"{name}: the first {start_s:.2f} s of its stream are missing, and are left out")


def _info(view: BinaryIO, name: str, is_later: bool) -> SoundInfo:
    try:
        return sound_info(view, name)
    except UnknownFormat as error:
        if not is_later:
            raise
        raise AudioError(f"{name}: a later part of it cannot be read: {error}") from error


def _samples(stream: OggStream, granules: int, sample_rate: int) -> int:
    return granules * sample_rate // OPUS_RATE if stream.is_opus else granules


def _reordered_by(stream: OggStream) -> Callable[[Samples], Samples]:
    has_order = not stream.is_opus or stream.mapping_family != DISCRETE
    return wave_from_vorbis if has_order else lambda samples: samples


def _tell_of_silence(name: str, pieces: Sequence[StreamPiece]) -> None:
    """Warn of the seconds lost between pieces, and where."""
    rate, position, places = pieces[0].info.sample_rate, 0, []
    for piece in pieces:
        if piece.n_silent:
            places.append(position / rate)
        position += piece.n_samples
    lost_s = sum(piece.n_silent for piece in pieces) / rate
    if lost_s >= WORTH_TELLING_S:
        where = f"at {places[0]:.1f} s"
        if len(places) > 1:
            where = f"in {len(places)} places, the first {where}"
        tell_cut(f"{name}: {lost_s:.2f} s are damaged or missing {where}; silence replaces them")


def _seconds(pieces: Sequence[StreamPiece]) -> str:
    n_samples = sum(piece.n_samples for piece in pieces)
    return f"{n_samples / pieces[0].info.sample_rate:.1f} s"
