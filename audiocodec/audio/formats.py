"""Which file names look like sound or video, and which of these can be read here."""

import os
from importlib.util import find_spec

# fmt: off
# What libsndfile reads; it tells the formats apart by their headers.
LIBSNDFILE_SUFFIXES = (
    ".wav", ".wave", ".bwf", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mp1", ".mpga",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".voc", ".sph", ".nist",
)
# What only FFmpeg reads. Not .ts, which is TypeScript more often than an MPEG transport stream.
FFMPEG_SUFFIXES = (
    ".m4a", ".m4b", ".m4r", ".aac", ".adts", ".wma", ".mka", ".weba", ".spx", ".amr", ".awb",
    ".3ga", ".ac3", ".eac3", ".ec3", ".dts", ".ape", ".wv", ".tta", ".tak", ".mpc", ".shn", ".ra",
    ".dsf", ".dff", ".gsm", ".qcp", ".alac",
    ".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".mpg",
    ".mpeg", ".vob", ".m2ts", ".mts", ".ogv", ".ogx", ".3gp", ".3g2", ".rm", ".rmvb", ".mxf",
)
# fmt: on
MEDIA_SUFFIXES = LIBSNDFILE_SUFFIXES + FFMPEG_SUFFIXES


def has_ffmpeg() -> bool:
    """Whether PyAV, which brings FFmpeg's libraries, is installed; it is not imported for that."""
    return find_spec("av") is not None


def readable_suffixes() -> tuple[str, ...]:
    """Suffixes, in lower case, of the files that can be read with what is installed."""
    return MEDIA_SUFFIXES if has_ffmpeg() else LIBSNDFILE_SUFFIXES


def looks_like_media(path: str | os.PathLike[str]) -> bool:
    """Whether a file is sound or video by its name; case does not matter."""
    return os.path.splitext(os.fspath(path))[1].lower() in MEDIA_SUFFIXES
