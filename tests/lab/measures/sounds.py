"""Test signals for the metrics."""

import numpy as np
import torch


def syllables(n_samples: int, rate: int) -> np.ndarray:
    """Harmonics that swell and fade four times a second, as speech does."""
    time_s = np.arange(n_samples) / rate
    pitch = 2 * np.pi * (120 * time_s + 15 * np.sin(3 * time_s))
    voice = sum(np.sin(n * pitch) / n for n in range(1, 20))
    return (0.1 * voice * np.clip(np.sin(25 * time_s), 0, 1)).astype(np.float32)


def hiss(n_samples: int, seed: int = 0) -> np.ndarray:
    """Seeded white noise at -40 dB."""
    return 0.01 * np.random.default_rng(seed).standard_normal(n_samples, np.float32)


def tone(n_samples: int, period: float, phase: float = 0.0) -> np.ndarray:
    """A sinusoid of half full scale; period in samples, phase in radians."""
    return (0.5 * np.sin(2 * np.pi * np.arange(n_samples) / period + phase)).astype(np.float32)


def as_batch(audio: np.ndarray) -> torch.Tensor:
    """(1, 1, n_samples)"""
    return torch.from_numpy(audio)[None, None]
