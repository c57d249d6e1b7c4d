"""Residual vector quantization with factorized, l2-normalized codes (paper, section 3.2).

Shapes: B batch, D latent channels, d codebook channels, K codebook size, N codebooks, T frames.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.errors import CodesError
from audiocodec.model.config import ModelConfig


class Quantized(NamedTuple):
    """The quantizer's result in training."""

    latents: Tensor  # (B, D, T), straight-through
    codes: Tensor  # (B, N, T)
    commitment_loss: Tensor  # scalar
    codebook_loss: Tensor  # scalar


class VectorQuantizer(nn.Module):
    """One codebook: nearest entry by angle, in a projection of few channels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.in_proj = nn.Conv1d(config.latent_dim, config.codebook_dim, 1)
        self.out_proj = nn.Conv1d(config.codebook_dim, config.latent_dim, 1)
        table = torch.empty(config.codebook_size, config.codebook_dim)
        if not table.is_meta:  # on "meta", drawing would only import a large part of torch
            table.normal_()
        self.codebook = nn.Embedding.from_pretrained(table, freeze=False)

    def nearest(self, projected: Tensor) -> Tensor:
        """(B, d, T) -> codes (B, T): the entry at the smallest angle."""
        entries = F.normalize(self.codebook.weight)
        vectors = F.normalize(projected.transpose(1, 2), dim=-1)
        return (vectors @ entries.T).argmax(dim=-1)

    def entries(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> codebook rows (B, d, T), not normalized."""
        return self.codebook(codes).transpose(1, 2)

    def pass_through(self, projected: Tensor, entries: Tensor) -> Tensor:
        """The entries' values (B, d, T) with a gradient for the projected vectors (B, d, T)."""
        return projected + (entries - projected).detach()

    def latents(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """Codes (B, T) -> this stage's part of the latents (B, D, T), computed in dtype."""
        weight, bias = self.out_proj.weight.to(dtype), self.out_proj.bias
        y = F.conv1d(self.entries(codes).to(dtype), weight)
        return y if bias is None else y + bias.to(dtype)[:, None]


class ResidualQuantizer(nn.Module):
    """Codebooks in series, each of which quantizes the residual of those before it."""

    stages: Sequence[VectorQuantizer]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stages = (VectorQuantizer(config) for _ in range(config.n_codebooks))
        self.stages = nn.ModuleList(stages)  # type: ignore[assignment]

    def encode(self, latents: Tensor, n_codebooks: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes int64 (B, n_codebooks, T) of the first or all codebooks."""
        residual, codes = latents, []
        for stage in self.stages[:n_codebooks]:
            codes.append(stage.nearest(stage.in_proj(residual)))
            residual = residual - stage.out_proj(stage.entries(codes[-1]))
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes int64 (B, n_codebooks, T) of the first or all codebooks -> latents (B, D, T).

        Does not check the codes, which `checked` does; one out of range raises IndexError.
        """
        # In float64, which MPS lacks: with 32 stages, rounding in float32 would change the audio
        # by 1e-4 of full scale.
        wide = torch.float32 if codes.device.type == "mps" else torch.float64
        parts = [stage.latents(row, wide) for stage, row in zip(self.stages, codes.unbind(1))]
        return torch.stack(parts).sum(dim=0).to(self.stages[0].codebook.weight.dtype)

    def checked(self, codes: Tensor) -> Tensor:
        """The codes as int64 (B, n_codebooks, T).

        Raises CodesError unless they are whole numbers of this shape and in range.
        """
        if codes.dim() != 3 or codes.is_floating_point() or codes.is_complex():
            raise CodesError(
                f"codes are {codes.dtype} shaped {tuple(codes.shape)}; they must be whole numbers "
                "shaped (batch, n_codebooks, frames)"
            )
        if not len(codes):
            raise CodesError("codes of no signal; give at least one")
        if not 1 <= codes.shape[1] <= len(self.stages):
            raise CodesError(
                f"codes of {codes.shape[1]} codebooks; this model has {len(self.stages)}"
            )
        codes = codes.to(torch.int64)
        size = self.stages[0].codebook.num_embeddings
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < size:
            raise CodesError(
                f"codes from {int(codes.min())} to {int(codes.max())}; this model's codebooks "
                f"have entries 0 to {size - 1}"
            )
        return codes

    def forward(self, latents: Tensor, n_active: Tensor) -> Quantized:
        """Quantize for training, with quantizer dropout (paper, section 3.3).

        latents: (B, D, T). n_active: int (B,), how many codebooks each item uses; the others add
        nothing to its latents or to the losses. Gradients are straight-through. Losses are computed
        on unnormalized vectors, as in the training of the published weights.
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
            part = stage.out_proj(stage.pass_through(projected, entries))
            total = total + part * active[:, None, None]
            residual = residual - part
        return Quantized(total, torch.stack(codes, dim=1), commitment, codebook)


def _masked_mse(x: Tensor, target: Tensor, active: Tensor) -> Tensor:
    return (F.mse_loss(x, target, reduction="none").mean(dim=(1, 2)) * active).mean()
