"""Reads every frame of MP3 files, whatever number the header states; joined files too."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from audiocodec.audio.id3 import id3_tags
from audiocodec.audio.joined import StreamPiece, joined, tell_cut
from audiocodec.audio.mp3_header import n_ahead_trimmed
from audiocodec.audio.mp3_parts import MUTED_FRAMES, MP3Part, mp3_parts
from audiocodec.audio.sndfile import decoded, sound_info
from audiocodec.audio.source import AudioSource, Samples, UnknownFormat, dropped, known_tags
from audiocodec.files import file_errors

WARM_UP_FRAMES = 12  # a frame may need bits of several before it; 6 sufficed in tests
SAME_PHASE = 8  # decoding from a multiple of this many frames on gives bit-identical samples


def open_mp3(file: BinaryIO, name: str) -> AudioSource:
    """Open MPEG audio of layers I to III. The caller closes the file.

    Raises UnknownFormat, or AudioError for a file that cannot be used. Warns with CutAudioWarning
    of missing or damaged parts.
    """
    with file_errors(name):
        parts = mp3_parts(file, name)
        tags = id3_tags(file) if parts else {}
    if not parts:
        raise UnknownFormat("not MP3")
    pieces = [_piece(file, name, part) for part in parts]
    source = joined(name, pieces)
    _tell_of_losses(name, parts, pieces)
    return replace(source, tags=known_tags(tags))


def _piece(file: BinaryIO, name: str, part: MP3Part) -> StreamPiece:
    view = part.view(file)
    info = sound_info(view, name)
    if part.kind.layer != 3:  # libsndfile only estimates it
        info = replace(info, n_samples=part.n_frames * part.kind.n_samples)
    n_trimmed = part.n_frames * part.kind.n_samples - info.n_samples
    n_ahead = n_ahead_trimmed(part.first, part.kind) if n_trimmed else 0
    # frames ahead of the sound in view_from, less those in view
    phase = MUTED_FRAMES - (n_trimmed == 0) if part.kind.layer == 3 else 0

    def decode(start: int, n_before: int) -> Iterator[Samples]:
        frame = (start + n_ahead) // part.kind.n_samples - WARM_UP_FRAMES
        frame -= (frame - phase) % SAME_PHASE
        if frame < MUTED_FRAMES or not 0 <= n_ahead <= n_trimmed:
            return dropped(decoded(view, name, 0, n_before), start)
        n_dropped = start + n_ahead - frame * part.kind.n_samples
        n_before += start - n_dropped
        return dropped(decoded(part.view_from(file, frame), name, 0, n_before), n_dropped)

    return StreamPiece(info, decode)


def _tell_of_losses(name: str, parts: Sequence[MP3Part], pieces: Sequence[StreamPiece]) -> None:
    """Warn of missing frames, of a truncated one, and of bytes that belong to no frame."""
    n_missing = n_before = n_damaged = 0
    first_s = None
    rate = pieces[0].info.sample_rate
    for part, piece in zip(parts, pieces, strict=True):
        n_missing += part.n_missing * part.kind.n_samples
        n_damaged += sum(n_bytes for _, n_bytes in part.gaps)
        if part.gaps and first_s is None:
            first_s = (n_before + part.gaps[0][0] * part.kind.n_samples) / rate
        n_before += piece.n_samples
    told = []
    if n_missing:
        promised_s = (n_before + n_missing) / rate
        told.append(f"its header promises {promised_s:.1f} s, there are {n_before / rate:.1f} s")
    elif parts[-1].is_cut:
        told.append(f"is cut off within a frame; there are {n_before / rate:.1f} s")
    if n_damaged:
        told.append(f"{n_damaged} bytes are damaged and left out, the first at {first_s:.1f} s")
    if told:
        tell_cut(f"{name}: {'; '.join(told)}")
