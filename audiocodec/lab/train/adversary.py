"""The discriminators in training: their own loss, and the generator's against them."""

import torch
from torch import Tensor

from audiocodec.lab.train import distributed
from audiocodec.lab.train.adversarial import (
    Activations,
    discriminator_loss,
    feature_loss,
    generator_loss,
)
from audiocodec.lab.train.discriminators import Discriminators
from audiocodec.lab.train.objective import Parts


class Adversary:
    """Discriminators at the chosen precision, run on decoded audio and recordings in one batch."""

    def __init__(self, discriminators: Discriminators, precision: str) -> None:
        self.discriminators, self.bf16 = discriminators.train(), precision == "bfloat16"
        self._shared = distributed.shared(discriminators)  # for own_loss alone

    def own_loss(self, decoded: Tensor, audio: Tensor) -> Tensor:
        """The discriminators' loss for audio (B, 1, T); no gradient reaches the generator."""
        self.discriminators.requires_grad_(True)
        fake, real = self._judged(self._shared, decoded.detach(), audio)
        return discriminator_loss(fake, real)

    def losses(self, decoded: Tensor, audio: Tensor) -> Parts:
        """The generator's losses for audio (B, 1, T); no gradient reaches the discriminators."""
        self.discriminators.requires_grad_(False)
        fake, real = self._judged(self.discriminators, decoded, audio)
        return {"adversarial": generator_loss(fake), "feature": feature_loss(fake, real)}

    def _judged(
        self, critic: torch.nn.Module, fake: Tensor, real: Tensor
    ) -> tuple[Activations, Activations]:
        with torch.autocast(fake.device.type, torch.bfloat16, enabled=self.bf16):
            both = critic(torch.cat([fake, real]))
        n = len(fake)
        return [[x[:n] for x in d] for d in both], [[x[n:] for x in d] for d in both]
