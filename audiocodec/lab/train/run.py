"""A whole training: finds recordings, initializes the model, trains it and exports it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from audiocodec.errors import ArgumentError
from audiocodec.files import make_folder, write_file
from audiocodec.lab.train import checkpoints, distributed, variants
from audiocodec.lab.train.cache import Cache
from audiocodec.lab.train.codebooks import init_codebooks
from audiocodec.lab.train.discriminators import DiscriminatorConfig, Discriminators
from audiocodec.lab.train.effects import (
    NETWORK,
    check_effects,
    idle_families,
    idle_sampling,
    idle_settings,
    idle_start,
)
from audiocodec.lab.train.excerpts import Excerpts, ExcerptSettings, check_shares
from audiocodec.lab.train.fitting import fitted_full_band, fitted_shares
from audiocodec.lab.train.generator import published_start
from audiocodec.lab.train.linear_init import linear_init
from audiocodec.lab.train.loader import Loader
from audiocodec.lab.train.loop import Loop
from audiocodec.lab.train.settings import (
    DiscriminatorSettings,
    Sampling,
    TrainSettings,
    Variants,
    numbers,
)
from audiocodec.lab.train.sources import TrainingRecording, scan, with_full_band
from audiocodec.lab.train.trainer import Trainer
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.resolve import resolve
from audiocodec.weights.store import load_model, save_model

STARTS = ("random", "linear")
LINEAR_SECONDS = 96  # of audio for the linear start, in excerpts of one second
KMEANS_EXCERPTS = 512  # of training length, for codebooks from k-means
HELD_OUT, HELD_OUT_S = 48, 2.0  # excerpts to validate on
HELD_OUT_SEED = 1
MODEL, PLAN = "model", "plan.json"


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that defines a training run.

    data, valid: sources, [class=]PATH; see train.sources. insisted: names of settings given on the
    command line. Each of them must have an effect, see train.effects; shares and full_band_share
    are fitted to the recordings unless they are among them, see train.fitting. recipe: names of
    settings from a configuration file.
    Raises ArgumentError for an impossible setting, or an insisted one without effect.
    """

    data: tuple[str, ...]
    out: Path
    network: ModelConfig
    settings: TrainSettings = field(default_factory=TrainSettings)
    sampling: Sampling = field(default_factory=Sampling)
    discriminators: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    variants: Variants = field(default_factory=Variants)
    valid: tuple[str, ...] = ()
    init: str = "random"
    init_from: str = ""
    init_discriminators: str = ""
    device: str = "auto"
    insisted: tuple[str, ...] = ()
    recipe: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.data:
            raise ArgumentError("--data names no source")
        if self.init not in STARTS:
            raise ArgumentError(f"--init {self.init!r}; it must be {' or '.join(STARTS)}")
        if self.init_from and Path(self.init_from).resolve().is_relative_to(self.out.resolve()):
            raise ArgumentError(
                f"--init-from {self.init_from}: lies in --out, where this training writes its "
                "own model; name another --out"
            )
        idle = chain(
            idle_start(self.init_from, self.valid),
            idle_settings(self.settings),
            idle_families(self.discriminators),
            idle_sampling(self.sampling),
        )
        check_effects(self.insisted, idle)


@dataclass(frozen=True)
class Found:
    """The recordings of a plan: for training and, in the first process, for validation."""

    recordings: list[TrainingRecording]
    held_out: list[TrainingRecording]


