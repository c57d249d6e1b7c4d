"""Keeps codebooks in use during training: k-means start, moving averages, revival of entries.

These classes observe the quantizer's projections by forward hooks and write the codebook tables
after a training pass. Under torch.distributed, counts and sums are taken over all processes, so
that processes that start equal stay equal.
Shapes: B batch, d codebook channels, K codebook size, N codebooks, T frames.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.errors import ArgumentError
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import VectorQuantizer

ROUNDS = 15  # of k-means
POINTS_PER_ENTRY = 64  # that k-means uses; more hardly change the means
ITEMS = 8  # encoded at a time for k-means


@torch.no_grad()
def init_codebooks(model: DAC, audio: Tensor, generator: torch.Generator) -> None:
    """Set all codebooks by k-means of the projected latents of the model as it is.

    audio: (B, 1, samples), samples a multiple of the hop, the first batches of training; at
    least K frames in all, better some tens of K. generator: on the CPU. Entries are looked up by
    the quantizer's own rule and moved to plain means, codebook by codebook on the residual.
    Under torch.distributed every process gets the tables of the first one.
    Raises ArgumentError for too little audio.
    """
    device = model.quantizer.stages[0].codebook.weight.device
    parts = [model.encoder(part.to(device)) for part in audio.split(ITEMS)]
    residual = torch.cat(parts).transpose(0, 1).flatten(1)[None]  # one item (1, D, B * T)
    for stage in model.quantizer.stages:
        projected = stage.in_proj(residual)
        k_means(stage, projected[0].T, generator)
        _from_first_rank(stage.codebook.weight.detach())
        residual = residual - stage.out_proj(stage.entries(stage.nearest(projected)))


@torch.no_grad()
def k_means(stage: VectorQuantizer, points: Tensor, generator: torch.Generator) -> None:
    """Set one codebook from points (n, d); an entry that no point chooses moves to a random one.

    Entries are looked up by the codebook's own rule and moved to plain means. Raises ArgumentError
    for fewer points than entries.
    """
    table = stage.codebook.weight
    size = len(table)
    if len(points) < size:
        raise ArgumentError(
            f"{len(points)} frames of audio for codebooks of {size} entries; give at least {size}"
        )
    chosen = torch.randperm(len(points), generator=generator)[: size * POINTS_PER_ENTRY]
    points = points[chosen.to(points.device)]
    table.copy_(points[:size])  # distinct ones: the order is random
    everyone = torch.ones(1, dtype=torch.bool, device=points.device)
    for _ in range(ROUNDS):
        codes = stage.nearest(points.T[None])
        sums, counts = _sums(points.T[None], codes, everyone, size).split((table.shape[1], 1), 1)
        random = torch.randint(len(points), (size,), generator=generator).to(points.device)
        table.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), points[random]))


class _Watcher:
    """Records the projected vectors of the last training pass, and averages each entry's use."""

    def __init__(self, model: DAC, decay: float) -> None:
        self.stages, self.decay = list(model.quantizer.stages), decay
        self.size = model.config.codebook_size
        self.counts: Tensor | None = None  # (N, K), moving averages; none before the first update
        self._last: list[Tensor | None] = [None] * len(self.stages)
        for i, stage in enumerate(self.stages):
            stage.in_proj.register_forward_hook(self._hook(i, stage.in_proj))

    def _hook(self, i: int, watched: nn.Module) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(module: nn.Module, _inputs: Any, output: Tensor) -> None:
            # Copying the model, as MovingAverage does, copies the hook too.
            if module is watched and module.training:
                self._last[i] = output.detach()

        return keep

    def state_dict(self) -> dict[str, Tensor]:
        """The moving averages, (N, K); nothing before the first update."""
        return {} if self.counts is None else {"counts": self.counts.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore `state_dict`; the codebook tables themselves belong to the model."""
        self.counts = state["counts"].clone() if "counts" in state else None

    def _vectors(self, i: int) -> Tensor:
        """Vectors (B, d, T) that codebook i quantized. Raises ArgumentError before any pass."""
        last = self._last[i]
        if last is None:
            raise ArgumentError("codebooks can only be updated after a training pass")
        return last.to(self.stages[i].codebook.weight.dtype)  # autocast may have lowered it

    def _averaged(self, new: Tensor, codes: Tensor) -> Tensor:
        """Moving averages (N, K), updated by the counts `new` (N, K) of codes (B, N, T).

        They start as even use over one step; those of a codebook that no item used stay.
        """
        if self.counts is None:
            n_vectors = codes.shape[0] * codes.shape[2] * _n_ranks()
            old = torch.full_like(new, n_vectors / self.size)
        else:
            old = self.counts.to(new.device)
        used = new.sum(dim=-1, keepdim=True) > 0
        return torch.where(used, self.decay * old + (1 - self.decay) * new, old)


def _total(vectors: list[Tensor], codes: Tensor, n_active: Tensor, size: int) -> Tensor:
    """Sum of the vectors that chose each entry, and their number as last column: (N, K, d + 1).

    vectors: (B, d, T) of each codebook; codes (B, N, T), n_active (B,). Summed over all processes;
    items that do not use a codebook are left out.
    """
    used = torch.arange(len(vectors), device=codes.device)[:, None] < n_active.to(codes.device)
    total = torch.stack([_sums(*stage, size) for stage in zip(vectors, codes.unbind(1), used)])
    if _n_ranks() > 1:
        dist.all_reduce(total)
    return total


def _sums(vectors: Tensor, codes: Tensor, used: Tensor, size: int) -> Tensor:
    """Vectors (B, d, T), codes (B, T), used bool (B,) -> (size, d + 1), counts last."""
    rows = F.pad(vectors, (0, 0, 0, 1), value=1.0) * used[:, None, None]
    rows = rows.transpose(1, 2).flatten(0, 1)
    return rows.new_zeros(size, rows.shape[1]).index_add_(0, codes.flatten(), rows)


def _n_ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _from_first_rank(values: Tensor) -> None:
    if _n_ranks() > 1:
        dist.broadcast(values, src=0)


class CodebookAverages(_Watcher):
    """Codebooks as moving averages of the vectors that chose them (arXiv 1711.00937, appendix A).

    They replace the codebook loss, so leave codebooks out of the optimizer. Every entry starts
    with the weight of even use over one step. With quantizer dropout an item moves only the
    codebooks that it uses; a codebook that no item of a step uses stays, and so do its weights.
    """

    @torch.no_grad()
    def update(self, codes: Tensor, n_active: Tensor) -> None:
        """Move the codebooks after a training pass.

        codes: int64 (B, N, T), of that pass; n_active: int (B,), codebooks that each item uses.
        Under torch.distributed every process must call it, each with its own part of the batch.
        Raises ArgumentError before the first training pass.
        """
        every = [self._vectors(i) for i in range(len(self.stages))]
        sums = _total(every, codes, n_active, self.size)
        vectors, new = sums[..., :-1], sums[..., -1]
        self.counts = self._averaged(new, codes)
        # Written as a step towards the vectors, so that an entry with weight 0 stays finite.
        weight = (1 - self.decay) / self.counts.clamp(min=torch.finfo(new.dtype).tiny)
        for i, stage in enumerate(self.stages):
            table = stage.codebook.weight
            table.add_(weight[i, :, None] * (vectors[i] - new[i, :, None] * table))


class DeadEntries(_Watcher):
    """Replaces codebook entries that are hardly used by vectors of the current step.

    As in Jukebox (arXiv 2005.00341) and EnCodec, but with a threshold on an entry's share of use,
    which does not depend on the batch size: an entry is dead when the moving average of its use
    falls below `threshold` times the mean of its codebook; a revived entry counts as used evenly.
    An unused entry is thus replaced after log(threshold) / log(decay) steps, 230 by default.

    Use is counted over the items that use a codebook. New vectors may come from any item: one that
    uses fewer codebooks still has the residual that it would have at the full rate.
    Works with codebooks that learn by gradient and, if called after its update, with
    CodebookAverages, which then moves a revived entry to the mean of the first vectors choosing it.
    """

    def __init__(
        self, model: DAC, threshold: float = 0.1, decay: float = 0.99, seed: int = 0
    ) -> None:
        super().__init__(model, decay)
        self.threshold, self.seed = threshold, seed

    @torch.no_grad()
    def update(self, codes: Tensor, n_active: Tensor, step: int) -> int:
        """Count the codes of a training pass and replace dead entries; returns their number.

        codes: int64 (B, N, T); n_active: int (B,). Draws depend on seed and step alone. Under
        torch.distributed every process must call it; use is counted over all of them, and the
        vectors come from the first. Raises ArgumentError before the first training pass.
        """
        every = [self._vectors(i)[:, :0] for i in range(len(self.stages))]  # counts alone
        counts = self._averaged(_total(every, codes, n_active, self.size)[..., 0], codes)
        mean = counts.mean(dim=-1, keepdim=True)
        dead = counts < self.threshold * mean
        rng = np.random.default_rng((self.seed, step, 2))  # 1 draws quantizer dropout
        for i in dead.any(dim=-1).nonzero()[:, 0].tolist():
            entries = dead[i].nonzero()[:, 0]
            self.stages[i].codebook.weight[entries] = self._drawn(i, len(entries), rng)
        self.counts = torch.where(dead, mean, counts)
        return int(dead.sum())

    def _drawn(self, i: int, n: int, rng: np.random.Generator) -> Tensor:
        """n vectors (n, d) that codebook i quantized, without repetition if there are enough."""
        rows = self._vectors(i).transpose(1, 2).flatten(0, 1)
        chosen = torch.from_numpy(rng.choice(len(rows), n, replace=n > len(rows)))
        drawn = rows[chosen.to(rows.device)].contiguous()
        _from_first_rank(drawn)
        return drawn
