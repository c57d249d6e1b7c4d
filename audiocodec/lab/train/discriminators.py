"""The adversary of training: networks that tell decoded audio from recordings (paper, section 3.3).

Three families look at the same audio: folded by a period (HiFi-GAN, arXiv 2010.05646), as the bands
of complex spectrograms, and, for ablations only, as a downsampled waveform. Each gives the
activations of all its layers, the last one being the score: near 1 for "a recording", near 0 for
"decoded". Shapes: B batch, C channels, T samples, L rows of the folded audio, F frames, K bins.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from audiocodec.errors import ArgumentError

PEAK = 0.8  # that every item is scaled to: the adversary shall not judge by level
SLOPE = 0.1  # of the leaky ReLU below zero
PERIOD_WIDTHS = (1, 4, 16, 32, 32)  # of the layers, in multiples of period_width
SCALE_WIDTHS = (1, 4, 16, 64, 64, 64)  # the same of scale_width
GROUP_WIDTH = 4  # channels a group of a scale discriminator's layer sees
FFT_STEP = 8  # window sizes are multiples of it, so that hop and padding are whole
PUBLISHED_BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Which discriminators judge, and how wide they are; the defaults are the paper's.

    periods: a period discriminator each; fft_sizes: a band discriminator each, the window in
    samples; rates: a scale discriminator each, the factor of downsampling. An empty tuple
    switches a family off.
    bands: from and to, as shares of the spectrum; each band has layers of its own.
    period_width, band_width, scale_width: channels of the first layer of each family.

    Raises ArgumentError for values that are out of bounds or leave nobody to judge.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    fft_sizes: tuple[int, ...] = (2048, 1024, 512)
    rates: tuple[int, ...] = ()
    bands: tuple[tuple[float, float], ...] = PUBLISHED_BANDS
    period_width: int = 32
    band_width: int = 32
    scale_width: int = 16

    def __post_init__(self) -> None:
        for name, step in (("periods", 1), ("fft_sizes", FFT_STEP), ("rates", 1)):
            object.__setattr__(self, name, _sizes(name, getattr(self, name), step))
        object.__setattr__(self, "bands", _bands(self.bands, self.fft_sizes))
        for name in ("period_width", "band_width", "scale_width"):
            _sizes(name, (getattr(self, name),), 1)
        if not (self.periods or self.fft_sizes or self.rates):
            raise ArgumentError("no discriminators: give periods, fft_sizes or rates")

    @property
    def min_samples(self) -> int:
        """The shortest audio that all of them can judge: reflected edges need as much inside."""
        folded = [period + 1 for period in self.periods]
        framed = [size * 5 // 8 for size in self.fft_sizes]
        return max(folded + framed + list(self.rates))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint; from_dict reads them back."""
        values = asdict(self)
        values["bands"] = [list(band) for band in self.bands]
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DiscriminatorConfig":
        """Checked configuration from plain values. Raises ArgumentError, naming the field."""
        if unknown := sorted(set(values) - {field.name for field in fields(cls)}):
            raise ArgumentError(f"unknown settings of the discriminators: {', '.join(unknown)}")
        return cls(**values)


class PeriodDiscriminator(nn.Module):
    """Folds the audio into rows of one period and looks down the columns."""

    def __init__(self, period: int, width: int = 32) -> None:
        super().__init__()
        self.period = period
        widths = [width * factor for factor in PERIOD_WIDTHS]
        strides = [3] * (len(widths) - 1) + [1]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(c_in, c_out, (5, 1), (stride, 1), (2, 0)))
            for c_in, c_out, stride in zip([1, *widths], widths, strides)
        )
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """(B, 1, T > period) -> activations (B, C, L, period), five layers and the score."""
        # A whole period too much where it divides the length, as published.
        missing = self.period - audio.shape[-1] % self.period
        x = F.pad(audio, (0, missing), mode="reflect").unflatten(-1, (-1, self.period))
        activations = _activations(self.convs, x)
        return [*activations, self.score(activations[-1])]