def run(plan: TrainingPlan) -> Path:
    """Train, resuming from the folder's checkpoint if there is one; returns the model's folder.

    Impossible plans are refused before a model is downloaded, as far as possible.
    Raises TrainingDiverged, ArgumentError, AudioError, ModelError, OutputError.
    """
    with distributed.joined(plan.device) as device, _folder(plan.out):
        plan, found = _prepared(plan)
        model = _started(plan, device)
        plan = _with_network_of(model, plan)
        trained = Training(plan, found, model, device)
        with trained.loader:
            trained.loop.run()
        if distributed.rank() == 0:
            _export(plan, trained.trainer)
        distributed.barrier()
    return plan.out / MODEL


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Creates the folder of a run; removes it again if it is empty at the end."""
    made = [one for one in (path, *path.parents) if not one.exists()]  # the innermost first
    make_folder(path)
    try:
        yield
    finally:
        for one in made:
            with suppress(OSError):  # it is not empty
                one.rmdir()


def _prepared(plan: TrainingPlan) -> tuple[TrainingPlan, Found]:
    """The plan with shares fitted to its recordings, and the recordings.

    Measures which ones are full-band where that is unknown and matters.
    """
    recordings, insisted = scan(plan.data).recordings, plan.insisted
    sampling = fitted_shares(plan.sampling, recordings, insisted, _say)
    check_shares(sampling.share_of_class, recordings)
    if sampling.full_band_share and any(one.full_band is None for one in recordings):
        recordings = with_full_band(recordings).recordings
    sampling = fitted_full_band(sampling, recordings, insisted, _say)
    # refuses what cannot be drawn or is silent; the exact excerpt length depends on the model
    rate = plan.network.sample_rate
    settings = _excerpt_settings(sampling, max(1, round(sampling.excerpt_s * rate)), rate, 1)
    excerpts = Excerpts(recordings, sampling.share_of_class, settings)
    excerpts.check_audible(plan.settings.optimisation.seed)
    held_out = plan.valid if distributed.rank() == 0 else ()
    found = Found(recordings, scan(held_out).recordings if held_out else [])
    return replace(plan, sampling=sampling), found


def _excerpt_settings(
    sampling: Sampling, n_samples: int, sample_rate: int, batch_size: int
) -> ExcerptSettings:
    return ExcerptSettings(
        n_samples,
        sample_rate,
        batch_size,
        sampling.balance,
        sampling.full_band_share,
        not sampling.no_phase_shift,
    )


def _started(plan: TrainingPlan, device: torch.device) -> DAC:
    """The model, loaded or randomly initialized, with its variants, on the device."""
    torch.manual_seed(plan.settings.optimisation.seed)
    if plan.init_from:
        located = resolve(plan.init_from)
        model, _ = load_model(located.path, "aligned")  # decoded audio has the input's length
        model.requires_grad_(True)
    else:
        model = DAC(plan.network)
        published_start(model)
    variants.use_activation(model, plan.variants.activation)
    if plan.variants.euclidean:
        variants.use_euclidean_lookup(model)
    if plan.settings.quantizer.rotation:
        variants.use_rotation_trick(model)
    return model.to(device)


def _with_network_of(model: DAC, plan: TrainingPlan) -> TrainingPlan:
    """The plan with the model's configuration, which is that of init_from if given."""
    if plan.network == model.config:
        return plan
    if unused := [name for name in NETWORK if name in plan.recipe]:
        _say(f"the network is that of {plan.init_from}; the recipe's {', '.join(unused)} not used")
    return replace(plan, network=model.config)


