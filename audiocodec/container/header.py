"""The header of a .dac file: all that a decoder needs, checked when made and when read.

Follows FORMAT.md, which wins where they differ.
"""

import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from audiocodec.container.codespace import RATES, CodeSpace, check_bounds
from audiocodec.errors import (
    ArgumentError,
    DamagedHeader,
    NotADacFile,
    TruncatedFile,
    UnsupportedVersion,
    quoted,
)
from audiocodec.files import read_exactly

MAGIC = b"\x89DAC\r\n\x1a\n"
VERSION = 1
MAX_BODY_BYTES = 2**20
MAX_CHANNELS = 8
MAX_FRAMES = 2**32 - 1
MAX_TAGS = 65535
GAINS = 1e-30, 1e30  # so that the gain and its inverse are float32 numbers
UNKNOWN = 2**64 - 1
ALIGNMENTS = ("aligned", "published")

_START = struct.Struct("<8sBI")  # magic, version, length of the body
_FIXED = struct.Struct("<16sIIIBBIBQd")
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Header(CodeSpace):
    """The header of a .dac file: the code space of its codes, and all else that decoding needs.

    sample_rate, channels, n_samples: of the sound that was compressed. n_samples is None if the
        length was not known when the header was written; the end record has it then.
    n_codebooks: the most that a block has. gain: linear, applied before encoding.
    alignment: of the decoder's odd strides (see ModelConfig).
    Raises ArgumentError for values out of bounds.
    """

    sample_rate: int
    channels: int
    n_samples: int | None
    n_codebooks: int
    gain: float = 1.0
    alignment: str = "aligned"
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(
            self,
            ("sample_rate", *RATES),
            ("channels", 1, MAX_CHANNELS),
            ("n_codebooks", 1, 255),
        )
        if self.n_samples is not None and (
            self.n_samples < 0 or self.frames_of(self.n_samples) > MAX_FRAMES
        ):
            raise ArgumentError(
                f"n_samples is {self.n_samples}; it must be 0 or more, and at most "
                f"{MAX_FRAMES} frames"
            )
        if not (math.isfinite(self.gain) and GAINS[0] <= self.gain <= GAINS[1]):
            raise ArgumentError(f"gain is {self.gain}; it must be {GAINS[0]} to {GAINS[1]}")
        if self.alignment not in ALIGNMENTS:
            raise ArgumentError(
                f"alignment {quoted(self.alignment)} is none of {', '.join(ALIGNMENTS)}"
            )
        if len(self.tags) > MAX_TAGS:
            raise ArgumentError(f"{len(self.tags)} tags; at most {MAX_TAGS} fit")
        for key, value in self.tags.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise ArgumentError(
                    f"tag {quoted(key)} is {quoted(value)}; names and values must be text"
                )

    @property
    def nominal_kbps(self) -> float:
        """Bit rate of the codes alone, all channels."""
        bits = self.channels * self.n_codebooks * self.bits_per_code
        return self.frame_rate * bits / 1000

    @property
    def duration_s(self) -> float | None:
        """Length of the sound; None if unknown."""
        return None if self.n_samples is None else self.n_samples / self.sample_rate

    @property
    def n_model_samples(self) -> int | None:
        """Samples of the sound at the model's rate, rounded up; None if unknown."""
        return None if self.n_samples is None else self.model_samples_of(self.n_samples)

    @property
    def n_frames(self) -> int | None:
        """Frames that hold the sound, the last one zero-padded; None if unknown."""
        return None if self.n_samples is None else self.frames_of(self.n_samples)

    def model_samples_of(self, n_samples: int) -> int:
        """Samples at the model's rate for n_samples of the sound, rounded up."""
        return -(-n_samples * self.model_rate // self.sample_rate)

    def frames_of(self, n_samples: int) -> int:
        """Frames that hold n_samples of the sound."""
        return -(-self.model_samples_of(n_samples) // self.hop)

    def samples_of(self, n_frames: int) -> int:
        """Length in samples of the longest sound that n_frames frames hold."""
        return n_frames * self.hop * self.sample_rate // self.model_rate

    def to_bytes(self) -> bytes:
        """The header as stored in a file. Raises ArgumentError if the tags are too long."""
        body = _FIXED.pack(
            bytes.fromhex(self.fingerprint),
            self.model_rate,
            self.hop,
            self.sample_rate,
            self.channels,
            self.n_codebooks,
            self.codebook_size,
            ALIGNMENTS.index(self.alignment),
            UNKNOWN if self.n_samples is None else self.n_samples,
            self.gain,
        )
        body += _text(self.model) + struct.pack("<H", len(self.tags))
        body += b"".join(_text(key) + _text(value) for key, value in self.tags.items())
        if len(body) > MAX_BODY_BYTES:
            raise ArgumentError(
                f"the tags make a header of {len(body)} bytes; at most {MAX_BODY_BYTES} are allowed"
            )
        start = _START.pack(MAGIC, VERSION, len(body)) + body
        return start + _CRC.pack(zlib.crc32(start))


def read_header(file: BinaryIO, path: str) -> tuple[Header, int]:
    """Read a header from the start of a file; returns it and its length in bytes.

    Raises NotADacFile, UnsupportedVersion, TruncatedFile or DamagedHeader, naming the path.
    """
    start = read_exactly(file, _START.size)
    if start[: len(MAGIC)] != MAGIC[: len(start)] or not start:
        raise NotADacFile(f"{path}: is not a .dac file")
    if len(start) < _START.size:
        raise TruncatedFile(f"{path}: ends inside its header; nothing can be decoded")
    _, version, n_bytes = _START.unpack(start)
    if version != VERSION:
        raise UnsupportedVersion(
            f"{path}: is of format version {version}; this release reads version {VERSION}"
        )
    if n_bytes > MAX_BODY_BYTES:
        raise DamagedHeader(
            f"{path}: declares a header of {n_bytes} bytes; at most {MAX_BODY_BYTES} are allowed"
        )
    body = read_exactly(file, n_bytes + _CRC.size)
    if len(body) < n_bytes + _CRC.size:
        raise TruncatedFile(f"{path}: ends inside its header; nothing can be decoded")
    if zlib.crc32(start + body[:n_bytes]) != _CRC.unpack(body[n_bytes:])[0]:
        raise DamagedHeader(f"{path}: its header is damaged, so nothing can be decoded")
    try:
        return _parsed(body[:n_bytes]), len(start) + len(body)
    except (struct.error, IndexError, ValueError) as error:  # ArgumentError is a ValueError
        raise DamagedHeader(f"{path}: its header makes no sense: {error}") from error


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if len(raw) > 65535:
        raise ArgumentError(f"a text of {len(raw)} bytes; names and tags may have 65535")
    return struct.pack("<H", len(raw)) + raw


def _parsed(body: bytes) -> Header:
    """Ignores bytes after the known fields: later releases may add fields there."""
    fixed = _FIXED.unpack_from(body)
    position = _FIXED.size

    def text() -> str:
        nonlocal position
        (length,) = struct.unpack_from("<H", body, position)
        raw = body[position + 2 : position + 2 + length]
        if len(raw) < length:
            raise ValueError("a text goes beyond its end")
        position += 2 + length
        return raw.decode("utf-8")

    model = text()
    (n_tags,) = struct.unpack_from("<H", body, position)
    position += 2
    tags = {text(): text() for _ in range(n_tags)}
    fingerprint, model_rate, hop, rate, channels, n_codebooks, size, crop, n_samples, gain = fixed
    return Header(
        model=model,
        fingerprint=fingerprint.hex(),
        model_rate=model_rate,
        hop=hop,
        sample_rate=rate,
        channels=channels,
        n_samples=None if n_samples == UNKNOWN else n_samples,
        n_codebooks=n_codebooks,
        codebook_size=size,
        gain=gain,
        alignment=ALIGNMENTS[crop],
        tags=tags,
    )
