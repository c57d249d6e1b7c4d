"""Opens containers with PyAV (FFmpeg's libraries) and decodes audio, also of hostile files.

FFmpeg opens no other file or address, reads a bounded number of bytes, and prints nothing.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from audiocodec.audio.mp4_boxes import Movie, read_movie
from audiocodec.audio.sndfile import ErrorTrackingFile
from audiocodec.audio.source import UnknownFormat, check_layout
from audiocodec.errors import AudioError
from audiocodec.files import file_errors, read_exactly

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

# Containers for which FFmpeg opens no other file: no playlists (hls, dash, concat), images or
# subtitles. None of them accepts arbitrary bytes as sound.
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,matroska,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,mxf,nut,ogg,qcp,rm,tak,truehd,tta,voc,w64,wav,wv"
)
# Audio decoders only: FFmpeg would decode pictures to probe a file.
DECODERS = (
    "aac,alac,amrnb,amrwb,ape,atrac3,atrac3p,cook,dca,eac3,ac3,flac,gsm,gsm_ms,mlp,mp1,mp1float,"
    "mp2,mp2float,mp3,mp3float,mpc7,mpc8,opus,qcelp,ra_144,ra_288,sipr,speex,tak,truehd,tta,vorbis,"
    "wavpack,wmalossless,wmapro,wmav1,wmav2,wmavoice,pcm_alaw,pcm_bluray,pcm_dvd,pcm_f32be,"
    "pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,pcm_s24be,pcm_s24le,pcm_s32be,"
    "pcm_s32le,pcm_s8,pcm_u8,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,dsd_lsbf,"
    "dsd_lsbf_planar,dsd_msbf,dsd_msbf_planar"
)
# By number of channels, in the order of WAVE
LAYOUTS = ("", "mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
BYTES_READ = 100  # per byte of the file, at most; seeking costs many
SPARE_BYTES = 2**26


class _GuardedFile(ErrorTrackingFile):
    """Limits how much FFmpeg can read in all; never returns more bytes than asked for."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.n_left = BYTES_READ * self.seek(0, 2) + SPARE_BYTES
        self.seek(0)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self._sought, offset, whence)

    def _sought(self, offset: int, whence: int) -> int:
        try:
            self.file.seek(offset, whence)
        except (OSError, ValueError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL  # an impossible position, which FFmpeg can handle
        return self.file.tell()

    def read(self, n_bytes: int) -> bytes:
        return self._try(self._read, n_bytes) or b""

    def _read(self, n_bytes: int) -> bytes:
        data = read_exactly(self.file, n_bytes)[:n_bytes]
        self.n_left -= len(data)
        if self.n_left < 0:
            raise OSError("it makes FFmpeg read the same bytes again and again")
        return data


def _refuse(url: str, flags: int, options: Any) -> BinaryIO:
    raise OSError("a sound file may not name others to open")


@dataclass
class Damage:
    """Sound that one reading could not recover."""

    n_packets: int = 0
    first_packet_s: float = 0.0
    n_gaps: int = 0
    gaps_s: float = 0.0
    end_s: float = 0.0

    def add_packet(self, at_s: float) -> None:
        """Note a packet, `at_s` seconds into the sound, that cannot be decoded."""
        self.first_packet_s = self.first_packet_s if self.n_packets else at_s
        self.n_packets += 1

    def __str__(self) -> str:
        parts = []
        if self.n_packets:
            parts.append(f"{self.n_packets} damaged packets, from {self.first_packet_s:.1f} s on")
        if self.n_gaps:
            parts.append(f"{self.gaps_s:.2f} s missing in {self.n_gaps} places")
        if self.end_s:
            parts.append(f"{self.end_s:.1f} s missing at the end")
        return ", ".join(parts)


@dataclass(frozen=True)
class Track:
    """An audio track of a container, open for one reading."""

    name: str
    file: _GuardedFile
    container: "InputContainer"
    stream: "AudioStream"
    movie: Movie | None

    @property
    def format(self) -> str:
        return self.container.format.name.split(",")[0]


@contextmanager
def open_track(file: BinaryIO, name: str, track: int | None) -> Iterator[Track]:
    """Open an audio track from its start; closed when the block ends.

    Raises UnknownFormat, or AudioError for a file that cannot be used.
    """
    from av.stream import Discard

    with file_errors(name):
        movie = read_movie(file)
        n_bytes = file.seek(0, 2)
    if movie and not movie.has_index:
        raise AudioError(f"{name}: cut short: its index (moov), which comes last, is missing")
    if movie and movie.n_samples > n_bytes:
        raise AudioError(f"{name}: declares {movie.n_samples} packets but has only {n_bytes} bytes")
    guarded = _GuardedFile(file)
    container = _container(guarded, name)
    try:
        tracks = container.streams.audio
        if not 1 <= (track or 1) <= len(tracks):
            raise AudioError(
                f"{name}: has {len(tracks) or 'no'} audio track(s), no number {track or 1}"
            )
        stream = tracks[(track or 1) - 1]
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        _prepare(stream, name)
        yield Track(name, guarded, container, stream, movie)
    finally:
        container.close()


def _prepare(stream: "AudioStream", name: str) -> None:
    """Set up the decoder of a track. Raises AudioError where there is none for it."""
    codec = stream.codec_context
    if codec is None or codec.name not in DECODERS.split(","):
        raise AudioError(f"{name}: no decoder for its sound, {codec.name if codec else 'unknown'}")
    _check_extradata(name, codec.extradata)
    n_channels = codec.channels
    check_layout(name, codec.sample_rate, n_channels)
    # PyAV 18 frees a custom list of speakers twice, so a standard layout always replaces it
    codec.layout = LAYOUTS[n_channels]
    codec.thread_count = 1


def _check_extradata(name: str, extradata: bytes | None) -> None:
    """Refuse xHE-AAC (object type 42, ISO/IEC 14496-3), whose decoder makes such lists itself."""
    start = int.from_bytes((extradata or b"")[:2].ljust(2, b"\0"))
    if start >> 5 == (31 << 6) + 42 - 32:
        raise AudioError(f"{name}: xHE-AAC cannot be read; convert it to WAV or FLAC first")


def _container(guarded: _GuardedFile, name: str) -> "InputContainer":
    import av

    options = {
        "format_whitelist": FORMATS,
        "codec_whitelist": DECODERS,
        "protocol_whitelist": "none",
    }
    try:
        with guarded.watching():
            container = av.open(
                guarded,
                mode="r",
                container_options=options,
                metadata_errors="replace",
                io_open=_refuse,
            )
    except (av.FFmpegError, ValueError, RuntimeError, MemoryError) as error:
        if guarded.error:
            raise AudioError(f"{name}: cannot be read: {guarded.error}") from error
        raise UnknownFormat(f"FFmpeg: {getattr(error, 'strerror', None) or error}") from error
    return container


def frames_of(track: Track, damage: Damage) -> Iterator["AudioFrame"]:
    """Decode packets from the current position on; notes damaged ones and skips them."""
    import av

    packets, last_s = track.container.demux(track.stream), 0.0
    while not track.file.error:
        try:
            with track.file.watching():
                packet = next(packets, None)
                frames = _decoded(track, packet) if packet else []
        except (av.FFmpegError, ValueError, RuntimeError):
            damage.add_packet(last_s)
            continue
        if packet is None:
            return
        for frame in frames:
            last_s = frame.time or last_s
            yield frame
    raise AudioError(f"{track.name}: cannot be read: {track.file.error}")


def _decoded(track: Track, packet: "Packet") -> list["AudioFrame"]:
    if packet.has_sidedata("new_extradata"):
        _check_extradata(track.name, bytes(packet.get_sidedata("new_extradata")))
    return packet.decode()  # type: ignore[return-value]
