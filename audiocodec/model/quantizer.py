"""Residual vector quantization with factorized, l2-normalized codes (paper, section 3.2).

Shapes: B batch, D latent channels, d codebook channels, K codebook size, N codebooks, T frames.
May import: torch, model.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.errors import CodesError
from audiocodec.model.config import ModelConfig


class Quantized(NamedTuple):
    """What the quantizer gives while training."""

    latents: Tensor  # (B, D, T), straight-through
    codes: Tensor  # (B, N, T)
    commitment_loss: Tensor  # scalar
    codebook_loss: Tensor  # scalar


class VectorQuantizer(nn.Module):
    """One codebook, looked up in a small space by the angle between vectors."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        latent_dim = config.latent_dim or 1
        self.in_proj = nn.Conv1d(latent_dim, config.codebook_dim, 1)
        self.out_proj = nn.Conv1d(config.codebook_dim, latent_dim, 1)
        self.codebook = nn.Embedding(config.codebook_size, config.codebook_dim)

    def nearest(self, projected: Tensor) -> Tensor:
        """(B, d, T) -> codes (B, T): the entry at the smallest angle."""
        entries = F.normalize(self.codebook.weight)
        vectors = F.normalize(projected.transpose(1, 2), dim=-1)
        return (vectors @ entries.T).argmax(dim=-1)

    def entries(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> codebook rows (B, d, T), not normalized."""
        return self.codebook(codes).transpose(1, 2)


class ResidualQuantizer(nn.Module):
    """A row of codebooks, each of which quantizes what the ones before it left over."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stages = nn.ModuleList(VectorQuantizer(config) for _ in range(config.n_codebooks))

    def encode(self, latents: Tensor, n_codebooks: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes int64 (B, n_codebooks, T)."""
        residual, codes = latents, []
        for stage in self.stages[:n_codebooks]:
            codes.append(stage.nearest(stage.in_proj(residual)))
            residual = residual - stage.out_proj(stage.entries(codes[-1]))
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, n_codebooks, T), the first ones or all -> latents (B, D, T).

        Raises CodesError for more codebooks than the model has; ranges are the caller's to check.
        """
        if not 1 <= codes.shape[1] <= len(self.stages):
            raise CodesError(
                f"codes of {codes.shape[1]} codebooks; this model has {len(self.stages)}"
            )
        latents = None
        for i, stage in enumerate(self.stages[: codes.shape[1]]):
            part = stage.out_proj(stage.entries(codes[:, i]))
            latents = part if latents is None else latents + part
        return latents

    def forward(self, latents: Tensor, n_active: Tensor) -> Quantized:
        """Quantize for training, with a number of codebooks of its own for every item.

        latents: (B, D, T). n_active: int (B,), how many codebooks each item uses: quantizer
        dropout (paper, section 3.3). A codebook that an item does not use adds nothing to its
        latents nor to the losses. Straight-through gradients; losses on unnormalized vectors, as
        the published weights were trained.
        """
        residual, total, codes = latents, torch.zeros_like(latents), []
        commitment = codebook = latents.new_zeros(())
        for i, stage in enumerate(self.stages):
            projected = stage.in_proj(residual)
            codes.append(stage.nearest(projected))
            entries = stage.entries(codes[-1])
            active = (i < n_active).to(latents.dtype)
            commitment = commitment + _masked_mse(projected, entries.detach(), active)
            codebook = codebook + _masked_mse(entries, projected.detach(), active)
            part = stage.out_proj(projected + (entries - projected).detach())
            total = total + part * active[:, None, None]
            residual = residual - part
        return Quantized(total, torch.stack(codes, dim=1), commitment, codebook)


def _masked_mse(x: Tensor, target: Tensor, active: Tensor) -> Tensor:
    return (F.mse_loss(x, target, reduction="none").mean(dim=(1, 2)) * active).mean()
