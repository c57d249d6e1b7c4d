"""Checkpoints hold a training's full state; written whole or not at all, read without execution."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from audiocodec.errors import CodecError, ModelError, one_line, quoted
from audiocodec.files import output_file
from audiocodec.lab.train.generator import exported, with_weight_norm
from audiocodec.lab.train.trainer import Trainer
from audiocodec.lab.train.variants import rebuilt, variants_of
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.torch_files import read_tensors, read_torch_file

LATEST, BEST = "checkpoint.pt", "best.pt"
FORMAT = "audiocodec-training-1"


def save(trainer: Trainer, path: Path, **more: float) -> None:
    """Write all that resuming needs, and further figures by name. Raises OutputError."""
    state = {
        **more,
        "format": FORMAT,
        "step": trainer.step,
        "seconds": trainer.seconds,
        "settings": asdict(trainer.settings),
        "config": trainer.model.config.to_dict(),
        "variants": sorted(variants_of(trainer.model)),
        "model": trainer.model.state_dict(),
        "optimizers": {k: v.state_dict() for k, v in trainer.optimizers.by_name.items()},
    }
    if trainer.average is not None:
        state["average"] = trainer.average.model.state_dict()
        state["n_updates"] = trainer.average.n_updates
    if trainer.discriminators is not None:
        state["discriminators"] = trainer.discriminators.state_dict()
        state["discriminator_config"] = trainer.discriminators.config.to_dict()
    for name in ("codebooks", "dead"):
        if (watcher := getattr(trainer, name)) is not None:
            state[name] = watcher.state_dict()
    _write(state, path)


def _write(state: dict[str, Any], path: Path) -> None:
    """Raises OutputError, also where torch's zip writer hides the cause of a failed write."""
    with output_file(path, overwrite=True) as file:
        tracked = _ErrorTrackingFile(file)
        try:
            torch.save(state, tracked)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise tracked.error or error from error


class _ErrorTrackingFile(io.RawIOBase):
    """A file that keeps the error of the first write that failed."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise


def load(trainer: Trainer, path: Path) -> None:
    """Restore a trainer's state from a checkpoint; the trainer keeps its own settings.

    State that the checkpoint lacks, such as discriminators that join later, stays as it is. Raises
    ModelError for a file that is no checkpoint, or one of another model.
    """
    state = read(path)
    with _fitting(path, "the settings of this run"):
        if state["config"] != trainer.model.config.to_dict():
            raise ModelError(f"{path}: a checkpoint of another model: {quoted(state['config'])}")
        trainer.step, trainer.seconds = int(state["step"]), float(state["seconds"])
        trainer.model.load_state_dict(state["model"])
        if trainer.average is not None:
            trainer.average.model.load_state_dict(state.get("average", state["model"]))
            trainer.average.n_updates = state.get("n_updates", 0)
        if trainer.discriminators is not None and "discriminators" in state:
            load_discriminators(trainer, state, path)
        for name, optimizer in trainer.optimizers.by_name.items():
            if name in state["optimizers"]:
                optimizer.load_state_dict(state["optimizers"][name])
        for name in ("codebooks", "dead"):
            if (watcher := getattr(trainer, name)) is not None and name in state:
                watcher.load_state_dict(state[name])


def trained_model(path: Path) -> DAC:
    """The model of a checkpoint, or its moving average if there is one, with its variants.

    Weight normalization is folded into plain convolutions. Raises ModelError.
    """
    state = read(path)
    with _fitting(path, "its own configuration"):
        model = rebuilt(ModelConfig.from_dict(state["config"]), state["variants"])
        weights = state.get("average", state["model"])
        if any("parametrizations" in name for name in weights):
            with_weight_norm(model)
        model.load_state_dict(weights)
        return exported(model)


def load_discriminators(trainer: Trainer, state: Mapping[str, Any], path: Path) -> None:
    """Load only the discriminators. Raises ModelError where there are none of the same shape."""
    if trainer.discriminators is None or "discriminators" not in state:
        raise ModelError(f"{path}: holds no discriminators, or this run has none")
    if state.get("discriminator_config") != trainer.discriminators.config.to_dict():
        raise ModelError(f"{path}: has discriminators of other widths or windows")
    with _fitting(path, "the settings of this run"):
        trainer.discriminators.load_state_dict(state["discriminators"])


def read(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint, read without executing code. Raises ModelError."""
    try:
        content = read_torch_file(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ModelError("not a checkpoint of this version of audiocodec train")
        state: dict[str, Any] = read_tensors(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return state


@contextmanager
def _fitting(path: Path, to_what: str) -> Iterator[None]:
    """Turn torch's errors about names, types and shapes of values into a ModelError."""
    try:
        yield
    except CodecError:
        raise
    except Exception as error:  # a hostile file can cause almost any of them
        raise ModelError(f"{path}: does not fit {to_what}: {one_line(error)}") from error


def save_batch(audio: Tensor, figures: Mapping[str, float], step: int, path: Path) -> None:
    """Save the batch (B, 1, T) whose loss was not finite, for analysis. Raises OutputError."""
    _write({"step": step, "figures": dict(figures), "audio": audio.cpu()}, path)
