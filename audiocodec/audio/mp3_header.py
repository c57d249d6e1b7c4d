"""Headers of MPEG audio frames, and the Xing, Info and VBRI headers that state their number.

Sources: ISO/IEC 11172-3 and 13818-3; LAME's description of its header, which libmpg123 reads.
"""

from dataclasses import dataclass

KBPS = {  # by (is MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATE_DIVISOR = {0: 4, 2: 2, 3: 1}  # by version bits: MPEG 2.5, 2, 1
KIND_BITS = 0xFE0C  # of the second and third byte: sync, version, layer and sample rate
DECODER_DELAY = 529  # samples of layer III
UNTRIMMED = DECODER_DELAY  # this padding in a LAME header cuts nothing off the end
XING_NAMES = (b"Xing", b"Info")
VBRI_AT = 36


@dataclass(frozen=True)
class FrameKind:
    """Properties that all frames of a stream share."""

    layer: int
    is_mpeg_1: bool
    is_mono: bool

    @property
    def n_samples(self) -> int:
        """Samples in one frame."""
        if self.layer == 1:
            return 384
        return 1152 if self.is_mpeg_1 or self.layer == 2 else 576

    @property
    def info_at(self) -> int:
        """Position of a Xing header in its frame: behind the side information of layer III."""
        if self.is_mpeg_1:
            return 4 + (17 if self.is_mono else 32)
        return 4 + (9 if self.is_mono else 17)


def _frame_bytes(word: int) -> int:
    """Length of a frame whose second and third byte are `word`; 0: no valid frame."""
    version, layer = word >> 11 & 3, 4 - (word >> 9 & 3)
    bit_rate, rate, padding = word >> 4 & 15, word >> 2 & 3, word >> 1 & 1
    if word >> 13 != 7 or version == 1 or layer == 4 or not 0 < bit_rate < 15 or rate == 3:
        return 0
    hz = (44100, 48000, 32000)[rate] // RATE_DIVISOR[version]
    kind = FrameKind(layer, version == 3, False)
    slot_bytes = 4 if layer == 1 else 1
    slots = kind.n_samples // 8 * 1000 * KBPS[kind.is_mpeg_1, layer][bit_rate - 1]
    return (slots // hz // slot_bytes + padding) * slot_bytes


FRAME_BYTES = [_frame_bytes(word) for word in range(0x10000)]  # by second and third byte


def frame_bytes(head: bytes | bytearray) -> int:
    """Length of the frame that begins with `head` (4 bytes or more); 0: no valid frame."""
    return FRAME_BYTES[head[1] << 8 | head[2]] if len(head) >= 4 and head[0] == 0xFF else 0


def kind_word(head: bytes) -> int:
    """The header bits that all frames of a stream share; the lowest one says whether it is mono."""
    return (head[1] << 8 | head[2]) & KIND_BITS | (head[3] >= 0xC0)


def frame_kind(word: int) -> FrameKind:
    """Decode a kind_word."""
    return FrameKind(4 - (word >> 9 & 3), word >> 11 & 3 == 3, bool(word & 1))


def is_info(frame: bytes, kind: FrameKind) -> bool:
    """Whether a frame holds a Xing, Info or VBRI header instead of sound."""
    if kind.layer != 3:
        return False
    return frame[kind.info_at :][:4] in XING_NAMES or frame[VBRI_AT:][:4] == b"VBRI"


def n_promised(frame: bytes, kind: FrameKind) -> int | None:
    """The number of frames that a Xing, Info or VBRI header states; None if it states none."""
    xing = frame[kind.info_at :]
    if xing[:4] not in XING_NAMES:
        at = VBRI_AT + 14
    elif len(xing) > 7 and xing[7] & 1:
        at = kind.info_at + 8
    else:
        return None
    return int.from_bytes(frame[at : at + 4], "big") or None


def true_info(frame: bytes, kind: FrameKind, n_frames: int, n_bytes: int, trim: bool) -> bytes:
    """A Xing or Info header with the true numbers of frames and of bytes, those of sound.

    trim: keep the encoder's padding, which is cut off the end; a truncated file has none.
    """
    xing = frame[kind.info_at :]
    if xing[:4] not in XING_NAMES or len(xing) < 16 or not xing[7] & 1:
        return new_info(frame, kind, n_frames, [silent_frame(frame, kind)])
    result, at, padding_at = bytearray(frame), kind.info_at + 8, _delay_at(frame, kind) + 1
    result[at : at + 4] = n_frames.to_bytes(4, "big")
    if xing[7] & 2:
        result[at + 4 : at + 8] = (n_bytes + len(frame)).to_bytes(4, "big")
    if not trim and len(result) >= padding_at + 2:
        delay_end = result[padding_at] & 0xF0
        result[padding_at : padding_at + 2] = (delay_end << 8 | UNTRIMMED).to_bytes(2, "big")
    return bytes(result)


def new_info(frame: bytes, kind: FrameKind, n_frames: int, silent: list[bytes]) -> bytes:
    """A header for frames of the kind of `frame`, and silent frames, which are cut off as delay.

    At least one: libmpg123 cuts DECODER_DELAY off the start of any file with such a header.
    """
    numbers = (1).to_bytes(4, "big") + (n_frames + len(silent)).to_bytes(4, "big")
    trim = len(silent) * kind.n_samples - DECODER_DELAY << 12 | UNTRIMMED
    lame = b"LAME".ljust(21, b"\0") + trim.to_bytes(3, "big")
    result = bytearray(silent_frame(frame, kind))
    result[kind.info_at : kind.info_at + 36] = b"Xing" + numbers + lame
    return bytes(result) + b"".join(silent)


def silent_frame(frame: bytes, kind: FrameKind) -> bytes:
    """The shortest silent frame of the kind of `frame` that a Xing header fits."""
    head = bytearray(frame[:4])
    head[1] |= 1  # no checksum
    for bit_rate in range(1, 15):
        head[2] = bit_rate << 4 | head[2] & 0x0C
        if frame_bytes(head) >= kind.info_at + 64:
            break
    return bytes(head).ljust(frame_bytes(head), b"\0")


def muted(frame: bytes, kind: FrameKind) -> bytes:
    """Silence a frame, but keep its bit reservoir for the frames that follow."""
    n_checksum = 0 if frame[1] & 1 else 2
    side = bytearray(kind.info_at - 4)
    side[:2] = frame[4 + n_checksum : 6 + n_checksum]
    if kind.is_mpeg_1:
        side[1] &= 0x80
    else:
        side[1] = 0
    head = bytes([frame[0], frame[1] | 1, *frame[2:4]])
    return head + bytes(side) + bytes(n_checksum) + frame[kind.info_at + n_checksum :]


def _delay_at(frame: bytes, kind: FrameKind) -> int:
    """Position of the delay and the padding, 12 bits each, in the LAME header."""
    flags = frame[kind.info_at + 7]
    n_numbers = (flags & 1) + (flags >> 1 & 1) + (flags >> 3 & 1)
    return kind.info_at + 8 + 4 * n_numbers + 100 * (flags >> 2 & 1) + 21


def n_ahead_trimmed(frame: bytes, kind: FrameKind) -> int:
    """How many samples libmpg123 cuts off the start of a file with this Xing header."""
    at = _delay_at(frame, kind)
    return (int.from_bytes(frame[at : at + 3], "big") >> 12) + DECODER_DELAY


def needs_none_before(frame: bytes, kind: FrameKind) -> bool:
    """Whether a frame of layer III uses no bits of earlier ones, as the first frame must."""
    at = 4 if frame[1] & 1 else 6
    side = int.from_bytes(frame[at : at + 2], "big")
    return side >> (7 if kind.is_mpeg_1 else 8) == 0


def tag_bytes(head: bytes) -> int:
    """Length of the ID3 or APE tag that begins with `head` (32 bytes or more); 0: no tag."""
    if head.startswith(b"ID3") and len(head) >= 10 and max(head[6:10]) < 0x80:
        size = int.from_bytes(head[6:10], "big")
        size = size & 0x7F | size >> 1 & 0x3F80 | size >> 2 & 0x1FC000 | size >> 3 & 0xFE00000
        return 10 + size + 10 * (head[5] >> 4 & 1)
    if head.startswith(b"APETAGEX") and len(head) >= 32:
        is_header = head[23] >> 5 & 1
        return 32 + int.from_bytes(head[12:16], "little") * is_header
    if head.startswith(b"TAG+"):
        return 227
    return 128 * head.startswith(b"TAG")