class Training:
    """The parts of a run: cache, loader, trainer and loop."""

    def __init__(self, plan: TrainingPlan, found: Found, model: DAC, device: torch.device) -> None:
        self.plan, self.found = plan, found
        self.config, self.device = model.config, device
        chosen = plan.settings.optimisation
        if chosen.batch_size % distributed.world_size():
            raise ArgumentError(
                f"--batch-size {chosen.batch_size} must be a multiple of the number of processes, "
                f"{distributed.world_size()}"
            )
        minutes = sum(one.seconds for one in found.recordings) / 60
        _say(f"{len(found.recordings)} recordings, {minutes:.0f} minutes")
        self.cache = self._cache()
        excerpts = self._excerpts(self._n_samples(plan.sampling.excerpt_s), chosen.batch_size)
        self.loader = Loader(
            excerpts,
            chosen.seed,
            distributed.share_of(chosen.batch_size),
            chosen.steps,
            plan.sampling.workers,
        )
        goes_on = (plan.out / checkpoints.LATEST).exists()
        if not goes_on:
            self._start(model, excerpts)
        critics = self._discriminators()
        self.trainer = Trainer(model, self.loader.batch, plan.settings, critics)
        if plan.init_discriminators and not goes_on:
            path = Path(plan.init_discriminators)
            checkpoints.load_discriminators(self.trainer, checkpoints.read(path), path)
        self.loop = Loop(self.trainer, plan.out, self._held_out())
        if chosen.compile:
            _say("the first step compiles the networks, which takes a minute")
        if distributed.rank() == 0:
            _write_plan(plan)

    def _n_samples(self, seconds: float) -> int:
        """Length of an excerpt in whole frames. Raises ArgumentError for too short a one."""
        n_samples = self.config.n_frames(round(seconds * self.config.sample_rate)) * self.config.hop
        longest = self.plan.settings.losses.longest_window
        if n_samples <= longest // 2:
            raise ArgumentError(
                f"excerpts of {n_samples} samples are too short for an STFT window of {longest}; "
                "raise --excerpt-s"
            )
        return n_samples

    def _cache(self) -> Cache | None:
        """The cache, which the first process fills while the others wait."""
        sampling = self.plan.sampling
        if not sampling.cache:
            return None
        cache = Cache(Path(sampling.cache), self.config.sample_rate)
        if distributed.rank() == 0:
            cache.build(self.found.recordings, sampling.cache_gib, sampling.workers)
        distributed.barrier()  # drawing skips recordings that cannot be decoded
        return cache

    def _excerpts(self, n_samples: int, batch_size: int) -> Excerpts:
        sampling, rate = self.plan.sampling, self.config.sample_rate
        settings = _excerpt_settings(sampling, n_samples, rate, batch_size)
        shares = sampling.share_of_class
        return Excerpts(self.found.recordings, shares, settings, self.cache)

    def _start(self, model: DAC, excerpts: Excerpts) -> None:
        """Initialize from real audio, if so set; the same in every process."""
        plan, seed = self.plan, self.plan.settings.optimisation.seed
        if plan.init == "linear" and not plan.init_from:
            _say(f"linear start from {LINEAR_SECONDS} s of audio: a minute or two")
            seconds = self._excerpts(self.config.sample_rate, LINEAR_SECONDS)
            model.cpu()
            linear_init(model, seconds.items(seed, 0, range(LINEAR_SECONDS)), seed)
            model.to(self.device)
        if plan.settings.quantizer.kmeans:
            size = self.plan.settings.optimisation.batch_size
            n_batches = -(-KMEANS_EXCERPTS // size)
            parts = [excerpts.items(seed, step, range(size)) for step in range(n_batches)]
            init_codebooks(model, torch.cat(parts), torch.Generator().manual_seed(seed))

    def _discriminators(self) -> Discriminators | None:
        if not self.plan.settings.losses.adversary:
            return None
        torch.manual_seed(self.plan.settings.optimisation.seed + 1)
        return Discriminators(discriminator_config(self.plan.discriminators)).to(self.device)

    def _held_out(self) -> Tensor | None:
        """Excerpts (B, 1, T) to validate on, always the same ones."""
        if not self.found.held_out:
            return None
        settings = ExcerptSettings(
            self._n_samples(HELD_OUT_S), self.config.sample_rate, HELD_OUT, shift_phase=False
        )
        excerpts = Excerpts(self.found.held_out, {}, settings)
        excerpts.check_audible(HELD_OUT_SEED)
        return excerpts.items(HELD_OUT_SEED, 0, range(HELD_OUT))


def discriminator_config(settings: DiscriminatorSettings) -> DiscriminatorConfig:
    """The configuration that settings describe. Raises ArgumentError."""
    try:
        edges = [float(edge) for edge in str(settings.band_edges).split()]
    except ValueError as error:
        raise ArgumentError(f"band_edges {settings.band_edges!r} are not numbers") from error
    return DiscriminatorConfig(
        periods=numbers(settings.periods),
        fft_sizes=numbers(settings.fft_sizes),
        rates=numbers(settings.rates),
        bands=tuple(pairwise(edges)),
        period_width=settings.period_width,
        band_width=settings.band_width,
        scale_width=settings.scale_width,
    )


def _say(text: str) -> None:
    if distributed.rank() == 0:
        tqdm.write(text, sys.stderr)


def _write_plan(plan: TrainingPlan) -> None:
    """Document the settings of the latest run; nothing reads the file."""
    values = asdict(plan)
    if plan.init_from:
        del values["init"]  # it was not used
    text = json.dumps(values, indent=2, default=str) + "\n"
    write_file(plan.out / PLAN, text)


def _export(plan: TrainingPlan, trainer: Trainer) -> None:
    """Write the model, unless Codec cannot run it, as with variants for ablations."""
    if variants.inference_ready(trainer.model):
        save_model(trainer.best_model(), plan.out / MODEL, plan.out.name)
    else:
        _say(f"{plan.out}: a variant that Codec cannot run: only its checkpoints are kept")
