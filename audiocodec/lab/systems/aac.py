"""AAC-LC by ffmpeg's own encoder, in .m4a files."""

from typing import ClassVar

from audiocodec.lab.systems.programs import FfmpegCodec


class Aac(FfmpegCodec):
    """AAC; the decoder removes the encoder's delay by the container's edit list.

    Each bit rate has that sample rate, of 8, 16, 22.05, 32 and 44.1 kHz, which gave the best ViSQOL
    over five clips of speech, music and environment. A frame of 1024 samples has a minimum size, so
    the encoder does not go below 17 kbps at 44.1 kHz, or 10 kbps at 16 kHz. The container's table
    of frames takes 0.5 kbps (at 16 kHz) to 1.4 kbps (at 44.1 kHz) of the file's rate.
    """

    title, encoder, suffix = "AAC", "aac", ".m4a"
    asked_kbps = (8, 16, 24, 32)
    rate_of_kbps: ClassVar = {8: 16000, 16: 22050, 24: 32000, 32: 44100, 48: 44100, 64: 44100}
