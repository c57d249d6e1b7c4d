"""The library's training step: scheduled by time, as a CUDA graph, undone on divergence."""

import math
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

import torch
from torch import Tensor

from audiocodec.lab.train.discriminators import DiscriminatorConfig, Discriminators
from audiocodec.lab.train.objective import Parts
from audiocodec.lab.train.settings import (
    LossSettings,
    Optimisation,
    QuantizerTraining,
    TrainSettings,
)
from audiocodec.lab.train.trainer import Figures, Pass, Trainer
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import Quantized

WHOLE = 10_000  # positions of the schedule: ten-thousandths of the time
EAGER = 4  # steps of a phase before recording: they choose kernels and create optimiser states

# As conf/tiny_44khz_gpu.yml; comments mark the differences.
RECIPE = TrainSettings(
    losses=LossSettings(
        mel_weight=15,
        complex_weight=10,
        complex_exponent=0.3,
        commitment_weight=2,
        codebook_weight=0,
        adversarial_weight=1,
        feature_weight=2,
    ),
    optimisation=Optimisation(
        steps=WHOLE,
        batch_size=72,
        lr=4e-4,
        schedule="cosine",
        warmup=WHOLE // 50,
        muon=True,
        beta1=0.9,
        weight_decay=0,
        lr_discriminators=0.5,
        adversary_from=WHOLE // 5,  # spectral losses first: such a step costs a third
        average=0.999,  # for some thousand steps instead of 60,000
    ),
    quantizer=QuantizerTraining(dropout=0.5, codebook_decay=0.998, quantizer_lr=0.3),
)
SHARES = {"speech": 6.0, "music": 3.0, "environment": 2.0}
FULL_BAND_SHARE = 0.5
EXCERPT_S = 0.38


def recipe(args: Namespace, device: torch.device) -> TrainSettings:
    """RECIPE with the options of the command line; float32 on CPUs, where bfloat16 is slow."""
    chosen = replace(
        RECIPE.optimisation,
        batch_size=args.batch,
        lr=args.lr,
        adversary_from=round(args.adversary_from * WHOLE),
        seed=args.seed,
        precision="bfloat16" if device.type == "cuda" else "float32",
    )
    return replace(RECIPE, optimisation=chosen)


def discriminators(period_width: int, band_width: int, seed: int) -> Discriminators:
    """The paper's discriminators at other widths."""
    torch.manual_seed(seed + 1)
    config = DiscriminatorConfig(period_width=period_width, band_width=band_width)
    return Discriminators(config)


class TimedTrainer(Trainer):
    """A trainer whose schedule follows `share`, the share of time used, set before each step.

    Steps do not wait for figures from the GPU. On CUDA with `graphs`, a phase (with or without
    discriminators) is recorded after EAGER steps and then replayed. The moving average and the
    codebooks, whose computation changes over time, are updated outside the graph.
    """

    def __init__(
        self,
        model: DAC,
        batch: Callable[[int], Tensor],
        settings: TrainSettings,
        critics: Discriminators,
        graphs: bool,
    ) -> None:
        super().__init__(model, batch, settings, critics)
        self.share = 0.0
        self.graphs = graphs and self.device.type == "cuda"
        self._values: Parts = {}
        self._phase, self._n_eager = False, 0
        self._recorded: tuple[torch.cuda.CUDAGraph, Pass] | None = None
        self.ready_optimisers()

    @property
    def position(self) -> int:
        """Position in the schedule, 0 to WHOLE."""
        return min(WHOLE, round(self.share * WHOLE))

    def figures(self) -> Figures:
        """Losses and gradient norms of the last step; waits for the GPU."""
        values = torch.stack([value.float() for value in self._values.values()])
        return dict(zip(self._values, values.tolist()))

    def ready_optimisers(self) -> None:
        """Prepare optimisers for recording, or undo it; call it again after loading their state."""
        for optimiser in self.optimizers.by_name.values():
            for group in optimiser.param_groups:
                rate = float(group["lr"])
                group["lr"] = torch.tensor(rate, device=self.device) if self.graphs else rate
                if "capturable" in group:
                    group["capturable"] = self.graphs
            where = self.device if self.graphs else torch.device("cpu")
            for state in optimiser.state.values():
                if "step" in state:
                    state["step"] = state["step"].to(where)

    def _checked(self, values: Parts) -> Figures:
        """Keep the values for `figures`, without waiting for the GPU."""
        self._values |= {name: value.detach() for name, value in values.items()}
        return {}

    def _learn(self, audio: Tensor, n_active: Tensor) -> tuple[Pass, Figures]:
        if self.adversary_plays != self._phase:
            self._phase, self._n_eager, self._recorded = self.adversary_plays, 0, None
        if self.graphs and self._n_eager == EAGER and self._recorded is None:
            self._record(audio, n_active)
        if self._recorded is None:
            self._n_eager += 1
            return super()._learn(audio, n_active)
        graph, done = self._recorded
        done.audio.copy_(audio)
        done.n_active.copy_(n_active)
        graph.replay()
        return done, {}

    def _record(self, audio: Tensor, n_active: Tensor) -> None:
        """Record the step, without running it, on copies of its inputs that replays read."""
        audio, n_active = audio.clone(), n_active.clone()
        for module in (self.model, self.discriminators):
            if module is not None:
                module.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                done, _ = super()._learn(audio, n_active)
        except RuntimeError as error:
            raise NotRecorded(str(error).splitlines()[0]) from error
        self._recorded = graph, done


