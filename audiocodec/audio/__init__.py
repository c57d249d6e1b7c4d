"""Samples in and out: sound files, sample rates, loudness."""

from audiocodec.audio.io import AudioSource, CutAudioWarning, open_audio
from audiocodec.audio.loudness import LoudnessMeter, normalizing_gain
from audiocodec.audio.output import AudioWriter, audio_output, write_audio
from audiocodec.audio.resample import Resampler, input_range, resampled, resampled_length

__all__ = [
    "audio_output",
    "AudioSource",
    "AudioWriter",
    "CutAudioWarning",
    "input_range",
    "LoudnessMeter",
    "normalizing_gain",
    "open_audio",
    "resampled",
    "resampled_length",
    "Resampler",
    "write_audio",
]
