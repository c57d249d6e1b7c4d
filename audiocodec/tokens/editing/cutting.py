"""Crops, concatenates, splices and truncates .dac files, block by block in constant memory."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from audiocodec.container import Header, Writer, dac_output
from audiocodec.errors import ArgumentError, ContainerError, ModelMismatch
from audiocodec.tokens.editing.sources import Source, TokenFile, opened
from audiocodec.tokens.editing.spans import Frames, Span, frames_in, moved_length

GAIN_TOLERANCE_DB = 0.01  # closer levels count as equal, far below what can be heard


class MixedModels(ModelMismatch):
    """Codes of two models in one file: the path and its model, and the model of the others."""

    def message(self) -> str:
        return (
            f"{self.path}: made with model {self.made_with}, and not {self.given} as the others; "
            "decode it and encode the sound with that model"
        )


@dataclass(frozen=True, eq=False)
class _Piece:
    """Frames start to stop of a file."""

    file: TokenFile
    start: int
    stop: int


def crop(source: Source, target: Source, span: Span, overwrite: bool = False) -> Header:
    """Write a range of a file as a file of its own; returns its header.

    span: Frames, or Seconds, whose ends are moved to the nearest frame; the rest of the file if
    it reaches beyond the end. Gain and tags are kept. The decoded sound equals that of the whole
    file, except within `config.decoder_context` frames (10) of a cut.
    Raises ArgumentError if no frame is left, ContainerError, OutputExists, OutputError.
    """
    with opened(source) as file:
        start, stop = frames_in(span, file.header, file.n_frames, file.path)
        return _write([_Piece(file, start, stop)], file.header, target, overwrite)


def truncate(source: Source, target: Source, n_codebooks: int, overwrite: bool = False) -> Header:
    """Write a file with its first codebooks only; returns its header.

    It decodes to the same sound as the file with that `n_codebooks` (--codebooks): fewer bits,
    less detail.
    Raises ArgumentError for more codebooks than there are, ContainerError, OutputExists,
    OutputError.
    """
    with opened(source) as file:
        if not 1 <= n_codebooks <= file.header.n_codebooks:
            raise ArgumentError(
                f"{file.path}: {n_codebooks} codebooks; it has 1 to {file.header.n_codebooks}"
            )
        header = replace(file.header, n_codebooks=n_codebooks, n_samples=file.n_samples)
        with dac_output(target, overwrite) as out, Writer(out, header) as writer:
            for codes in file.codes(n_codebooks):
                writer.write(codes)
        return header


def concatenate(
    sources: Sequence[Source],
    target: Source,
    gain_db: float | None = None,
    overwrite: bool = False,
) -> Header:
    """Write several files one after the other as one; returns its header.

    Each begins on a frame: the padding of the last frame before it, less than a frame (12 ms at
    44.1 kHz), which the encoder took for silence, becomes part of the sound. Files without frames
    add nothing. Tags that all files share are kept.

    gain_db: a file holds one gain, which decoding divides by, so files of different gains are
        refused unless this gives the one for all: 0 leaves each at the level it was encoded at
        (-16 LUFS if it was normalized); the gain of one of the files keeps that file's level.
    Raises MixedModels, ContainerError for other files that cannot be joined, ArgumentError,
    OutputExists, OutputError.
    """
    if not sources:
        raise ArgumentError("no files to concatenate; give one or more")
    with ExitStack() as stack:
        files = [stack.enter_context(opened(source)) for source in sources]
        tags = dict(set.intersection(*(set(file.header.tags.items()) for file in files)))
        ordered = {key: tags[key] for key in files[0].header.tags if key in tags}
        header = replace(_common_header(files, gain_db), tags=ordered)
        return _write([_Piece(f, 0, f.n_frames) for f in files], header, target, overwrite)


def splice(
    source: Source,
    insert: Source,
    target: Source,
    at: Span,
    of: Span = Frames(),  # noqa: B008 - immutable
    gain_db: float | None = None,
    overwrite: bool = False,
) -> Header:
    """Write a file with a range replaced by a range of another; returns its header.

    at: the range of `source` to replace; a duration of 0 inserts, a start at the end appends.
    of: the range of `insert` to put there, by default all; lengths may differ. Tags are those of
    `source`.
    gain_db: as in concatenate. Raises what concatenate raises.
    """
    with opened(source) as file, opened(insert) as other:
        header = _common_header([file, other], gain_db)
        start, stop = frames_in(at, file.header, file.n_frames, file.path)
        first, last = frames_in(of, other.header, other.n_frames, other.path)
        pieces = [
            _Piece(file, 0, start),
            _Piece(other, first, last),
            _Piece(file, stop, file.n_frames),
        ]
        return _write(pieces, header, target, overwrite)


def _write(pieces: Sequence[_Piece], like: Header, target: Source, overwrite: bool) -> Header:
    pieces = [piece for piece in pieces if piece.start < piece.stop]
    if not pieces:
        raise ArgumentError(
            f"no frame would be left; a range must hold at least one, {1 / like.frame_rate:.4f} s"
        )
    header = replace(like, n_samples=_length(pieces, like))
    with dac_output(target, overwrite) as out, Writer(out, header) as writer:
        for piece in pieces:
            for codes in piece.file.codes(header.n_codebooks, piece.start, piece.stop):
                writer.write(codes)
    return header


def _length(pieces: Sequence[_Piece], header: Header) -> int:
    """Samples of all pieces together: only the last one can end within a frame."""
    n_frames = sum(piece.stop - piece.start for piece in pieces)
    file, stop = pieces[-1].file, pieces[-1].stop
    if stop == file.n_frames:
        return moved_length(header, file.n_samples, file.n_frames, n_frames - stop)
    return moved_length(header, header.samples_of(stop), stop, n_frames - stop)


def _common_header(files: Sequence[TokenFile], gain_db: float | None) -> Header:
    """The first file's header, with the gain for all. Raises ContainerError, naming both files."""
    first = files[0]
    for file in files[1:]:
        _check_alike(file, first)
        apart_db = abs(_gain_db(file.header) - _gain_db(first.header))
        if gain_db is None and apart_db > GAIN_TOLERANCE_DB:
            raise ContainerError(
                f"{file.path}: its level was changed by {_gain_db(file.header):+.2f} dB, that of "
                f"{first.path} by {_gain_db(first.header):+.2f} dB, and a file holds one gain; "
                "choose it with gain_db (--gain-db): 0 leaves all at the level they were encoded at"
            )
    if gain_db is None:
        return first.header
    if not -600 <= gain_db <= 600:  # the container's 1e-30 to 1e30
        raise ArgumentError(f"a gain of {gain_db} dB; it must be -600 to 600")
    return replace(first.header, gain=10 ** (gain_db / 20))


def _gain_db(header: Header) -> float:
    return 20 * math.log10(header.gain)


def _check_alike(file: TokenFile, first: TokenFile) -> None:
    a, b = first.header, file.header
    a.check_same(b, file.path, MixedModels)
    for what, ours, theirs, advice in (
        ("Hz", b.sample_rate, a.sample_rate, "decode it, resample and encode the sound again"),
        ("channel(s)", b.channels, a.channels, "decode it, mix and encode the sound again"),
        ("codebooks", b.n_codebooks, a.n_codebooks, "truncate both to the fewer codebooks first"),
    ):
        if ours != theirs:
            raise ContainerError(f"{file.path}: {ours} {what}, {first.path}: {theirs}; {advice}")
