"""Runs a trainer to its last step, with checkpoints, logs, validation and a progress bar."""

from collections import deque
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from audiocodec.errors import OutputError
from audiocodec.lab.measures.usage import CodebookUsage
from audiocodec.lab.train import checkpoints, distributed
from audiocodec.lab.train.logs import Logs
from audiocodec.lab.train.settings import Running
from audiocodec.lab.train.trainer import Figures, Trainer, TrainingDiverged
from audiocodec.lab.train.validation import validate

COUNTED = 200  # last steps over whose codes codebook usage is measured


class Loop:
    """One run in one folder; only the first process writes there."""

    def __init__(self, trainer: Trainer, folder: Path, held_out: Tensor | None = None) -> None:
        """held_out: audio (B, 1, T) to validate on, T a multiple of the hop."""
        self.trainer, self.folder, self.held_out = trainer, folder, held_out
        self.first = distributed.rank() == 0
        self.best_mel = float("inf")
        self.saved_step: int | None = None  # of checkpoint.pt
        self.codes: deque[Tensor] = deque(maxlen=COUNTED)
        self.window: list[Figures] = []  # of steps since the last log line

    @property
    def _every(self) -> Running:
        return self.trainer.settings.running

    def run(self) -> None:
        """Train, resuming from folder/checkpoint.pt if there is one.

        Raises TrainingDiverged, ModelError, and OutputError that names the last good checkpoint.
        """
        trainer, latest = self.trainer, self.folder / checkpoints.LATEST
        if latest.exists():
            checkpoints.load(trainer, latest)
            self.saved_step = trainer.step
        if self.held_out is not None and (best := self.folder / checkpoints.BEST).exists():
            self.best_mel = checkpoints.read(best).get("mel", float("inf"))
        logs = Logs(self.folder, trainer.model.config.sample_rate) if self.first else None
        n_steps = trainer.settings.optimisation.steps
        bar = tqdm(
            initial=trainer.step,
            total=n_steps,
            unit="step",
            disable=None if self.first else True,
            dynamic_ncols=True,
        )
        try:
            while trainer.step < n_steps:
                self._step(logs, bar)
                bar.update()
        except OutputError as error:
            raise OutputError(f"{error}; {self._where_to_go_on()}") from error
        finally:
            bar.close()
            if logs is not None:
                logs.close()

    def _where_to_go_on(self) -> str:
        if self.saved_step is None:
            return "no checkpoint was written yet"
        return (
            f"{self.folder / checkpoints.LATEST} is intact, from step {self.saved_step}: the same "
            "command resumes from it"
        )

    def _step(self, logs: Logs | None, bar: tqdm) -> None:
        trainer, every = self.trainer, self._every
        try:
            figures = trainer.train_step()
        except TrainingDiverged as error:
            name = f"diverged_{error.step}_{distributed.rank()}.pt"
            audio = trainer.batch(error.step)
            checkpoints.save_batch(audio, error.figures, error.step, self.folder / name)
            raise
        self.codes.append(trainer.last_codes)
        self.window.append(figures)
        if logs is None:
            self.window.clear()
        elif self._due(every.log_every):
            self._log(logs, bar)
        if self.held_out is not None and self._due(every.validate_every):
            self._validate(logs)
        if self.first and (self._due(every.save_every) or self._at_end()):
            checkpoints.save(trainer, self.folder / checkpoints.LATEST)
            self.saved_step = trainer.step
        if self.first and self._due(every.keep_every):
            checkpoints.save(trainer, self.folder / f"step_{trainer.step}.pt")
        if self._due(every.save_every) or self._due(every.validate_every):
            distributed.barrier()

    def _due(self, interval: int) -> bool:
        return interval > 0 and self.trainer.step % interval == 0

    def _at_end(self) -> bool:
        return self.trainer.step == self.trainer.settings.optimisation.steps

    def _log(self, logs: Logs, bar: tqdm) -> None:
        """Log means over the steps since the last line."""
        trainer, config = self.trainer, self.trainer.model.config
        names = self.window[-1].keys()
        means = {n: float(np.mean([f[n] for f in self.window if n in f])) for n in names}
        usage = CodebookUsage(config.n_codebooks, config.codebook_size)
        for codes in self.codes:
            usage.update(codes)
        means["efficiency"] = usage.efficiency()
        for i, (bits, used) in enumerate(zip(usage.entropy(), usage.used_share())):
            means[f"entropy_{i + 1}"], means[f"used_{i + 1}"] = float(bits), float(used)
        for name in trainer.optimizers.by_name:
            means[f"lr_{name}"] = trainer.optimizers.lr_at(name, trainer.step - 1)
        means["seconds"] = trainer.seconds
        logs.figures(trainer.step, means)
        bar.set_postfix(total=f"{means['total']:.3f}", mel=f"{means['mel']:.3f}")
        self.window.clear()

    def _validate(self, logs: Logs | None) -> None:
        """Validate, in the first process only; keeps the checkpoint with the least mel loss."""
        if not self.first or self.held_out is None:
            return
        trainer = self.trainer
        source = trainer.average.model if trainer.average is not None else trainer.model
        found = validate(source, self.held_out)
        if logs is not None:
            logs.figures(trainer.step, found.figures, "held_out")
            if self._due(self._every.listen_every):
                logs.sounds(trainer.step, found)
        if found.figures["mel"] < self.best_mel:
            self.best_mel = found.figures["mel"]
            checkpoints.save(trainer, self.folder / checkpoints.BEST, mel=self.best_mel)
