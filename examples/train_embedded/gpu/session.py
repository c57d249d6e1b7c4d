"""A training run within a time limit: steps, reports, checkpoints and what is brought back."""

import json
import signal
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from material import RATE, Corpus, Place, load
from parts import hand_back, whole
from step import (
    EXCERPT_S,
    FULL_BAND_SHARE,
    SHARES,
    LastGood,
    NotRecorded,
    TimedTrainer,
    discriminators,
    is_finite,
    recipe,
    time_shares,
    with_faster_layout,
)
from torch import Tensor

from audiocodec.errors import CodecError
from audiocodec.lab.train import checkpoints
from audiocodec.lab.train.excerpts import Excerpts, ExcerptSettings, full_band_limit
from audiocodec.lab.train.sources import TrainingRecording
from audiocodec.lab.train.validation import validate
from audiocodec.model.network import DAC
from audiocodec.weights.resolve import resolve
from audiocodec.weights.store import load_model

LOOK_EVERY = 20  # steps between checks of the losses, which stall the GPU
KEEP_EVERY = 100  # steps between states to return to
MOST_RETREATS = 8
MARGIN_S = 3.0  # reserve of time, in addition to that for saving


def n_samples_of(model: DAC) -> int:
    """Length of an excerpt, in whole frames."""
    return model.config.n_frames(round(EXCERPT_S * RATE)) * model.config.hop


class Batches:
    """The excerpts of each step, in the recipe's shares."""

    def __init__(self, corpus: Corpus, places: list[Place], args: Namespace) -> None:
        shares = corpus.classes(SHARES)
        recordings = [
            TrainingRecording(
                id=str(i),
                source=str(i),
                path=Path(str(i)),  # not opened: the corpus holds the audio
                kind=place.kind,
                seconds=place.n_samples / RATE,
                full_band=place.full_band,
            )
            for i, place in enumerate(places)
            if len(corpus.starts.get((place.kind, place.full_band), ()))
        ]
        full_band = min(FULL_BAND_SHARE, full_band_limit(recordings, shares, "duration"))
        settings = ExcerptSettings(corpus.n_samples, RATE, args.batch, "duration", full_band)
        self.excerpts = Excerpts(recordings, shares, settings)
        self.corpus, self.seed = corpus, args.seed

    def __call__(self, step: int) -> Tensor:
        """Excerpts (B, 1, T) of a step, on the device."""
        return self.corpus.batch(self.excerpts.plan(self.seed, step), self.seed, step)


