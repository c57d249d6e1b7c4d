"""A plain trainer: batches, losses, optimiser, moving averages, checkpoints that resume exactly.

Everything random at a step follows from the seed and the step, so that on a CPU a resumed run
equals an uninterrupted one. May import: torch, tqdm, errors, files, model, train.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from audiocodec.errors import CodecError, ModelError
from audiocodec.files import output_file
from audiocodec.model.network import DAC, Trained
from audiocodec.train import losses
from audiocodec.train.muon import Muon

CHECKPOINT = "checkpoint.pt"
MATRIX = 16  # a weight with both sides at least this long counts as a matrix


class TrainingDiverged(CodecError):
    """A loss or gradient is no longer finite; the last checkpoint is untouched."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the defaults are the paper's where it has them (section 4.2 and appendix).

    batch_size excerpts of excerpt_frames frames; lr falls to zero on a half cosine over `steps`
    after `warmup` steps. dropout: share of items that use a random number of codebooks.
    Weights of the losses; mel_weight rises linearly over mel_ramp steps. complex_exponent:
    see losses.complex_loss. codebook_decay: of the codebooks' moving averages, which replace the
    gradient of the codebook loss where it is not 0. quantizer_from: first step that moves the
    projections around the codebooks, quantizer_lr: their learning rate relative to lr.
    muon: matrices of encoder and decoder move by Muon instead of AdamW.
    average: decay of the moving average of all weights, which is what is saved as the model.
    """

    steps: int = 250_000
    batch_size: int = 12
    excerpt_frames: int = 32
    seed: int = 0
    lr: float = 1e-4
    warmup: int = 0
    beta1: float = 0.8
    beta2: float = 0.99
    weight_decay: float = 0.01
    muon: bool = False
    clip_norm: float = 1000.0
    dropout: float = 0.5
    mel_weight: float = 15.0
    mel_ramp: int = 0
    complex_weight: float = 0.0
    complex_exponent: float = 0.5
    waveform_weight: float = 1.0
    commitment_weight: float = 0.25
    codebook_weight: float = 1.0
    codebook_decay: float = 0.0
    quantizer_from: int = 0
    quantizer_lr: float = 1.0
    average: float = 0.999
    log_every: int = 20
    save_every: int = 200

    def lr_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.lr * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))


class CodebookAverages:
    """Codebooks as moving averages of the vectors that chose them (arXiv 1711.00937, appendix A).

    Every entry starts with the weight of an even share of a batch.
    """

    def __init__(self, model: DAC, decay: float) -> None:
        self.stages, self.decay = list(model.quantizer.stages), decay
        self.projected: list[Tensor] = [torch.empty(0)] * len(self.stages)
        self.counts: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            self.counts.append(torch.zeros(stage.codebook.num_embeddings))
            stage.in_proj.register_forward_hook(self._keep(i))

    def _keep(self, i: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self.projected[i] = output.detach()

        return hook

    @torch.no_grad()
    def update(self, codes: Tensor) -> None:
        """Move the codebooks by the vectors of the last pass and their codes (B, N, T)."""
        for i, stage in enumerate(self.stages):
            table = stage.codebook.weight
            vectors = self.projected[i].transpose(1, 2).flatten(0, 1)
            chosen = codes[:, i].flatten()
            counts, old = self.counts[i].to(table.device), self.counts[i].sum() == 0
            if old:
                counts.fill_(len(chosen) / len(table))
            new = torch.bincount(chosen, minlength=len(table)) * (1 - self.decay)
            sums = torch.zeros_like(table).index_add_(0, chosen, vectors) * (1 - self.decay)
            total = self.decay * counts + new
            table.copy_((table * (self.decay * counts)[:, None] + sums) / total[:, None])
            self.counts[i] = total


class Trainer:
    """Trains a model on batches; `batch(step)` gives audio (B, 1, T)."""

    def __init__(self, model: DAC, batch: Callable[[int], Tensor], settings: TrainSettings) -> None:
        self.model, self.batch, self.settings = model.train(), batch, settings
        self.step, self.seconds = 0, 0.0
        averaging = settings.codebook_decay > 0
        self.codebooks = CodebookAverages(model, settings.codebook_decay) if averaging else None
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.average))
        self.optimizers = self._optimizers()

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        settings, model = self.settings, self.model
        networks = [*model.encoder.parameters(), *model.decoder.parameters()]
        matrices = [p for p in networks if settings.muon and _is_matrix(p)]
        rest = [p for p in networks if not (settings.muon and _is_matrix(p))]
        quantizer = [
            parameter
            for name, parameter in model.quantizer.named_parameters()
            if not (self.codebooks and "codebook" in name)
        ]
        betas, decay = (settings.beta1, settings.beta2), settings.weight_decay
        optimizers: dict[str, torch.optim.Optimizer] = {
            "rest": torch.optim.AdamW(rest, betas=betas, weight_decay=decay),
            "quantizer": torch.optim.AdamW(quantizer, betas=betas, weight_decay=decay),
        }
        if matrices:
            optimizers["matrices"] = Muon(matrices, weight_decay=decay)
        return optimizers

    def train_step(self) -> dict[str, float]:
        """One step; returns the losses by name. Raises TrainingDiverged."""
        settings, start = self.settings, time.perf_counter()
        audio = self.batch(self.step).to(next(self.model.parameters()).device)
        rng = np.random.default_rng((settings.seed, self.step, 1))
        n_active = active_codebooks(
            rng, len(audio), self.model.config.n_codebooks, settings.dropout
        ).to(audio.device)
        made = self.model(audio, n_active)
        parts = self._losses(made, audio)
        self.model.zero_grad()
        parts["total"].backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        values = {name: loss.item() for name, loss in parts.items()} | {"norm": norm.item()}
        if not all(map(math.isfinite, values.values())):
            raise TrainingDiverged(
                f"step {self.step}: {values}; start again from the last checkpoint with a lower "
                "--lr"
            )
        self._move(made)
        self.seconds += time.perf_counter() - start
        return values

    def _losses(self, made: Trained, audio: Tensor) -> dict[str, Tensor]:
        """Every part unweighted, and the weighted total."""
        settings, rate = self.settings, self.model.config.sample_rate
        ramp = min(1.0, (self.step + 1) / (settings.mel_ramp + 1))
        parts = {"mel": losses.mel_loss(made.audio, audio, rate)}
        weights = {"mel": settings.mel_weight * ramp}
        if settings.complex_weight:
            parts["complex"] = losses.complex_loss(
                made.audio, audio, rate, exponent=settings.complex_exponent
            )
            weights["complex"] = settings.complex_weight
        parts["waveform"] = losses.waveform_l1(made.audio, audio)
        parts["commitment"] = made.quantized.commitment_loss
        parts["codebook"] = made.quantized.codebook_loss
        weights["waveform"] = settings.waveform_weight
        weights["commitment"] = settings.commitment_weight
        weights["codebook"] = settings.codebook_weight
        parts["total"] = torch.stack([weights[name] * parts[name] for name in weights]).sum()
        return parts

    def _move(self, made: Trained) -> None:
        """Optimiser step, codebooks and averages."""
        settings = self.settings
        scale = {"quantizer": settings.quantizer_lr * (self.step >= settings.quantizer_from)}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = settings.lr_at(self.step) * scale.get(name, 1.0)
            optimizer.step()
        if self.codebooks is not None:
            self.codebooks.update(made.quantized.codes)
        self.averaged.update_parameters(self.model)
        self.step += 1

    def run(self, folder: Path) -> None:
        """Train to the last step, resuming from folder/checkpoint.pt where there is one."""
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).exists():
            self.load(folder / CHECKPOINT)
        sums: dict[str, float] = {}
        steps = range(self.step, self.settings.steps)
        for _ in (bar := tqdm(steps, unit="step", disable=None, dynamic_ncols=True)):
            for name, value in self.train_step().items():
                sums[name] = sums.get(name, 0.0) + value / self.settings.log_every
            if self.step % self.settings.log_every == 0:
                bar.set_postfix(total=f"{sums['total']:.3f}")
                with (folder / "log").open("a", encoding="utf-8") as log:
                    log.write(self._line(sums))
                sums = {}
            if self.step % self.settings.save_every == 0 or self.step == self.settings.steps:
                self.save(folder / CHECKPOINT)

    def _line(self, means: dict[str, float]) -> str:
        figures = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        return (
            f"step {self.step} {figures} lr {self.settings.lr_at(self.step):.2e} "
            f"seconds {self.seconds:.0f}\n"
        )

    def averaged_model(self) -> DAC:
        """The moving average of the weights, the model to keep."""
        return cast(DAC, self.averaged.module)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "settings": asdict(self.settings),
            "config": self.model.config.to_dict(),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": {k: v.state_dict() for k, v in self.optimizers.items()},
            "counts": self.codebooks.counts if self.codebooks else [],
        }
        with output_file(path, overwrite=True) as file:
            torch.save(state, file)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; settings are this trainer's. Raises ModelError."""
        state = read_checkpoint(path)
        if state["config"] != self.model.config.to_dict():
            raise ModelError(f"{path}: a checkpoint of another model: {state['config']}")
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        for name, optimizer in self.optimizers.items():
            if name in state["optimizers"]:
                optimizer.load_state_dict(state["optimizers"][name])
        if self.codebooks and state["counts"]:
            self.codebooks.counts = state["counts"]


def _is_matrix(weight: Tensor) -> bool:
    return weight.dim() > 1 and min(weight.flatten(1).shape) >= MATRIX


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint; nothing in it is executed."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise ModelError(f"{path}: not a readable checkpoint: {error}") from error


def active_codebooks(
    rng: np.random.Generator, n_items: int, n_codebooks: int, dropout: float
) -> Tensor:
    """How many codebooks each item uses, int (n_items,): quantizer dropout (paper, section 3.3).

    The first n_items * dropout items, rounded down, draw from 1 to n_codebooks.
    """
    active = np.full(n_items, n_codebooks)
    n_dropped = int(n_items * dropout)
    active[:n_dropped] = rng.integers(1, n_codebooks + 1, n_dropped)
    return torch.from_numpy(active)
