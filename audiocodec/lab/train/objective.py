"""The generator's objective: its losses by name, and their weighted sum."""

import torch
from torch import Tensor

from audiocodec.lab.measures import spectral
from audiocodec.lab.measures.waveform import waveform_l1
from audiocodec.lab.train.settings import LossSettings, numbers
from audiocodec.model.network import Trained

Parts = dict[str, Tensor]  # losses by name, unweighted


class Objective:
    """The losses of a forward pass and their weighted sum (paper, sections 3.4 to 3.6)."""

    def __init__(self, settings: LossSettings, sample_rate: int) -> None:
        self.settings, self.sample_rate = settings, sample_rate
        self.windows, self.bins = numbers(settings.mel_windows), numbers(settings.mel_bins)

    def weights(self, step: int) -> dict[str, float]:
        """Weight of every loss at a step, by name."""
        s = self.settings
        return {
            "mel": s.mel_weight * min(1.0, (step + 1) / (s.mel_ramp + 1)),
            "stft": s.stft_weight,
            "waveform": s.waveform_weight,
            "complex": s.complex_weight,
            "commitment": s.commitment_weight,
            "codebook": s.codebook_weight,
            "adversarial": s.adversarial_weight,
            "feature": s.feature_weight,
        }

    def reconstruction(self, made: Trained, audio: Tensor) -> Parts:
        """All losses but the adversarial ones, for audio (B, 1, T).

        Mel and waveform losses are computed even with weight 0, for the log.
        """
        s, estimate = self.settings, made.audio
        parts = {
            "mel": spectral.mel_loss(estimate, audio, self.sample_rate, self.windows, self.bins),
            "waveform": waveform_l1(estimate, audio),
            "commitment": made.quantized.commitment_loss,
            "codebook": made.quantized.codebook_loss,
        }
        if s.stft_weight:
            parts["stft"] = spectral.stft_loss(estimate, audio)
        if s.complex_weight:
            parts["complex"] = spectral.complex_loss(
                estimate, audio, self.sample_rate, exponent=s.complex_exponent
            )
        return parts

    def total(self, parts: Parts, step: int) -> Tensor:
        """The weighted sum of losses at a step, a scalar."""
        weights = self.weights(step)
        return torch.stack([weights[name] * loss for name, loss in parts.items()]).sum()
