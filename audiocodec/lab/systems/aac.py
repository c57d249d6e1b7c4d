"""AAC-LC by ffmpeg's own encoder, in .m4a files."""

from typing import ClassVar

from audiocodec.lab.systems.programs import FfmpegCodec


class Aac(FfmpegCodec):
    """AAC; the decoder takes the delay off by the container's edit list.

    The sample rates are, of 8, 16, 22.05, 32 and 44.1 kHz, those with the best ViSQOL over five
    clips of speech, music and environment. A frame of 1024 samples has a least size: at 44.1 kHz
    the encoder does not go below 17 kbps, at 16 kHz it comes down to 10. Of a file's rate the
    container's table of frames makes 0.5 (at 16 kHz) to 1.4 kbps (at 44.1 kHz).
    """

    title, encoder, suffix = "AAC", "aac", ".m4a"
    asked_kbps = (8, 16, 24, 32)
    rate_of_kbps: ClassVar = {8: 16000, 16: 22050, 24: 32000, 32: 44100, 48: 44100, 64: 44100}
