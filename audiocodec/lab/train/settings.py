"""How to train: what of the recipe can be chosen; each value is a flag of `audiocodec train`.

The defaults are those of the published recipe.
"""

import math
from dataclasses import dataclass, field

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.scales import PAPER_MELS, PAPER_WINDOWS, STFT_WINDOWS

SCHEDULES = ("exponential", "cosine")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class LossSettings:
    """Weights of the generator's losses; a weight of 0 leaves that loss out.

    Parameters
    ----------
    mel_weight : float
        multi-scale L1 of log mel magnitudes (paper, section 3.4)
    mel_windows : str
        its window lengths in samples
    mel_bins : str
        its mel bands, one number for each window
    mel_ramp : int
        steps over which mel_weight rises from zero
    stft_weight : float
        multi-scale STFT distance
    waveform_weight : float
        L1 of the samples
    complex_weight : float
        relative error of the complex spectrogram: not in the paper; gives short trainings the phase
    complex_exponent : float
        0: loud bands decide that error, 1: every band and frame counts alike
    commitment_weight : float
        encoder towards codebooks
    codebook_weight : float
        codebooks towards encoder, where they learn by gradient
    adversarial_weight : float
        least squares against the discriminators
    feature_weight : float
        L1 between the discriminators' layers
    """

    mel_weight: float = 15.0
    mel_windows: str = " ".join(map(str, PAPER_WINDOWS))
    mel_bins: str = " ".join(map(str, PAPER_MELS))
    mel_ramp: int = 0
    stft_weight: float = 0.0
    waveform_weight: float = 0.0
    complex_weight: float = 0.0
    complex_exponent: float = 0.5
    commitment_weight: float = 0.25
    codebook_weight: float = 1.0
    adversarial_weight: float = 1.0
    feature_weight: float = 2.0

    def __post_init__(self) -> None:
        if len(numbers(self.mel_windows)) != len(numbers(self.mel_bins)):
            raise ArgumentError(
                f"mel_windows {self.mel_windows!r} and mel_bins {self.mel_bins!r}: as many of "
                "the one as of the other"
            )

    @property
    def longest_window(self) -> int:
        """Of all spectrograms, in samples; an excerpt must be longer than half of it."""
        return max(*numbers(self.mel_windows), *STFT_WINDOWS)

    @property
    def adversary(self) -> bool:
        """Whether there are discriminators."""
        return self.adversarial_weight > 0 or self.feature_weight > 0


@dataclass(frozen=True)
class Optimisation:
    """Optimiser, schedule, precision (paper, section 4.2).

    Parameters
    ----------
    steps : int
        of the whole training
    batch_size : int
        excerpts a step, over all processes
    seed : int
        everything random follows from it and the step
    lr : float
        learning rate
    schedule : str
        exponential: times gamma each step; cosine: to zero on half a cosine
    gamma : float
        of the exponential schedule
    warmup : int
        steps of linear rise
    beta1 : float
        of AdamW
    beta2 : float
        of AdamW
    weight_decay : float
        of AdamW and Muon
    muon : bool
        move the matrices of encoder and decoder by Muon instead of AdamW
    weight_norm : bool
        train convolutions as direction and length, as the published weights were
    clip : float
        largest gradient norm of the generator
    clip_discriminators : float
        largest gradient norm of the discriminators
    lr_discriminators : float
        their learning rate, relative to lr
    adversary_from : int
        first step with discriminators; from there lr_discriminators counts, and both losses
    average : float
        decay of the moving average of the generator's weights, which is validated and exported
    precision : str
        of the networks: float32, or bfloat16; losses and quantizer are in float32
    compile : bool
        run the networks through torch.compile
    """

    steps: int = 400_000
    batch_size: int = 72
    seed: int = 0
    lr: float = 1e-4
    schedule: str = "exponential"
    gamma: float = 0.999996
    warmup: int = 0
    beta1: float = 0.8
    beta2: float = 0.99
    weight_decay: float = 0.01
    muon: bool = False
    weight_norm: bool = False
    clip: float = 1000.0
    clip_discriminators: float = 10.0
    lr_discriminators: float = 1.0
    adversary_from: int = 0
    average: float = 0.0
    precision: str = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise ArgumentError(
                    f"{name} {getattr(self, name)!r}; it must be {' or '.join(allowed)}"
                )
        if self.steps < 1 or self.batch_size < 1 or not self.lr > 0:
            raise ArgumentError("steps and batch_size must be at least 1, lr greater than 0")
        if not 0 <= self.average < 1:
            raise ArgumentError(f"average {self.average}; it must be from 0 to below 1")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == "exponential":
            return self.lr * rise * self.gamma**step
        return self.lr * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))


