"""From audio to codes: measure the programme, then resample, scale and encode it in one pass."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from audiocodec.audio import AudioSource, LoudnessMeter, normalizing_gain, resampled
from audiocodec.container import Header
from audiocodec.engine import AnyEncoder
from audiocodec.errors import AudioError

SMALLEST_GAIN = 1e-20  # samples that need a smaller gain are not audio
Progress = Callable[[int, int], None]  # samples done, total


@dataclass(frozen=True)
class Measured:
    """What must be known of a programme before it is encoded."""

    n_samples: int  # at its own rate
    gain: float  # linear


def measure(audio: AudioSource, model_rate: int, normalize: bool) -> Measured:
    """Measure the length of the programme and, if it is normalized, its gain.

    Without normalization nothing is read if the length is already proved. Loudness and peak are
    measured at the model's rate, as the published tool does.
    Raises AudioError for a programme without samples, or with peaks far beyond full scale.
    """
    gain = 1.0
    if normalize:
        n_samples, gain = _length_and_gain(audio, model_rate)
    else:
        n_samples = audio.length()
    if not n_samples:
        raise AudioError(f"{audio.name}: holds no samples")
    return Measured(n_samples, gain)


def _length_and_gain(audio: AudioSource, model_rate: int) -> tuple[int, float]:
    """Read the programme once. Raises AudioError for peaks far beyond full scale."""
    n_samples = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal n_samples
        for block in audio.blocks():
            n_samples += len(block)
            yield block

    meter = LoudnessMeter(model_rate, audio.channels, audio.speakers)
    for block in resampled(counted(), audio.sample_rate, model_rate, audio.channels):
        meter.push(block)
    gain = normalizing_gain(meter.integrated(), meter.peak)
    if gain < SMALLEST_GAIN:
        raise AudioError(
            f"{audio.name}: peaks at {meter.peak:g}, and full scale is 1; scale it down to that"
        )
    return n_samples, gain


def model_blocks(audio: AudioSource, header: Header) -> Iterator[np.ndarray]:
    """Yield the programme as the network takes it, float32 (channels, any number), in order."""
    gain = np.float32(header.gain)
    for block in resampled(audio.blocks(), header.sample_rate, header.model_rate, header.channels):
        yield np.ascontiguousarray(block.T) * gain


def codes_of(
    blocks: Iterable[np.ndarray], header: Header, stream: AnyEncoder, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Encode model_blocks(); yield uint16 (channels, n_codebooks, some frames), in order."""
    n_total = header.n_model_samples or 0
    for block in blocks:
        yield _stored(stream.push(torch.from_numpy(block)[:, None]))
        if progress:
            progress(stream.n_samples, n_total)
    yield _stored(stream.flush())


def _stored(codes: torch.Tensor) -> np.ndarray:
    return codes.numpy().astype(np.uint16)
