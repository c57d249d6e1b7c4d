"""Settings of a training run; each field is a flag of `audiocodec train`.

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
        weight of the multi-scale mel loss: L1 of log mel magnitudes (paper, section 3.4)
    mel_windows : str
        STFT window lengths of the mel loss, in samples
    mel_bins : str
        numbers of mel bands of the mel loss, one for each window length
    mel_ramp : int
        steps over which the mel loss fades in, from weight 0 to --mel-weight
    stft_weight : float
        weight of the multi-scale STFT loss: L1 of linear and log magnitudes
    waveform_weight : float
        weight of the waveform loss: L1 of the samples
    complex_weight : float
        weight of the complex spectrogram loss, which is not in the paper and teaches short
        trainings the phase
    complex_exponent : float
        balance of the complex spectrogram loss, from 0 (loud bands decide) to 1 (all bands and
        frames count alike)
    commitment_weight : float
        weight of the commitment loss, which pulls latents towards codebook entries
    codebook_weight : float
        weight of the codebook loss, which pulls codebook entries towards latents
    adversarial_weight : float
        weight of the least-squares adversarial loss
    feature_weight : float
        weight of the feature matching loss: L1 between the discriminators' activations
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
                f"mel_windows {self.mel_windows!r} and mel_bins {self.mel_bins!r} must have the "
                "same number of entries"
            )

    @property
    def longest_window(self) -> int:
        """Longest STFT window of the losses, in samples; an excerpt must exceed half of it."""
        return max(*numbers(self.mel_windows), *STFT_WINDOWS)

    @property
    def adversary(self) -> bool:
        """Whether the losses need discriminators."""
        return self.adversarial_weight > 0 or self.feature_weight > 0


@dataclass(frozen=True)
class Optimisation:
    """Optimisers, schedule and precision (paper, section 4.2).

    Parameters
    ----------
    steps : int
        total number of training steps
    batch_size : int
        excerpts per step, over all processes
    seed : int
        random seed; with the step number it determines all random choices
    lr : float
        highest learning rate, which warmup reaches and the schedule lowers
    schedule : str
        how the learning rate falls: exponential (by --gamma each step) or cosine (to 0 at the end)
    gamma : float
        factor on the learning rate at each step of the exponential schedule
    warmup : int
        steps over which the learning rate rises linearly at the start
    beta1 : float
        AdamW's first beta
    beta2 : float
        AdamW's second beta
    weight_decay : float
        weight decay of AdamW and Muon
    muon : bool
        train the weight matrices of encoder and decoder with Muon instead of AdamW
    weight_norm : bool
        train convolutions with weight normalization, as the published models were
    clip : float
        norm to which the generator's gradient is clipped
    clip_discriminators : float
        norm to which the discriminators' gradient is clipped
    lr_discriminators : float
        learning rate of the discriminators, as a multiple of --lr
    adversary_from : int
        step at which discriminators join, and with them the adversarial and feature matching
        losses
    average : float
        decay of a moving average (EMA) of the generator's weights, which is then validated and
        exported; 0: no average
    precision : str
        precision of the networks: float32 or bfloat16; losses and quantizer stay in float32
    compile : bool
        compile the networks with torch.compile
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
        quantizer dropout: fraction of a batch's items that use a random number of codebooks
        (paper, section 3.3)
    codebook_decay : float
        decay of moving averages (EMA) that update the codebooks instead of gradients; 0: gradients
    kmeans : bool
        initialize the codebooks by k-means of real latents
    revive : float
        replace codebook entries used less than this fraction of the mean by vectors of the batch;
        0: never
    revive_decay : float
        decay of the moving average of entry use for --revive; an unused entry lasts about
        2.3 / (1 - decay) steps with --revive 0.1
    rotation : bool
        pass gradients through the quantizer by the rotation trick (arXiv 2410.06424) instead of
        straight through
    quantizer_from : int
        step at which gradients begin to train the quantizer's projections and codebooks
    quantizer_lr : float
        learning rate of the quantizer, as a multiple of --lr
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
    """How often a run saves, logs and validates, in steps; 0 for never.

    Parameters
    ----------
    save_every : int
        steps between saves of checkpoint.pt, from which a stopped run resumes
    keep_every : int
        steps between checkpoints that are kept, as step_N.pt
    log_every : int
        steps between log lines: losses, learning rates, gradient norms, codebook usage
    validate_every : int
        steps between validations on --valid, whose best checkpoint is kept as best.pt
    listen_every : int
        steps between held-out excerpts sent to TensorBoard, as audio and spectrograms
    """

    save_every: int = 1000
    keep_every: int = 50_000
    log_every: int = 20
    validate_every: int = 1000
    listen_every: int = 10_000


@dataclass(frozen=True)
class Variants:
    """Network variants for ablations; a model with one of them is not exported as a codec.

    Parameters
    ----------
    activation : str
        activation of encoder and decoder: snake, relu or leaky_relu
    euclidean : bool
        look codebook entries up by Euclidean distance instead of by angle
    """

    activation: str = "snake"
    euclidean: bool = False


@dataclass(frozen=True)
class DiscriminatorSettings:
    """Discriminators and their widths; lists are separated by spaces (paper, section 3.4).

    Parameters
    ----------
    periods : str
        periods of the multi-period discriminators, in samples; "": no such discriminators
    fft_sizes : str
        STFT window lengths of the multi-band discriminators, in samples; "": none of them
    band_edges : str
        band edges of the multi-band discriminators, as fractions of the Nyquist frequency
    rates : str
        downsampling factors of the multi-scale discriminators, which the paper's final model lacks
    period_width : int
        channels of the first layer of each multi-period discriminator
    band_width : int
        channels of each multi-band discriminator
    scale_width : int
        channels of the first layer of each multi-scale discriminator
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
        relative frequency of each class, as in "speech=3 music=2"; empty: all alike; from a
        configuration file, classes without recordings are dropped
    balance : str
        how recordings are drawn: groups (all groups of a class alike), duration (in proportion to
        length within a class) or none (in proportion to length, whatever the class)
    full_band_share : float
        smallest fraction of a batch from full-band recordings, with sound beyond 10 kHz; from a
        configuration file, lowered to what the recordings allow
    excerpt_s : float
        length of an excerpt in seconds, rounded up to whole frames
    no_phase_shift : bool
        do not shift the phase of each excerpt by a random angle
    cache : str
        folder for decoded audio, so that files are decoded once; empty: decode each excerpt anew
    cache_gib : float
        largest size of the --cache folder in GiB; other recordings are decoded each time
    workers : int
        processes that prepare batches ahead, per training process; 0: none
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
    """All settings of a Trainer."""

    losses: LossSettings = field(default_factory=LossSettings)
    optimisation: Optimisation = field(default_factory=Optimisation)
    quantizer: QuantizerTraining = field(default_factory=QuantizerTraining)
    running: Running = field(default_factory=Running)


def numbers(text: str) -> tuple[int, ...]:
    """'32 64' -> (32, 64). Raises ArgumentError."""
    try:
        return tuple(int(part) for part in str(text).split())
    except ValueError as error:
        raise ArgumentError(f"{text!r}: must be whole numbers separated by spaces") from error
