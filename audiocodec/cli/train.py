"""`audiocodec train`: train a model by the paper's recipe.

The flags are the fields of the dataclasses in lab/train/settings.py, and those below.
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
    """A function that makes the dataclass from flags; argbind would alter a class it binds."""

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
    """Shape of the network (paper, sections 3.1 to 3.3).

    Parameters
    ----------
    sample_rate : int
        sample rate of the model in Hz; recordings at other rates are resampled
    encoder_dim : int
        channels after the encoder's first convolution; each stage doubles them
    latent_dim : int
        channels of the latents; 0: as many as the encoder's last stage has
    decoder_dim : int
        channels after the decoder's first convolution; each stage halves them
    strides : str
        downsampling factors of the encoder's stages, separated by spaces
    decoder_strides : str
        upsampling factors of the decoder's stages; empty: the encoder's strides in reverse
    n_codebooks : int
        number of codebooks of the residual quantizer
    codebook_size : int
        number of entries in each codebook
    codebook_dim : int
        dimension of the factorized codes, in which entries are looked up
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
    """Train a model; the same command resumes a stopped run.

    Parameters
    ----------
    data : str
        recordings to train on: class=FOLDER or a manifest (CSV, JSONL); several with commas
    out : str
        folder for checkpoints, logs and the trained model
    valid : str
        held-out recordings to validate on, given like --data
    init : str
        initial weights: random, or linear (a linear codec fitted in closed form to 96 s of data)
    init_from : str
        model to start from: a name, owner/name on the hub, a folder or a file
    init_discriminators : str
        training checkpoint to take the discriminators from
    device : str
        device to train on: auto, cpu or cuda
    debug : bool
        print the traceback of an error
    """
    if not data or not out:
        raise ArgumentError("give --data with at least one source, and --out with a folder")
    check_folder(out)
    from audiocodec.lab.train.run import TrainingPlan, run

    plan = TrainingPlan(
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
