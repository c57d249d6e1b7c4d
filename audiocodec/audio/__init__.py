"""Samples in and out: sound files, sample rates, loudness."""

from audiocodec.audio.loudness import LoudnessMeter, normalizing_gain
from audiocodec.audio.open import open_audio
from audiocodec.audio.output import AudioWriter, audio_output, file_rate, write_audio
from audiocodec.audio.resample import Resampler, input_range, resampled, resampled_length
from audiocodec.audio.source import AudioSource, CutAudioWarning

__all__ = [
    "audio_output",
    "AudioSource",
    "AudioWriter",
    "CutAudioWarning",
    "file_rate",
    "input_range",
    "LoudnessMeter",
    "normalizing_gain",
    "open_audio",
    "resampled",
    "resampled_length",
    "Resampler",
    "write_audio",
]
