"""A micro model and audio for it, shared by the tests of training."""

from dataclasses import replace

import torch
from torch import Tensor

from audiocodec import ModelConfig
from audiocodec.lab.train.discriminators import DiscriminatorConfig
from audiocodec.lab.train.settings import (
    LossSettings,
    Optimisation,
    QuantizerTraining,
    Running,
    TrainSettings,
)
from audiocodec.model.network import DAC

CONFIG = ModelConfig(
    sample_rate=16000,
    encoder_dim=4,
    encoder_strides=(4, 8),
    decoder_dim=32,
    decoder_strides=(8, 4),
    n_codebooks=3,
    codebook_size=16,
)
CRITICS = DiscriminatorConfig(periods=(2,), fft_sizes=(512,), period_width=2, band_width=4)
SETTINGS = TrainSettings(
    LossSettings(complex_weight=5.0),
    Optimisation(steps=6, batch_size=2, lr=3e-3, average=0.5),
    QuantizerTraining(),
    Running(save_every=3, log_every=2, validate_every=3, listen_every=3),
)


def chords(step: int) -> Tensor:
    """Two chords, (2, 1, 2048), the same at every step but for noise."""
    generator = torch.Generator().manual_seed(step)
    time_s = torch.arange(2048) / CONFIG.sample_rate
    hz = torch.tensor([[220.0, 330.0], [440.0, 550.0]])[..., None]
    tones = 0.2 * torch.sin(2 * torch.pi * hz * time_s).sum(dim=1, keepdim=True)
    return tones + 0.01 * torch.randn(2, 1, 2048, generator=generator)


def settings(**changed: object) -> TrainSettings:
    """SETTINGS with some values changed, wherever they belong."""
    parts = {}
    for name in ("losses", "optimisation", "quantizer", "running"):
        part = getattr(SETTINGS, name)
        own = {key: value for key, value in changed.items() if hasattr(part, key)}
        parts[name] = replace(part, **own)
    return TrainSettings(**parts)


def made(seed: int = 0) -> DAC:
    """The model with seeded weights."""
    torch.manual_seed(seed)
    return DAC(CONFIG)


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Seeded Gaussian noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