class NotRecorded(Exception):
    """The step cannot be recorded as a CUDA graph."""


class LastGood:
    """A copy of all that training changes, to return to."""

    def __init__(self, trainer: TimedTrainer) -> None:
        self.trainer = trainer
        self._saved: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self.keep()

    def keep(self) -> None:
        """Copy the current state."""
        self._saved = {name: value.clone() for name, value in self._values().items()}
        if self.trainer.codebooks is not None:
            self._counts = self.trainer.codebooks.state_dict()

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the copy in place, and halve the learning rate."""
        for name, value in self._values().items():
            if name in self._saved:
                value.copy_(self._saved[name])
            else:
                value.zero_()  # optimiser state created since the copy
        if self.trainer.codebooks is not None:
            self.trainer.codebooks.load_state_dict(self._counts)
        self.trainer.optimizers.scale /= 2

    def _values(self) -> dict[str, Tensor]:
        trainer, average = self.trainer, self.trainer.average
        modules = {"model": trainer.model, "discriminators": trainer.discriminators}
        modules["average"] = average.model if average is not None else None
        found = {
            f"{name}.{key}": value
            for name, module in modules.items()
            if module is not None
            for key, value in module.state_dict().items()
        }
        for name, optimiser in trainer.optimizers.by_name.items():
            for i, state in enumerate(optimiser.state.values()):
                found |= {f"{name} {i} {k}": v for k, v in state.items() if torch.is_tensor(v)}
        return found


def is_finite(figures: Figures) -> bool:
    """Whether all figures are finite."""
    return all(map(math.isfinite, figures.values()))


def with_faster_layout(critics: Discriminators, n_samples: int, batch_size: int) -> str:
    """Give the discriminators the faster memory layout; returns a line with the times."""
    audio = torch.randn(2 * batch_size, 1, n_samples, device=next(critics.parameters()).device)
    times = {}
    for layout in (torch.channels_last, torch.contiguous_format):
        critics.to(memory_format=layout)  # type: ignore[call-overload]
        times[layout] = min(_pass_seconds(critics, audio) for _ in range(3))
    faster = min(times, key=lambda layout: times[layout])
    critics.to(memory_format=faster)  # type: ignore[call-overload]
    critics.zero_grad(set_to_none=True)
    found = ", ".join(f"{str(k).split('.')[1]} {1e3 * v:.0f} ms" for k, v in times.items())
    return f"discriminators forward and back: {found}"


def _pass_seconds(critics: Discriminators, audio: Tensor) -> float:
    def work() -> None:
        with torch.autocast(audio.device.type, torch.bfloat16):
            judged = critics(audio)
        torch.stack([d[-1].float().square().mean() for d in judged]).sum().backward()

    return seconds_of(work, audio.device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter() - start


def time_shares(trainer: TimedTrainer) -> dict[str, float]:
    """Milliseconds of the parts of a step with discriminators, forward and back; trains nothing.

    Measured without a graph, so they include the time to launch kernels where that dominates.
    """
    audio, n_active = trainer.inputs()
    made = trainer.generator(audio, n_active)
    decoded = made.audio.detach().requires_grad_()
    apart = made._replace(audio=decoded, quantized=Quantized(*(x.detach() for x in made.quantized)))
    objective = trainer.objective
    parts: dict[str, Callable[[], Tensor]] = {
        "generator": lambda: trainer.generator(audio, n_active).audio.mean(),
        "losses": lambda: objective.total(objective.reconstruction(apart, audio), 0),
    }
    if (adversary := trainer.adversary) is not None:
        parts["discriminators, own step"] = lambda: adversary.own_loss(decoded, audio)
        parts["discriminators, for the generator"] = lambda: objective.total(
            adversary.losses(decoded, audio), 0
        )
    rounds = 2 if trainer.device.type == "cuda" else 1  # the first one chooses kernels
    found = {}
    for name, work in parts.items():
        run = partial(_backward_of, work)
        times = [seconds_of(run, trainer.device) for _ in range(rounds)]
        found[name] = 1e3 * times[-1]
    for module in (trainer.model, trainer.discriminators):
        if module is not None:
            module.zero_grad(set_to_none=True)
    return found


def _backward_of(loss: Callable[[], Tensor]) -> None:
    loss().backward()
