"""MP3 by LAME, through ffmpeg, at constant bit rates."""

from typing import ClassVar

from audiocodec.lab.systems.programs import FfmpegCodec


class Mp3(FfmpegCodec):
    """MP3 without tags but LAME's own, by which the decoder takes the delay and the padding off.

    The sample rates are those that lame 3.100 itself chooses for mono (`lame -m m -b KBPS`).
    ffmpeg alone would keep 44.1 kHz and silently make 32 kbps, the least of MPEG-1 layer III.
    """

    title, encoder, suffix = "MP3", "libmp3lame", ".mp3"
    asked_kbps = (8, 16, 24, 32)
    rate_of_kbps: ClassVar = {8: 8000, 16: 16000, 24: 16000, 32: 22050, 48: 32000, 64: 44100}