class BandDiscriminator(nn.Module):
    """Looks at bands of the complex spectrogram of one window size, each with its own layers."""

    window: Tensor

    def __init__(
        self,
        fft_size: int,
        bands: tuple[tuple[float, float], ...] = PUBLISHED_BANDS,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.hop = fft_size // 4
        self.bins = [_band_bins(band, fft_size) for band in bands]
        self.register_buffer("window", torch.hann_window(fft_size), persistent=False)
        self.bands = nn.ModuleList(_band_stack(width) for _ in bands)
        self.score = weight_norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """(B, 1, T >= 5/8 window) -> activations (B, C, F, K).

        Five layers of the first band, five of the second..., and the score of all bands joined.
        """
        x = self.spectrogram(audio)
        stacks = [
            _activations(convs, x[..., low:high])
            for convs, (low, high) in zip(self.bands, self.bins)
        ]
        joined = torch.cat([stack[-1] for stack in stacks], dim=-1)
        return [*(layer for stack in stacks for layer in stack), self.score(joined)]

    def spectrogram(self, audio: Tensor) -> Tensor:
        """(B, 1, T) -> real and imaginary part (B, 2, F, K), in single precision or better.

        One frame per hop, ceil(T / hop) in all, the first centred on the middle of the first hop:
        what the published "match_stride" gives, which computes two frames more at each end and
        drops them.
        """
        fft_size = self.window.shape[0]
        edge, n_short = (fft_size - self.hop) // 2, -audio.shape[-1] % self.hop
        with torch.autocast(audio.device.type, enabled=False):  # half precision has no FFT
            audio = _at_least_float32(audio)
            padded = F.pad(audio, (edge, edge + n_short), mode="reflect")[:, 0]
            window = self.window.to(audio.dtype)
            bins = torch.stft(
                padded, fft_size, self.hop, window=window, center=False, return_complex=True
            )
        return torch.view_as_real(bins).permute(0, 3, 2, 1)


class ScaleDiscriminator(nn.Module):
    """Looks at the waveform at a fraction of its sample rate.

    Downsampling by r: a low-pass filter, sinc under a squared cosine of 24 zero crossings to each
    side with its edge at 0.945 of the new Nyquist frequency, edge samples repeated, then every
    r-th sample, floor(T / r) of them. These are the kernel and the length of julius, which the
    published code uses. r = 1 leaves the audio as it is.
    """

    low_pass: Tensor

    def __init__(self, rate: int, width: int = 16) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("low_pass", low_pass_kernel(rate), persistent=False)
        widths = [width * factor for factor in SCALE_WIDTHS]
        grouped = [
            weight_norm(nn.Conv1d(c_in, c_out, 41, 4, 20, groups=_groups(c_in)))
            for c_in, c_out in pairwise(widths[:5])
        ]
        self.convs = nn.ModuleList(
            [
                weight_norm(nn.Conv1d(1, widths[0], 15, padding=7)),
                *grouped,
                weight_norm(nn.Conv1d(widths[4], widths[5], 5, padding=2)),
            ]
        )
        self.score = weight_norm(nn.Conv1d(widths[5], 1, 3, padding=1))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """(B, 1, T >= rate) -> activations (B, C, ~T / rate / stride), six layers and the score."""
        activations = _activations(self.convs, self.downsampled(audio))
        return [*activations, self.score(activations[-1])]

    def downsampled(self, audio: Tensor) -> Tensor:
        """(B, 1, T) -> (B, 1, floor(T / rate)), in single precision or better."""
        if self.rate == 1:
            return audio
        reach = self.low_pass.shape[-1] // 2
        with torch.autocast(audio.device.type, enabled=False):
            audio = _at_least_float32(audio)
            padded = F.pad(audio, (reach, reach), mode="replicate")
            low = F.conv1d(padded, self.low_pass.to(audio.dtype), stride=self.rate)
        return low[..., : audio.shape[-1] // self.rate]


class Discriminators(nn.Module):
    """All discriminators of a configuration: periods first, then rates, then windows."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.judges = nn.ModuleList(
            [
                *(PeriodDiscriminator(p, config.period_width) for p in config.periods),
                *(ScaleDiscriminator(r, config.scale_width) for r in config.rates),
                *(BandDiscriminator(s, config.bands, config.band_width) for s in config.fft_sizes),
            ]
        )

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Judge audio (B, 1, T), T >= config.min_samples, each item at its own level.

        Returns for each discriminator the activations of its layers, the last one its score.
        Items do not depend on each other. Works under torch.autocast.
        Raises ArgumentError for audio of another shape or too short.
        """
        if audio.ndim != 3 or audio.shape[1] != 1 or audio.shape[2] < self.config.min_samples:
            raise ArgumentError(
                f"audio of shape {tuple(audio.shape)} cannot be judged; it must be (batch, 1, "
                f"samples) with at least {self.config.min_samples} samples"
            )
        audio = at_peak(audio)
        return [judge(audio) for judge in self.judges]


def at_peak(audio: Tensor) -> Tensor:
    """Audio (B, 1, T) without its mean, scaled item by item to a peak of 0.8; silence stays."""
    audio = _at_least_float32(audio)
    audio = audio - audio.mean(dim=-1, keepdim=True)
    return PEAK * audio / (audio.abs().amax(dim=-1, keepdim=True) + 1e-9)


def low_pass_kernel(rate: int, zeros: int = 24, rolloff: float = 0.945) -> Tensor:
    """Windowed sinc (1, 1, odd) that passes what downsampling by `rate` can hold; its sum is 1."""
    reach = math.ceil(zeros * rate / rolloff)
    t = torch.arange(-reach, reach + 1, dtype=torch.float64) * (rolloff / rate)
    t = t.clamp(-zeros, zeros)
    kernel = torch.sinc(t) * torch.cos(math.pi * t / (2 * zeros)).square()
    return (kernel / kernel.sum()).float()[None, None]


def _band_stack(width: int) -> nn.ModuleList:
    """Layers of one band; three of them halve the bins, none the frames."""
    shapes = [(2, 9, 1), (width, 9, 2), (width, 9, 2), (width, 9, 2), (width, 3, 1)]
    return nn.ModuleList(
        weight_norm(nn.Conv2d(c_in, width, (3, kernel), (1, stride), (1, kernel // 2)))
        for c_in, kernel, stride in shapes
    )


def _activations(convs: nn.Module, x: Tensor) -> list[Tensor]:
    """What every layer of a list of modules makes of the one before."""
    activations = []
    for conv in convs.children():
        x = F.leaky_relu(conv(x), SLOPE)
        activations.append(x)
    return activations


def _groups(channels: int) -> int:
    """Groups of four channels, as published, or the next that divides an odd width."""
    return math.gcd(channels, max(1, channels // GROUP_WIDTH))


def _at_least_float32(audio: Tensor) -> Tensor:
    return audio.to(torch.promote_types(audio.dtype, torch.float32))


def _band_bins(band: tuple[float, float], fft_size: int) -> tuple[int, int]:
    """First bin of a band and the one after its last."""
    n_bins = fft_size // 2 + 1
    return int(band[0] * n_bins), int(band[1] * n_bins)


def _sizes(name: str, value: object, step: int) -> tuple[int, ...]:
    """A tuple of positive multiples of `step`, checked."""
    if not isinstance(value, list | tuple):
        raise ArgumentError(f"{name} is {value!r}; it must be a list of whole numbers")
    for size in value:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1 or size % step:
            kind = f"a positive multiple of {step}" if step > 1 else "a positive whole number"
            raise ArgumentError(f"{name}: {size!r} is not {kind}")
    return tuple(value)


def _bands(value: object, fft_sizes: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    """Pairs of shares, checked; each must hold a bin of every window size."""
    try:
        bands = tuple((float(low), float(high)) for low, high in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"bands is {value!r}; it must list pairs of numbers") from error
    if fft_sizes and not bands:
        raise ArgumentError("bands is empty, but fft_sizes is not; (0, 1) is the whole spectrum")
    for band in bands:
        if not 0 <= band[0] < band[1] <= 1:
            raise ArgumentError(f"bands: {band} is not a part of (0, 1)")
        for size in fft_sizes:
            low, high = _band_bins(band, size)
            if low >= high:
                raise ArgumentError(f"bands: {band} holds no bin of a window of {size}")
    return bands
