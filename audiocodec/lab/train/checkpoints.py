"""The full state of a training on disk: whole or not at all, read without executing anything."""

import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiocodec.errors import ModelError
from audiocodec.files import output_file
from audiocodec.lab.train.generator import exported, with_weight_norm
from audiocodec.lab.train.trainer import Trainer
from audiocodec.lab.train.variants import rebuilt, variants_of
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC

LATEST, BEST = "checkpoint.pt", "best.pt"
FORMAT = "audiocodec-training-1"


def save(trainer: Trainer, path: Path, **more: float) -> None:
    """Write all that a run needs to go on, and more figures by name."""
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
    with output_file(path, overwrite=True) as file:
        torch.save(state, file)


def load(trainer: Trainer, path: Path) -> None:
    """Go on from a checkpoint; settings are those of `trainer`.

    What the checkpoint lacks, as discriminators that join later, stays as it is. Raises ModelError
    where it is not a checkpoint, or of another model.
    """
    state = read(path)
    if state["config"] != trainer.model.config.to_dict():
        raise ModelError(f"{path}: a checkpoint of another model: {state['config']}")
    trainer.step, trainer.seconds = state["step"], state["seconds"]
    try:
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
    except (RuntimeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: does not fit the settings of this run: {reason}") from error


def trained_model(path: Path) -> DAC:
    """The model of a checkpoint, its moving average if there is one, variants and all.

    In plain convolutions, to be decoded with as modules. Raises ModelError.
    """
    state = read(path)
    model = rebuilt(ModelConfig.from_dict(state["config"]), state["variants"])
    weights = state.get("average", state["model"])
    if any("parametrizations" in name for name in weights):
        with_weight_norm(model)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights do not fit its configuration") from error
    return exported(model)


def load_discriminators(trainer: Trainer, state: Mapping[str, Any], path: Path) -> None:
    """Take over discriminators alone. Raises ModelError where there are none of the same shape."""
    if trainer.discriminators is None or "discriminators" not in state:
        raise ModelError(f"{path}: holds no discriminators, or this run has none")
    if state["discriminator_config"] != trainer.discriminators.config.to_dict():
        raise ModelError(f"{path}: has discriminators of other widths or windows")
    trainer.discriminators.load_state_dict(state["discriminators"])


def read(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint; nothing in it is executed. Raises ModelError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path}: not a readable checkpoint: {reason}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ModelError(f"{path}: not a checkpoint of this version of audiocodec train")
    return state


def save_batch(audio: Tensor, figures: Mapping[str, float], step: int, path: Path) -> None:
    """Keep the batch on which a loss was not finite, to look into it."""
    with output_file(path, overwrite=True) as file:
        torch.save({"step": step, "figures": dict(figures), "audio": audio.cpu()}, file)
