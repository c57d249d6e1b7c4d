"""From sound to codes: measure the programme, then resample, scale and encode it in one pass.

May import: torch, numpy, engine, container, audio, errors.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from audiocodec.audio import AudioSource, LoudnessMeter, normalizing_gain, resampled
from audiocodec.container import Header
from audiocodec.engine import StreamEncoder
from audiocodec.errors import AudioError

Progress = Callable[[int, int], None]  # samples done, samples in all


@dataclass(frozen=True)
class Measured:
    """What must be known of a programme before its first sample is encoded."""

    n_samples: int  # at its own rate
    gain: float  # linear


def measure(audio: AudioSource, model_rate: int, normalize: bool) -> Measured:
    """Read the programme once: its length and, if it is to be normalized, its gain.

    Loudness and peak are those at the model's rate, as the published tool measures them.
    Raises AudioError for a programme without samples.
    """
    n_samples = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal n_samples
        for block in audio.blocks():
            n_samples += len(block)
            yield block

    gain = 1.0
    if normalize:
        meter = LoudnessMeter(model_rate, audio.channels)
        for block in resampled(counted(), audio.sample_rate, model_rate, audio.channels):
            meter.push(block)
        gain = normalizing_gain(meter.integrated(), meter.peak)
    else:
        for _ in counted():
            pass
    if not n_samples:
        raise AudioError(f"{audio.name}: holds no samples")
    return Measured(n_samples, gain)


def codes_of(
    audio: AudioSource, header: Header, stream: StreamEncoder, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Encode the programme; yields uint16 (channels, n_codebooks, some frames), in order."""
    n_total = header.n_model_samples or 0
    gain = np.float32(header.gain)
    for block in resampled(audio.blocks(), header.sample_rate, header.model_rate, header.channels):
        samples = torch.from_numpy(np.ascontiguousarray(block.T) * gain)
        yield _stored(stream.push(samples[:, None]))
        if progress:
            progress(stream.n_samples, n_total)
    yield _stored(stream.flush())


def _stored(codes: torch.Tensor) -> np.ndarray:
    return codes.numpy().astype(np.uint16)