@dataclass(frozen=True)
class QuantizerTraining:
    """How the quantizer learns.

    Parameters
    ----------
    dropout : float
        share of a batch's items that use a random number of codebooks (paper, section 3.3)
    codebook_decay : float
        move codebooks by moving averages of this decay instead of by gradient; 0: gradient
    kmeans : bool
        start the codebooks at the k-means of real latents
    revive : float
        set entries used less than this share of even use to vectors of the batch; 0: never
    revive_decay : float
        of the moving average of use; entries that nothing chooses last about 2.3 / (1 - it) steps
    rotation : bool
        pass gradients by the rotation trick (arXiv 2410.06424) instead of straight through
    quantizer_from : int
        first step that moves the projections around the codebooks
    quantizer_lr : float
        their learning rate, relative to lr
    """

    dropout: float = 0.5
    codebook_decay: float = 0.0
    kmeans: bool = False
    revive: float = 0.0
    revive_decay: float = 0.99
    rotation: bool = False
    quantizer_from: int = 0
    quantizer_lr: float = 1.0

    def __post_init__(self) -> None:
        for name in ("dropout", "codebook_decay", "revive", "revive_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name} {getattr(self, name)}; it must be 0 to 1")


@dataclass(frozen=True)
class Running:
    """What is written down while a training runs, and how often, in steps; 0 for never.

    Parameters
    ----------
    save_every : int
        the checkpoint to go on from
    keep_every : int
        checkpoints that stay
    log_every : int
        losses, learning rate, gradient norms, codebook usage
    validate_every : int
        figures on held-out excerpts, and the best checkpoint
    listen_every : int
        their sound and spectrograms
    """

    save_every: int = 1000
    keep_every: int = 50_000
    log_every: int = 20
    validate_every: int = 1000
    listen_every: int = 10_000


@dataclass(frozen=True)
class Variants:
    """Networks to compare with in ablations; a model with one of them is not exported as a codec.

    Parameters
    ----------
    activation : str
        snake, relu or leaky_relu
    euclidean : bool
        look codes up by distance instead of by angle
    """

    activation: str = "snake"
    euclidean: bool = False


@dataclass(frozen=True)
class DiscriminatorSettings:
    """Which discriminators, and how wide; lists are separated by spaces (paper, section 3.4).

    Parameters
    ----------
    periods : str
        of the multi-period discriminators
    fft_sizes : str
        of the multi-band multi-resolution STFT discriminators
    band_edges : str
        of their bands, as parts of the spectrum
    rates : str
        by which multi-scale discriminators divide the sample rate; none in the paper's final model
    period_width : int
        channels of the multi-period discriminators' first layer
    band_width : int
        channels of the STFT discriminators
    scale_width : int
        channels of the multi-scale discriminators' first layer
    """

    periods: str = "2 3 5 7 11"
    fft_sizes: str = "2048 1024 512"
    band_edges: str = "0 0.1 0.25 0.5 0.75 1"
    rates: str = ""
    period_width: int = 32
    band_width: int = 32
    scale_width: int = 16


@dataclass(frozen=True)
class Sampling:
    """How excerpts are drawn (paper, section 3.5).

    Parameters
    ----------
    shares : str
        how often each class is drawn, as in "speech=3 music=2"; empty: all alike; of a recipe's,
        those of classes without recordings are dropped
    balance : str
        within a class: groups alike, by duration; none: all recordings by duration, no classes
    full_band_share : float
        at least this share of a batch is from full-band recordings, with sound beyond 10 kHz; a
        recipe's is lowered to what is there
    excerpt_s : float
        length of an excerpt in seconds, rounded up to whole frames
    no_phase_shift : bool
        leave phases as they are
    cache : str
        folder for decoded audio, so that files are decoded once; empty: decode each time
    cache_gib : float
        largest size of that folder; what does not fit is decoded each time
    workers : int
        processes that prepare batches ahead, for each training process
    """

    shares: str = ""
    balance: str = "groups"
    full_band_share: float = 0.0
    excerpt_s: float = 0.38
    no_phase_shift: bool = False
    cache: str = ""
    cache_gib: float = 32.0
    workers: int = 0

    @property
    def share_of_class(self) -> dict[str, float]:
        """'speech=3 music=2' -> {"speech": 3.0, "music": 2.0}. Raises ArgumentError."""
        try:
            parts = (part.split("=") for part in self.shares.split())
            return {kind: float(share) for kind, share in parts}
        except ValueError as error:
            raise ArgumentError(
                f"--shares {self.shares!r} does not look like 'speech=3 music=2'"
            ) from error


@dataclass(frozen=True)
class TrainSettings:
    """What a trainer needs to know."""

    losses: LossSettings = field(default_factory=LossSettings)
    optimisation: Optimisation = field(default_factory=Optimisation)
    quantizer: QuantizerTraining = field(default_factory=QuantizerTraining)
    running: Running = field(default_factory=Running)


def numbers(text: str) -> tuple[int, ...]:
    """'32 64' -> (32, 64). Raises ArgumentError."""
    try:
        return tuple(int(part) for part in str(text).split())
    except ValueError as error:
        raise ArgumentError(f"{text!r}: not whole numbers separated by spaces") from error
