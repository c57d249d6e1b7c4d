"""The training step (paper, section 4.2).

All random choices of a step depend on the seed and the step alone, so that on a CPU a resumed run
equals an uninterrupted one.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from audiocodec.engine.spinning import SPINNING
from audiocodec.errors import CodecError
from audiocodec.lab.train import distributed
from audiocodec.lab.train.adversary import Adversary
from audiocodec.lab.train.codebooks import CodebookAverages, DeadEntries
from audiocodec.lab.train.discriminators import Discriminators
from audiocodec.lab.train.generator import Generator, MovingAverage, exported, with_weight_norm
from audiocodec.lab.train.objective import Objective, Parts
from audiocodec.lab.train.optimizers import Optimizers
from audiocodec.lab.train.settings import TrainSettings
from audiocodec.model.network import DAC, Trained

Figures = dict[str, float]


class TrainingDiverged(CodecError):
    """A loss or gradient is not finite; its optimiser step was not taken."""

    def __init__(self, step: int, figures: Figures) -> None:
        super().__init__(step, figures)
        self.step, self.figures = step, figures

    def message(self) -> str:
        bad = ", ".join(name for name, value in self.figures.items() if not math.isfinite(value))
        return (
            f"step {self.step}: {bad} not finite; resume from the last checkpoint with a lower "
            "--lr, or look at the batch saved beside it"
        )


class Pass(NamedTuple):
    """A forward pass of the generator, with its inputs."""

    audio: Tensor  # (B, 1, T)
    n_active: Tensor  # (B,)
    made: Trained


class Trainer:
    """Trains a model, with discriminators or without.

    batch(step): this process's share of a step's audio, (B, 1, T). The model must be initialized,
    on its device and with its variants. Under torch.distributed every process makes a Trainer.
    """

    def __init__(
        self,
        model: DAC,
        batch: Callable[[int], Tensor],
        settings: TrainSettings,
        discriminators: Discriminators | None = None,
    ) -> None:
        self.model, self.batch, self.settings = model.train(), batch, settings
        self.adversary: Adversary | None = None
        if discriminators is not None and settings.losses.adversary:
            self.adversary = Adversary(discriminators, settings.optimisation.precision)
        self.device = next(model.parameters()).device
        self.step, self.seconds = 0, 0.0
        self.last_codes = torch.empty(0)  # (B, N, T) of the last step
        self.objective = Objective(settings.losses, model.config.sample_rate)
        chosen, quantizer = settings.optimisation, settings.quantizer
        if chosen.weight_norm:
            with_weight_norm(model)
        averaging = quantizer.codebook_decay > 0
        for stage in model.quantizer.stages:  # no gradient for tables that no loss trains
            stage.codebook.requires_grad_(not averaging and settings.losses.codebook_weight > 0)
        self.codebooks = CodebookAverages(model, quantizer.codebook_decay) if averaging else None
        self.dead: DeadEntries | None = None
        if quantizer.revive:
            self.dead = DeadEntries(model, quantizer.revive, quantizer.revive_decay, chosen.seed)
        self.average = MovingAverage(model, chosen.average) if chosen.average else None
        self.optimizers = Optimizers(model, self.discriminators, settings)
        generator = Generator(model, chosen.precision)
        if chosen.compile:
            generator.compile_networks()
        self.generator = distributed.shared(generator)

    @property
    def discriminators(self) -> Discriminators | None:
        """The adversary's discriminators, if there is one."""
        return self.adversary.discriminators if self.adversary is not None else None

    @property
    def position(self) -> int:
        """Position of the next step in the schedule: its number here, other in subclasses."""
        return self.step

    @property
    def adversary_plays(self) -> bool:
        """Whether the next step trains with discriminators."""
        return (
            self.adversary is not None
            and self.position >= self.settings.optimisation.adversary_from
        )

    def train_step(self) -> Figures:
        """Train one step; returns losses and gradient norms by name. Raises TrainingDiverged."""
        start = time.perf_counter()
        if self.device.type == "cpu":
            SPINNING.look()
        self.optimizers.set_rates(self.position)
        done, figures = self._learn(*self.inputs())
        figures |= self._follow(done)
        self.step += 1
        self.seconds += time.perf_counter() - start
        return figures

    def inputs(self) -> tuple[Tensor, Tensor]:
        """Audio (B, 1, T) of the next step and how many codebooks each item uses, int (B,)."""
        audio = self.batch(self.step).to(self.device, non_blocking=True)
        chosen = self.settings.optimisation
        n_active = active_codebooks(
            np.random.default_rng((chosen.seed, self.step, 1)),
            len(audio) * distributed.world_size(),
            self.model.config.n_codebooks,
            self.settings.quantizer.dropout,
        )
        own = n_active[list(distributed.share_of(len(n_active)))]
        return audio, own.to(self.device, non_blocking=True)

    def _learn(self, audio: Tensor, n_active: Tensor) -> tuple[Pass, Figures]:
        """One forward pass, and the steps of the optimisers."""
        adversary = self.adversary if self.adversary_plays else None
        done = Pass(audio, n_active, self.generator(audio, n_active))
        figures = self._train_discriminators(adversary, done) if adversary is not None else {}
        return done, figures | self._train_generator(adversary, done)

    def _follow(self, done: Pass) -> Figures:
        """Update what follows the weights: codebooks, revived entries, moving average."""
        figures: Figures = {}
        codes, n_active = done.made.quantized.codes, done.n_active
        self.last_codes = codes
        if self.codebooks is not None:
            self.codebooks.update(codes, n_active)
        if self.dead is not None:
            figures["revived"] = self.dead.update(codes, n_active, self.step)
        if self.average is not None:
            self.average.update(self.model)
        return figures

    def _train_discriminators(self, adversary: Adversary, done: Pass) -> Figures:
        loss = adversary.own_loss(done.made.audio, done.audio)
        adversary.discriminators.zero_grad()
        loss.backward()
        limit = self.settings.optimisation.clip_discriminators
        norm = nn.utils.clip_grad_norm_(adversary.discriminators.parameters(), limit)
        figures = self._checked({"discriminator": loss, "discriminator_norm": norm})
        self.optimizers.step(discriminators=True)
        return figures

    def _train_generator(self, adversary: Adversary | None, done: Pass) -> Figures:
        """The generator's step, against the discriminators after their own step."""
        parts = self.objective.reconstruction(done.made, done.audio)
        if adversary is not None:
            parts |= adversary.losses(done.made.audio, done.audio)
        total = self.objective.total(parts, self.position)
        self.model.zero_grad()
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optimisation.clip)
        figures = self._checked(parts | {"total": total, "norm": norm})
        self.optimizers.step(discriminators=False)
        return figures

    def _checked(self, values: Parts) -> Figures:
        """Scalars as numbers, averaged over the processes. Raises TrainingDiverged."""
        stacked = torch.stack([value.detach().float() for value in values.values()])
        figures = dict(zip(values, distributed.mean(stacked).tolist()))
        if not all(map(math.isfinite, figures.values())):
            raise TrainingDiverged(self.step, figures)
        return figures

    def best_model(self) -> DAC:
        """A copy of the model, or of its moving average if there is one, without weight norm."""
        return exported(self.average.model if self.average is not None else self.model)


def active_codebooks(
    rng: np.random.Generator, n_items: int, n_codebooks: int, dropout: float
) -> Tensor:
    """How many codebooks each item uses, int (n_items,): quantizer dropout (paper, section 3.3).

    n_items * dropout of them, rounded down, draw from 1 to n_codebooks. These items are drawn at
    random too, since the first items of a batch may be of one kind.
    """
    active = np.full(n_items, n_codebooks)
    n_dropped = int(n_items * dropout)
    active[:n_dropped] = rng.integers(1, n_codebooks + 1, n_dropped)
    return torch.from_numpy(rng.permutation(active))
