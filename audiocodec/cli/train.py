"""`audiocodec train`: train a model by the paper's recipe.

Every part of the recipe is a dataclass in train/settings.py, whose fields are the flags here.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import argbind

from audiocodec.cli.arguments import CONFIGURED, GIVEN
from audiocodec.cli.operands import check_folder
from audiocodec.errors import ArgumentError
from audiocodec.lab.train.settings import (
    DiscriminatorSettings,
    LossSettings,
    Optimisation,
    QuantizerTraining,
    Running,
    Sampling,
    TrainSettings,
    Variants,
    numbers,
)
from audiocodec.model.config import ModelConfig

GROUP = "train"
Settings = TypeVar("Settings")


def _flags(kind: type[Settings]) -> Callable[[], Settings]:
    """A function that makes the dataclass from flags; binding the class would change it."""

    def make(**values: object) -> Settings:
        return kind(**values)

    make.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
    make.__doc__, make.__name__, make.__qualname__ = kind.__doc__, kind.__name__, kind.__name__
    return argbind.bind(make, without_prefix=True, group=GROUP)


losses, optimisation = _flags(LossSettings), _flags(Optimisation)
quantizer, running = _flags(QuantizerTraining), _flags(Running)
sampling, variants = _flags(Sampling), _flags(Variants)
discriminators = _flags(DiscriminatorSettings)


@argbind.bind(without_prefix=True, group=GROUP)
def network(
    sample_rate: int = 44100,
    encoder_dim: int = 64,
    latent_dim: int = 0,
    decoder_dim: int = 1536,
    strides: str = "2 4 8 8",
    decoder_strides: str = "",
    n_codebooks: int = 9,
    codebook_size: int = 1024,
    codebook_dim: int = 8,
) -> ModelConfig:
    """Shape of the model (paper, sections 3.1 to 3.3).

    Parameters
    ----------
    sample_rate : int
        in Hz; recordings of other rates are resampled
    encoder_dim : int
        channels after the encoder's first convolution; doubled at every stage
    latent_dim : int
        channels of the latent; 0: what the encoder's last stage has
    decoder_dim : int
        channels after the decoder's first convolution; halved at every stage
    strides : str
        of the encoder's stages
    decoder_strides : str
        of the decoder's; empty: the encoder's backwards
    n_codebooks : int
        of the residual quantizer
    codebook_size : int
        entries of a codebook
    codebook_dim : int
        channels in which codes are looked up
    """
    downwards = numbers(strides)
    upwards = numbers(decoder_strides) or downwards[::-1]
    return ModelConfig(
        sample_rate=sample_rate,
        encoder_dim=encoder_dim,
        encoder_strides=downwards,
        latent_dim=latent_dim,
        decoder_dim=decoder_dim,
        decoder_strides=upwards,
        n_codebooks=n_codebooks,
        codebook_size=codebook_size,
        codebook_dim=codebook_dim,
    )


@argbind.bind(without_prefix=True, group=GROUP)
def train(
    data: str = "",
    out: str = "",
    valid: str = "",
    init: str = "random",
    init_from: str = "",
    init_discriminators: str = "",
    device: str = "auto",
    debug: bool = False,
) -> int:
    """Train a model; the same command goes on where a run was stopped.

    Parameters
    ----------
    data : str
        manifest (CSV, JSONL) or class=FOLDER; several, separated by commas
    out : str
        folder for checkpoints, logs and the model
    valid : str
        like data: held-out recordings to measure on
    init : str
        random, or linear: a linear codec in closed form, from 96 s of the data
    init_from : str
        start from a model: a name, owner/name on the hub, a folder or a file
    init_discriminators : str
        take the discriminators of this checkpoint
    device : str
        auto, cpu or cuda
    debug : bool
        show where an error came from
    """
    if not data or not out:
        raise ArgumentError("give --data with at least one source, and --out with a folder")
    check_folder(out)
    from audiocodec.lab.train.run import Plan, run

    plan = Plan(
        data=_listed(data),
        out=Path(out),
        network=network(),
        settings=TrainSettings(losses(), optimisation(), quantizer(), running()),
        sampling=sampling(),
        discriminators=discriminators(),
        variants=variants(),
        valid=_listed(valid),
        init=init,
        init_from=init_from,
        init_discriminators=init_discriminators,
        device=device,
        insisted=GIVEN.get(),
        recipe=CONFIGURED.get(),
    )
    run(plan)
    return 0


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
