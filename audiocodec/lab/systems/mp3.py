"""MP3 by LAME, through ffmpeg, at constant bit rates."""

from typing import ClassVar

from audiocodec.lab.systems.programs import FfmpegCodec


class Mp3(FfmpegCodec):
    """MP3 with no tag but LAME's own, by which the decoder removes delay and padding.

    The sample rates are those that lame 3.100 chooses for mono (`lame -m m -b KBPS`). ffmpeg alone
    would keep 44.1 kHz and silently write 32 kbps, the minimum of MPEG-1 layer III.
    """

    title, encoder, suffix = "MP3", "libmp3lame", ".mp3"
    asked_kbps = (8, 16, 24, 32)
    rate_of_kbps: ClassVar = {8: 8000, 16: 16000, 24: 16000, 32: 22050, 48: 32000, 64: 44100}
