"""Scans an MPEG audio file frame by frame, since its header may state a wrong number of them."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import BinaryIO

from audiocodec.audio.byte_window import ByteWindow
from audiocodec.audio.file_view import Span, add_span, file_view
from audiocodec.audio.mp3_header import (
    FRAME_BYTES,
    KIND_BITS,
    VBRI_AT,
    XING_NAMES,
    FrameKind,
    frame_bytes,
    frame_kind,
    is_info,
    kind_word,
    muted,
    n_promised,
    needs_none_before,
    new_info,
    tag_bytes,
    true_info,
)
from audiocodec.errors import AudioError
from audiocodec.files import read_exactly

SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xef]")
HEAD_BYTES = 64  # enough to recognise a tag or a frame
RUN_BYTES = 2**16  # scanned at a time, at least
SEARCH_BYTES = 2**16  # for the first whole frame, behind tags or damage
N_CONVINCING = 3  # so many frames in a row are no coincidence
MAX_SEARCHED = 100_000  # sync words tried, which takes about a second
MAX_PARTS = 1000
NO_LIMIT = 2**62
# Kept ahead of the frames that are wanted, which may use their bits. The header states in 12 bits
# how many samples to cut off, so more do not fit.
MUTED_FRAMES = 4
N_MORE = 2  # frames appended to layers I and II


@dataclass
class MP3Part:
    """Frames that are decoded together: one of several joined files, without its tags."""

    word: int  # kind_word of all frames
    first: bytes  # the first frame, which may be a Xing, Info or VBRI header
    n_promised: int | None = None  # frames, as that header states
    spans: list[Span] = field(default_factory=list)
    n_frames: int = 0
    marks: list[tuple[int, int]] = field(
        default_factory=list
    )  # frames before a position, the position
    gaps: list[tuple[int, int]] = field(
        default_factory=list
    )  # frames before a gap, its damaged bytes
    is_cut: bool = False  # ends within a frame

    @property
    def kind(self) -> FrameKind:
        return frame_kind(self.word)

    @property
    def n_missing(self) -> int:
        """Frames that the header states and the file lacks; some encoders count the header too."""
        n_missing = (self.n_promised or 0) - self.n_frames
        return n_missing if n_missing > 1 else 0

    @property
    def is_whole(self) -> bool:
        """Whether the number of frames is the one that the header states."""
        return self.n_promised in (self.n_frames, self.n_frames + 1)

    def view(self, file: BinaryIO) -> BinaryIO:
        """The frames as a file, with a header that states their number.

        Without it libsndfile estimates the number and stops there.
        """
        if self.kind.layer != 3:
            return file_view(file, [*self.spans, *self._more(file)])
        n_bytes = sum(stop - start for start, stop in self.spans)
        header = true_info(self.first, self.kind, self.n_frames, n_bytes, self.is_whole)
        return file_view(file, [header, *self.spans])

    def view_from(self, file: BinaryIO, n_before: int) -> BinaryIO:
        """As view, without the first n_before frames; nothing is trimmed at its start or end.

        n_before: MUTED_FRAMES or more.
        """
        window = ByteWindow(file)
        position, muted_frames = self._position_of(window, n_before - MUTED_FRAMES), []
        for _ in range(MUTED_FRAMES):
            frame = window.at(position, frame_bytes(window.at(position, 4)))
            muted_frames.append(muted(frame, self.kind))
            position = self._position_behind(position, len(frame))
        spans = [(max(start, position), stop) for start, stop in self.spans if stop > position]
        if self.kind.layer != 3:
            return file_view(file, [*spans, *self._more(file)])
        n_frames = self.n_frames - n_before
        return file_view(file, [new_info(self.first, self.kind, n_frames, muted_frames), *spans])

    def _position_of(self, window: ByteWindow, n_before: int) -> int:
        """Position of the frame that follows n_before others."""
        n_marked, position = self.marks[bisect_right(self.marks, (n_before, NO_LIMIT)) - 1]
        while n_marked < n_before:
            data, offset = window.around(position, RUN_BYTES)
            behind, n_frames = _run(data, offset, self.word, n_before - n_marked)
            if not n_frames:  # the file changed meanwhile
                break
            position, n_marked = position + behind - offset, n_marked + n_frames
        return position

    def _position_behind(self, position: int, n_bytes: int) -> int:
        """Position of the frame behind one of n_bytes; gaps are skipped."""
        position += n_bytes
        later = (max(start, position) for start, stop in self.spans if stop > position)
        return next(later, position)

    def _more(self, file: BinaryIO) -> list[bytes]:
        """Extra frames for layers I and II, whose number libsndfile estimates too low."""
        file.seek(self.spans[0][0])
        return [read_exactly(file, frame_bytes(self.first))] * N_MORE


def mp3_parts(file: BinaryIO, name: str) -> list[MP3Part]:
    """Find the frames of an MPEG audio file, which is read once; empty for another file.

    A new part begins with a Xing, Info or VBRI header, or where layer, sample rate or number of
    channels change. Raises AudioError for a file that is too damaged.
    """
    scan = _Scan(file, name)
    position = scan.behind_tags(0)
    looks_like_one = position > 0 or scan.has_frame(0)
    position = scan.next_frame(position, None, position + SEARCH_BYTES if looks_like_one else 0)
    while position >= 0:
        position = scan.read_part(position)
    return [part for part in scan.found if part.n_frames]


class _Scan:
    """One pass over a file, which collects its parts in `found`."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._window, self._name, self._n_searched = ByteWindow(file), name, 0
        self.found: list[MP3Part] = []

    def read_part(self, position: int) -> int:
        """Add the part that begins at `position`; return where the next one begins, or -1."""
        part = self._new_part(position)
        if is_info(part.first, part.kind):
            part.n_promised = n_promised(part.first, part.kind)
            position += len(part.first)
        while True:
            behind = self.behind_tags(self._take_frames(part, position))
            position = self.next_frame(behind, part.word, NO_LIMIT)
            if position < 0:
                part.is_cut = self._is_frame(behind, part.word)
                return -1
            if self._begins_anew(part, position):
                return position
            if position > behind:
                part.gaps.append((part.n_frames, position - behind))

    def _new_part(self, position: int) -> MP3Part:
        if len(self.found) == MAX_PARTS:
            raise AudioError(f"{self._name}: is in more than {MAX_PARTS} pieces")
        frame = self._frame(position)
        self.found.append(MP3Part(kind_word(frame), frame))
        return self.found[-1]

    def _begins_anew(self, part: MP3Part, position: int) -> bool:
        """Whether the frame at `position` is the first of a new part."""
        frame = self._frame(position)
        if kind_word(frame) != part.word or is_info(frame, part.kind):
            return True
        return part.n_promised == part.n_frames and needs_none_before(frame, part.kind)

    def _take_frames(self, part: MP3Part, position: int) -> int:
        """Add frames up to a gap, or the number that the header states; return where they end."""
        n_left = (part.n_promised or 0) - part.n_frames
        n_most = n_left if n_left > 0 else NO_LIMIT
        while n_most > 0:
            data, offset = self._window.around(position, RUN_BYTES)
            behind, n_frames = _run(data, offset, part.word, n_most)
            if not n_frames:
                break
            part.marks.append((part.n_frames, position))
            add_span(part.spans, position, position + behind - offset)
            position += behind - offset
            part.n_frames += n_frames
            n_most -= n_frames
        return position

    def _frame(self, position: int) -> bytes:
        return self._window.at(position, frame_bytes(self._window.at(position, 4)))

    def behind_tags(self, position: int) -> int:
        """Skip the tags at `position`; return where they end."""
        while n_bytes := tag_bytes(self._window.at(position, HEAD_BYTES)):
            position += n_bytes
        return position

    def has_frame(self, position: int) -> bool:
        """Whether a frame header is at `position`."""
        return frame_bytes(self._window.at(position, 4)) > 0

    def next_frame(self, position: int, word: int | None, stop: int) -> int:
        """Find a frame that begins between `position` and `stop`, or -1. word: its kind."""
        while 0 <= (position := self._window.search(SYNC, 3, position)) <= stop:
            self._n_searched += 1
            if self._n_searched > MAX_SEARCHED:
                raise AudioError(f"{self._name}: holds hardly a whole frame of MP3; it is damaged")
            if self._is_convincing(position, word):
                return position
            position += 1
        return -1

    def _is_convincing(self, position: int, word: int | None) -> bool:
        """Whether a frame at `position` is followed by others, a tag or the end of the file."""
        frame = self._frame(position)
        if not frame or position + frame_bytes(frame) > self._window.size:
            return False
        kind = kind_word(frame)
        for _ in range(1 if kind == word else N_CONVINCING):
            position += len(self._frame(position))
            if position >= self._window.size or tag_bytes(self._window.at(position, HEAD_BYTES)):
                return True
            if not self._is_frame(position, kind):
                return False
        return True

    def _is_frame(self, position: int, word: int) -> bool:
        """Whether a header of this kind is at `position`; the end of the frame may be missing."""
        head = self._window.at(position, 4)
        return frame_bytes(head) > 0 and kind_word(head) == word


def _run(data: bytes, position: int, word: int, n_most: int) -> tuple[int, int]:
    """Walk over adjacent whole frames of one kind; return where they end and their number.

    Written for speed: an hour of MP3 has 138,000 frames.
    """
    n_frames, last, kind = 0, len(data) - 4, frame_kind(word)
    info_at = kind.info_at if kind.layer == 3 else len(data)
    while position <= last and n_frames < n_most and data[position] == 0xFF:
        here = data[position + 1] << 8 | data[position + 2]
        length = FRAME_BYTES[here]
        if here & KIND_BITS | (data[position + 3] >= 0xC0) != word or not length:
            break
        if position + length > len(data):
            break
        xing, vbri = position + info_at, position + VBRI_AT
        if data[xing : xing + 4] in XING_NAMES or data[vbri : vbri + 4] == b"VBRI":
            break
        position, n_frames = position + length, n_frames + 1
    return position, n_frames
