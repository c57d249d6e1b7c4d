"""Codebook usage: entropy, perplexity, share of entries in use, bitrate efficiency."""

import math

import numpy as np
import torch
from torch import Tensor

from audiocodec.errors import CodesError


class CodebookUsage:
    """Counts codes to measure how well codebooks are used (paper, section 4).

    Shapes: B batch, N codebooks, T frames, K entries. Fewer codes than about ten times K
    underestimate the entropy.
    """

    def __init__(self, n_codebooks: int, codebook_size: int) -> None:
        self.counts = torch.zeros(n_codebooks, codebook_size, dtype=torch.int64)

    def update(self, codes: Tensor | np.ndarray) -> None:
        """Count integer codes (B, N, T). Raises CodesError for another N or a code out of range."""
        codes = (codes if isinstance(codes, Tensor) else torch.tensor(codes)).to(torch.int64)
        n, size = self.counts.shape
        if codes.dim() != 3 or codes.shape[1] != n:
            raise CodesError(f"codes are shaped {tuple(codes.shape)}, not (batch, {n}, frames)")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < size:
            raise CodesError(
                f"codes from {int(codes.min())} to {int(codes.max())}; the codebooks have "
                f"entries 0 to {size - 1}"
            )
        offsets = size * torch.arange(n, device=codes.device)[:, None]
        counts = torch.bincount((codes + offsets).flatten(), minlength=n * size)
        self.counts = self.counts.to(codes.device) + counts.reshape(n, size)

    def entropy(self) -> Tensor:
        """Entropy of each codebook in bits, float64 (N,), at most log2 K; 0 before any codes."""
        counts = self.counts.to("cpu", torch.float64)
        share = counts / counts.sum(dim=-1, keepdim=True).clamp(min=1)
        return -torch.xlogy(share, share).sum(dim=-1) / math.log(2)

    def perplexity(self) -> Tensor:
        """Number of evenly used entries with the same entropy, float64 (N,), 1 to K."""
        return torch.exp2(self.entropy())

    def used_share(self) -> Tensor:
        """Share of entries used at least once, float64 (N,)."""
        return (self.counts > 0).to("cpu", torch.float64).mean(dim=-1)

    def efficiency(self) -> float:
        """Sum of the entropies divided by their maximum N log2 K, 0 to 1."""
        n, size = self.counts.shape
        return float(self.entropy().sum()) / (n * math.log2(size))
