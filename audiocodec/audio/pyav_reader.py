"""Reads with PyAV what libsndfile does not: m4a, AAC, webm, the sound of videos and more.

Samples equal those of `ffmpeg -i`, without the encoder's delay and padding where the file states
them. PyAV is an optional dependency, imported only when needed.
"""

import math
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio.arrays import cut
from audiocodec.audio.channels import SPEAKERS
from audiocodec.audio.declared_length import missing_avi_bytes
from audiocodec.audio.formats import has_ffmpeg
from audiocodec.audio.joined import tell_cut
from audiocodec.audio.ogg_pages import sound_streams
from audiocodec.audio.pyav import Damage, Track, frames_of, open_track
from audiocodec.audio.source import (
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

if TYPE_CHECKING:
    from av import AudioFrame

# Containers whose headers state their length; for others, FFmpeg estimates it.
TELL_LENGTH = ("mov", "matroska", "asf", "flac", "flv", "tta", "ape", "wv", "wav", "caf", "w64")
TELL_TIME = ("mov", "matroska", "flv")  # containers with exact time stamps after a jump
GAP_S, END_S = 0.05, 0.3  # shorter losses, within the sound and at its end, are not reported
PREROLL_S = 0.5  # decoders need the sound before a position
SHORTEST_JUMP_S = 5.0  # below it, sound is decoded and dropped: the scan for a jump takes time too
N_HELD = 4  # the last frames, which the encoder's padding may fill


def open_pyav(file: BinaryIO, name: str, track: int | None = None) -> AudioSource:
    """Open a file that FFmpeg can read. The caller closes the file.

    track: which audio track of a video, from 1; the first by default.
    Reading from a later position is exact to the sample. A lossy format may decode there with
    other last bits, and other noise substitution, than when read from its start.
    Raises UnknownFormat, or AudioError for a file that cannot be used. Warns with CutAudioWarning,
    while reading, of sound that is missing.
    """
    if not has_ffmpeg():
        raise UnknownFormat("PyAV is not installed")
    with open_track(file, name, track) as opened:
        first = next(frames_of(opened, Damage()), None)
        codec = opened.stream.codec_context
        rate = first.sample_rate if first else codec.sample_rate
        channels = first.layout.nb_channels if first else codec.channels
        found = {**opened.stream.metadata, **opened.container.metadata}
        speakers = _speakers(first)
        format = opened.format
    check_layout(name, rate, channels)
    with file_errors(name):
        n_missing = missing_avi_bytes(file) if format == "avi" else 0
    if n_missing:
        tell_cut(f"{name}: is cut off: {n_missing} bytes are missing; what is there is used")
    if format == "ogg" and not all(stream.is_ended for stream in sound_streams(file, name)):
        tell_cut(f"{name}: is cut off: the last page is not there; what is there is used")
    reader = _TrackReader(file, name, track, rate, channels)
    return AudioSource(name, rate, channels, None, _tags(found), reader, speakers=speakers)


def _speakers(frame: "AudioFrame | None") -> tuple[str, ...]:
    """The speaker that each channel feeds, in the order of WAVE; empty if one is unknown."""
    named = tuple(channel.name for channel in frame.layout.channels) if frame else ()
    return named if set(named) <= set(SPEAKERS) else ()


def _tags(found: dict[str, str]) -> dict[str, str]:
    lower = {key.lower(): value for key, value in found.items()}
    return known_tags({"tracknumber": lower.get("track", "")} | lower)


@dataclass(frozen=True)
class _FrameGrid:
    """Positions of frames of equal length; the one with time stamp `pts` begins at `first`."""

    pts: int
    first: int  # in samples
    n_samples: int
    n_per_unit: float  # samples per unit of the time stamps

    def index(self, pts: int | None) -> int | None:
        """Number of a frame, counted from the one at `pts`; None if it is off the grid."""
        if pts is None:
            return None
        exact = (pts - self.pts) * self.n_per_unit / self.n_samples
        off = abs(exact - round(exact)) * self.n_samples
        return round(exact) if off <= self.n_per_unit < self.n_samples / 4 else None

    def sample(self, pts: int | None) -> int | None:
        """The sample at which a frame begins; None if it is off the grid."""
        index = self.index(pts)
        return None if index is None else self.first + index * self.n_samples

    def pts_of(self, sample: int) -> int:
        return self.pts + round((sample - self.first) / self.n_per_unit)


class _TrackReader:
    """Reads a track from any sample on; warns of missing sound once."""

    def __init__(
        self, file: BinaryIO, name: str, track: int | None, rate: int, channels: int
    ) -> None:
        self.source, self.rate, self.channels = (file, name, track), rate, channels
        self.grids: list[_FrameGrid | None] = []  # empty before the packets were scanned
        self.has_told = False

    def __call__(self, start: int) -> Iterator[Samples]:
        if start >= SHORTEST_JUMP_S * self.rate and (grid := self._grid()):
            damage = Damage()
            with open_track(*self.source) as track:
                if landed := self._jumped(track, grid, start, damage):
                    position, frames = landed
                    pieces = self._pieces(track, frames, position, damage)
                    yield from dropped(pieces, start - position)
                    return
        damage = Damage()
        with open_track(*self.source) as track:
            yield from dropped(self._pieces(track, frames_of(track, damage), 0, damage), start)

    # Samples

    def _pieces(
        self, track: Track, frames: Iterable["AudioFrame"], position: int, damage: Damage
    ) -> Iterator[Samples]:
        """Yield the samples of frames up to the true end; the first begins at `position`."""
        held: deque[NDArray[Any]] = deque()
        gaps, last = _Gaps(self.rate, self._n_per_unit(track), damage), None
        for frame in frames:
            gaps.look(frame.pts, position)
            last = frame
            held.append(self._samples(track, frame))
            position += len(held[-1])
            if len(held) > N_HELD:
                yield from cut(held.popleft())
        surplus = 0 if last is None else self._surplus(track, last, position)
        rest = np.concatenate(held) if held else np.zeros((0, self.channels), np.float32)
        yield from cut(rest[: max(0, len(rest) - surplus)])
        missing_s = self._promised_s(track) - position / self.rate - damage.gaps_s
        damage.end_s = missing_s if missing_s > END_S else 0.0
        self._tell(track.name, damage)

    def _samples(self, track: Track, frame: "AudioFrame") -> NDArray[Any]:
        now = frame.sample_rate, frame.layout.nb_channels
        if now != (self.rate, self.channels):
            raise AudioError(
                f"{track.name}: changes at {frame.time or 0:.1f} s from {self.channels} channels "
                f"at {self.rate} Hz to {now[1]} at {now[0]} Hz; cut it there first"
            )
        try:
            samples = frame.to_ndarray()
        except ValueError as error:
            raise AudioError(
                f"{track.name}: cannot read samples of the format {frame.format.name}"
            ) from error
        return samples.T if frame.format.is_planar else samples.reshape(-1, self.channels)

    def _n_per_unit(self, track: Track) -> float:
        return float(track.stream.time_base or 0) * self.rate

    def _surplus(self, track: Track, last: "AudioFrame", n_samples: int) -> int:
        """Samples behind the end: the encoder's padding, which FFmpeg does not remove."""
        if track.format != "mov":
            return 0
        shown = last.duration and round(last.duration * self._n_per_unit(track))
        surplus = max(0, last.samples - (shown or last.samples))
        if track.stream.duration and track.movie and (scale := track.movie.time_scale):
            end = round(track.stream.duration * self._n_per_unit(track))
            rounding = 0 if scale % self.rate == 0 else math.ceil(self.rate / scale)
            surplus = max(surplus, n_samples - end - rounding)
        return surplus

    def _promised_s(self, track: Track) -> float:
        """Length in seconds by the headers; 0 if they do not state it."""
        stream, container = track.stream, track.container
        if track.format not in TELL_LENGTH:
            return 0.0
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if "DURATION" in stream.metadata:  # of Matroska; ends with the track
            return _seconds(stream.metadata["DURATION"]) - (stream.start_time or 0) * float(
                stream.time_base or 0
            )
        if len(container.streams) == 1 and container.duration:
            return container.duration / 1e6
        return 0.0

    def _tell(self, name: str, damage: Damage) -> None:
        if (what := str(damage)) and not self.has_told:
            self.has_told = True
            warnings.warn(f"{name}: {what}; what is there is used", CutAudioWarning, stacklevel=2)

    # Jumps

    def _grid(self) -> _FrameGrid | None:
        """Scan all packets once, without decoding them; None if they are irregular."""
        if not self.grids:
            with open_track(*self.source) as track:
                grid = self._first_grid(track) if track.format in TELL_TIME else None
            if grid is not None:
                with open_track(*self.source) as track:
                    grid = grid if _is_regular(track, grid) else None
            self.grids.append(grid)
        return self.grids[0]

    def _first_grid(self, track: Track) -> _FrameGrid | None:
        """The grid on which the first frames lie, if they do."""
        frames = list(islice(frames_of(track, Damage()), 6))
        if len(frames) < 6 or frames[1].pts is None:
            return None
        grid = _FrameGrid(
            frames[1].pts, frames[0].samples, frames[1].samples, self._n_per_unit(track)
        )
        in_place = [
            grid.index(frame.pts) == i and frame.samples == grid.n_samples
            for i, frame in enumerate(frames[1:])
        ]
        return grid if all(in_place) and grid.first <= grid.n_samples else None

    def _jumped(
        self, track: Track, grid: _FrameGrid, start: int, damage: Damage
    ) -> tuple[int, Iterator["AudioFrame"]] | None:
        """Return where the frame with sample `start` begins, and the frames from it on.

        None if the jump landed too late.
        """
        import av

        preroll = round(PREROLL_S * self.rate)
        try:
            with track.file.watching():
                track.container.seek(grid.pts_of(start - preroll), stream=track.stream)
        except av.FFmpegError:
            return None
        frames, first = frames_of(track, damage), None
        for frame in frames:
            position = grid.sample(frame.pts)
            if position is None:  # Opus drops a part of the first frame after a jump
                continue
            first = position if first is None else first
            if first > start - preroll // 2:
                return None
            if position + frame.samples > start:
                return position, chain([frame], frames)
        return None if first is None else (start, iter(()))  # the sound ends before `start`


class _Gaps:
    """Notes in `damage` where time stamps jump ahead of the samples."""

    def __init__(self, rate: int, n_per_unit: float, damage: Damage) -> None:
        self.rate, self.n_per_unit, self.damage = rate, n_per_unit, damage
        self.ahead: float | None = None  # of the samples, by the last time stamp; in samples

    def look(self, pts: int | None, position: int) -> None:
        """Look at the next frame, by its time stamp and the sample at which it begins."""
        if pts is None:
            return
        ahead = pts * self.n_per_unit - position
        if self.ahead is not None and (gap_s := (ahead - self.ahead) / self.rate) > GAP_S:
            self.damage.n_gaps += 1
            self.damage.gaps_s += gap_s
        self.ahead = ahead


def _is_regular(track: Track, grid: _FrameGrid) -> bool:
    """Whether all packets, from the grid's first on, follow each other without a gap."""
    import av

    n_seen = 0
    try:
        with track.file.watching():
            for packet in track.container.demux(track.stream):
                if packet.size and (n_seen or packet.pts == grid.pts):
                    if grid.index(packet.pts) != n_seen:
                        return False
                    n_seen += 1
    except av.FFmpegError:
        return False
    return n_seen > 0 and not track.file.error


def _seconds(clock: str) -> float:
    """Parse '01:02:03.5'; 0 for anything else."""
    try:
        hours, minutes, seconds = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0
