"""Finds settings that have no effect because of others."""

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import NamedTuple

from audiocodec.errors import ArgumentError
from audiocodec.lab.train.settings import DiscriminatorSettings, Sampling, TrainSettings

NETWORK = (
    *("sample_rate", "encoder_dim", "latent_dim", "decoder_dim", "strides", "decoder_strides"),
    *("n_codebooks", "codebook_size", "codebook_dim"),
)
ADVERSARIAL = (
    *(field.name for field in fields(DiscriminatorSettings)),
    *("clip_discriminators", "lr_discriminators", "adversary_from", "init_discriminators"),
)


class Idle(NamedTuple):
    """Names of settings without effect, and the reason."""

    names: tuple[str, ...]
    reason: str


def check_effects(insisted: Collection[str], idle: Iterator[Idle]) -> None:
    """Raise ArgumentError where a setting that the user gave has no effect.

    insisted: names of the settings given on the command line, not by a configuration file.
    """
    for names, reason in idle:
        if given := [name for name in names if name in insisted]:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ArgumentError(f"{flags}: without effect, because {reason}; leave it out")


def idle_start(init_from: str, valid: Collection[str]) -> Iterator[Idle]:
    """Settings without effect because of the model to start from, or without --valid."""
    if init_from:
        reason = f"the model and its shape are those of --init-from {init_from}"
        yield Idle((*NETWORK, "init"), reason)
    if not valid:
        names = ("validate_every", "listen_every")
        yield Idle(names, "there is nothing to validate on without --valid")


def idle_settings(settings: TrainSettings) -> Iterator[Idle]:
    """Settings without effect because of other losses, optimisation and quantizer settings."""
    losses, chosen, quantizer = settings.losses, settings.optimisation, settings.quantizer
    if not losses.adversary:
        reason = "there are no discriminators: --adversarial-weight and --feature-weight are 0"
        yield Idle(ADVERSARIAL, reason)
    elif chosen.adversary_from >= chosen.steps:
        yield Idle(("adversary_from",), f"the training ends before it, after {chosen.steps} steps")
    if chosen.schedule != "exponential":
        yield Idle(("gamma",), f"it belongs to --schedule exponential, not {chosen.schedule}")
    if not losses.mel_weight:
        yield Idle(("mel_ramp",), "--mel-weight is 0")
    if not losses.complex_weight:
        yield Idle(("complex_exponent",), "--complex-weight is 0")
    if quantizer.codebook_decay:
        yield Idle(("codebook_weight",), "--codebook-decay moves the codebooks by averages")
    if not quantizer.revive:
        yield Idle(("revive_decay",), "--revive is 0")


def idle_families(chosen: DiscriminatorSettings) -> Iterator[Idle]:
    """Widths of discriminators of families that are left out."""
    for family, names in (
        ("periods", ("period_width",)),
        ("fft_sizes", ("band_width", "band_edges")),
        ("rates", ("scale_width",)),
    ):
        if not getattr(chosen, family).split():
            yield Idle(names, f"--{family.replace('_', '-')} is empty")


def idle_sampling(sampling: Sampling) -> Iterator[Idle]:
    """Settings without effect because of other sampling settings."""
    if not sampling.cache:
        yield Idle(("cache_gib",), "there is no --cache")