class Session:
    """One call of the command: resumes from the folder `state`, trains until the time is over."""

    def __init__(self, args: Namespace, began: float) -> None:
        """began: time of monotonic() at which the call began."""
        self.args, self.began, self.stopped = args, began, False
        self.device = torch.device(args.device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise CodecError("PyTorch finds no CUDA device here; --device cpu rehearses without")
        self.checkpoint = args.state / checkpoints.LATEST
        args.state.mkdir(parents=True, exist_ok=True)
        args.out.mkdir(parents=True, exist_ok=True)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.cuda.set_stream(
                torch.cuda.Stream()
            )  # CUDA graphs cannot be recorded on the default stream
        audio, places, held_out = load(args.pack)
        self.held_out = held_out
        self.say(f"{len(audio) / RATE / 60:.0f} minutes of audio decoded")
        model, _ = load_model(resolve(args.start).path, "aligned")
        model.requires_grad_(True).to(self.device)
        corpus = Corpus(audio, places, n_samples_of(model), self.device)
        critics = discriminators(args.period_width, args.band_width, args.seed).to(self.device)
        if self.device.type == "cuda":
            self.say(with_faster_layout(critics, corpus.n_samples, args.batch))
        settings = recipe(args, self.device)
        batches = Batches(corpus, places, args)
        self.trainer = TimedTrainer(model, batches, settings, critics, not args.no_graph)
        self._resume()
        self.good, self.n_retreats, self.saving_s, self.timed = (
            LastGood(self.trainer),
            0,
            0.0,
            False,
        )
        self.before_s, self.start = self.trainer.seconds, monotonic()
        self.first_step, self.step_s = self.trainer.step, 0.0

    def say(self, text: str) -> None:
        """Print a line with the time since the call began."""
        print(f"{monotonic() - self.began:6.1f} s  {text}", flush=True)

    def _resume(self) -> None:
        if not self.checkpoint.exists() and list(self.args.state.glob("state_*_of_*.part")):
            whole(self.args.state, self.checkpoint)
        if self.checkpoint.exists():
            checkpoints.load(self.trainer, self.checkpoint)
            self.trainer.ready_optimisers()
            self.say(f"resumes after step {self.trainer.step}, {self.trainer.seconds:.0f} s")

    def run(self) -> None:
        """Train until the time is over, or `stop`.

        Raises CodecError, also where the time does not suffice for a step; NotRecorded.
        """
        report_at = monotonic() + self.args.report_every
        self._set_share()
        self.report(0.0, 0)  # the starting point; also measures how long saving takes
        last, n_steps = monotonic(), 0
        while not self.stopped and not self._over():
            self._step()
            n_steps += 1
            if monotonic() >= report_at:
                self.report(monotonic() - last, n_steps)
                last, n_steps = monotonic(), 0
                report_at = last + self.args.report_every
        if n_steps:
            self.report(monotonic() - last, n_steps)
        if not (self.step_s or self.stopped):
            raise CodecError(
                f"no time for a step: after {last - self.began:.0f} s, of which figures and saving "
                f"took {self.saving_s:.0f}, too little of --seconds {self.args.seconds:g} is left"
            )

    def stop(self, *_: object) -> None:
        """End the run after the current step."""
        self.stopped = True

    def _over(self) -> bool:
        n_steps = self.trainer.step - self.first_step
        return monotonic() + self.step_s >= self._end() or 0 < self.args.steps <= n_steps

    def _end(self) -> float:
        """Time at which stepping ends, so that there is time to save."""
        return self.began + self.args.seconds - MARGIN_S - 1.5 * self.saving_s

    def _used_s(self) -> float:
        """Seconds used by all calls, including saving and validation."""
        return self.before_s + monotonic() - self.start

    def _set_share(self) -> None:
        """Set the schedule's position: the share of all calls' time that is over."""
        total = self.args.of or self.before_s + self._end() - self.start
        self.trainer.share = min(1.0, self._used_s() / max(1.0, total))

    def _step(self) -> None:
        trainer, begun = self.trainer, monotonic()
        self._set_share()
        if trainer.adversary_plays and not self.timed:
            self.timed = True
            shares = time_shares(trainer)  # before recording, which removes hooks
            self.say(", ".join(f"{name} {ms:.1f} ms" for name, ms in shares.items()))
        trainer.train_step()
        self.step_s = monotonic() - begun
        if trainer.step % LOOK_EVERY == 0:
            self._look()

    def _look(self) -> None:
        """Check the losses; return to the last good state where one is not finite."""
        figures = self.trainer.figures()
        if is_finite(figures):
            if self.trainer.step % KEEP_EVERY == 0:
                self.good.keep()
            return
        bad = [name for name, value in figures.items() if not is_finite({name: value})]
        self.n_retreats += 1
        if self.n_retreats > MOST_RETREATS:
            raise CodecError(f"step {self.trainer.step}: {', '.join(bad)} not finite again")
        self.good.restore()
        rate = self.trainer.optimizers.scale
        self.say(
            f"step {self.trainer.step}: {', '.join(bad)} not finite: back to the last good state, "
            f"at {rate:g} of --lr"
        )

    def report(self, seconds: float, n_steps: int) -> None:
        """Validate, print and log figures, and save."""
        trainer, start = self.trainer, monotonic()
        row: dict[str, Any] = {"step": trainer.step, "used_s": round(self._used_s(), 1)}
        row |= {"share": round(trainer.share, 4), "scale": trainer.optimizers.scale}
        if n_steps:
            self._look()
            losses = trainer.figures()
            row |= {"steps_s": n_steps / seconds, "excerpts_s": n_steps * self.args.batch / seconds}
            row |= {name: round(losses[name], 4) for name in losses}
        if self.held_out is not None and trainer.average is not None:
            found = validate(trainer.average.model, self.held_out).figures
            row |= {f"held_out_{k}": round(found[k], 4) for k in ("mel", "si_sdr", "efficiency")}
        self.say("  ".join(f"{k} {v:.4g}" if k != "step" else f"step {v}" for k, v in row.items()))
        with (self.args.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.save()
        self.saving_s = monotonic() - start

    def save(self) -> None:
        """Save a checkpoint for the next call, and its parts to bring back."""
        self.trainer.seconds = self._used_s()
        checkpoints.save(self.trainer, self.checkpoint)
        if left_out := hand_back(self.checkpoint, self.args.out):
            self.say(f"left out of the parts, too large: {', '.join(left_out)}")


def run(args: Namespace, began: float) -> None:
    """Train. Raises CodecError, and NotRecorded after saving."""
    session = Session(args, began)
    before = signal.signal(signal.SIGTERM, session.stop)
    try:
        session.run()
    except NotRecorded:
        with suppress(RuntimeError, CodecError):
            session.save()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
