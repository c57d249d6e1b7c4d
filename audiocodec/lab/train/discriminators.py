"""Discriminators: networks that tell decoded audio from recordings (paper, section 3.3).

Three families see the same audio: folded by a period (HiFi-GAN, arXiv 2010.05646), as bands of
complex spectrograms and, for ablations only, as a downsampled waveform. Each returns the
activations of all its layers, of which the last is the score: near 1 for a recording, near 0 for
decoded audio. Shapes: B batch, C channels, T samples, L rows of folded audio, F frames, K bins.
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

PEAK = 0.8  # of every item after scaling, so that level is no cue
SLOPE = 0.1  # of the leaky ReLU for negative inputs
PERIOD_WIDTHS = (1, 4, 16, 32, 32)  # of the layers, in multiples of period_width
SCALE_WIDTHS = (1, 4, 16, 64, 64, 64)  # of the layers, in multiples of scale_width
GROUP_WIDTH = 4  # input channels per group in a scale discriminator
FFT_STEP = 8  # window sizes are multiples of it, so that hop and padding are whole numbers
PUBLISHED_BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Which discriminators there are and how wide they are; the defaults are the paper's.

    periods: one period discriminator each, in samples; fft_sizes: one band discriminator each, the
    window in samples; rates: one scale discriminator each, the factor of downsampling. An empty
    tuple leaves a family out.
    bands: edges as fractions of the Nyquist frequency; each band has layers of its own.
    period_width, band_width, scale_width: channels of the first layer in each family.

    Raises ArgumentError for values out of bounds, or where no discriminator is left.
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
        """Samples of the shortest audio that all accept: edges are padded by reflection."""
        folded = [period + 1 for period in self.periods]
        framed = [size * 5 // 8 for size in self.fft_sizes]
        return max(folded + framed + list(self.rates))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint; see from_dict."""
        values = asdict(self)
        values["bands"] = [list(band) for band in self.bands]
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DiscriminatorConfig":
        """A checked configuration from plain values. Raises ArgumentError that names the field."""
        if unknown := sorted(set(values) - {field.name for field in fields(cls)}):
            raise ArgumentError(f"unknown settings of the discriminators: {', '.join(unknown)}")
        return cls(**values)


class PeriodDiscriminator(nn.Module):
    """Folds audio into rows of one period and convolves along the columns."""

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
        # As published: a whole period is added where the length is a multiple of it.
        missing = self.period - audio.shape[-1] % self.period
        x = F.pad(audio, (0, missing), mode="reflect").unflatten(-1, (-1, self.period))
        activations = _activations(self.convs, x)
        return [*activations, self.score(activations[-1])]


class BandDiscriminator(nn.Module):
    """Sees the complex spectrogram at one window size, in bands with layers of their own."""

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

        Five layers of the first band, five of the second, ...; last the score of all bands.
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

        One frame per hop, ceil(T / hop) in all, the first centred on the middle of the first hop.
        Equals the published "match_stride", which computes two more frames at each end and drops
        them.
        """
        fft_size = self.window.shape[0]
        edge, n_short = (fft_size - self.hop) // 2, -audio.shape[-1] % self.hop
        with torch.autocast(audio.device.type, enabled=False):  # there is no FFT in half precision
            audio = _at_least_float32(audio)
            padded = F.pad(audio, (edge, edge + n_short), mode="reflect")[:, 0]
            window = self.window.to(audio.dtype)
            bins = torch.stft(
                padded, fft_size, self.hop, window=window, center=False, return_complex=True
            )
        return torch.view_as_real(bins).permute(0, 3, 2, 1)


class ScaleDiscriminator(nn.Module):
    """Sees the waveform at a fraction of its sample rate.

    Downsampling by r: a low-pass filter (sinc windowed by a squared cosine, 24 zero crossings to
    each side, cutoff at 0.945 of the new Nyquist frequency, edge samples repeated), then every
    r-th sample, floor(T / r) in all. Kernel and length are those of julius, which the published
    code uses. r = 1 leaves the audio as it is.
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
        """Score audio (B, 1, T), T >= config.min_samples, each item scaled to the same peak.

        Returns for each discriminator the activations of its layers, the last one its score.
        Items do not depend on each other. Works under torch.autocast.
        Raises ArgumentError for audio of another shape or too short.
        """
        if audio.ndim != 3 or audio.shape[1] != 1 or audio.shape[2] < self.config.min_samples:
            raise ArgumentError(
                f"audio of shape {tuple(audio.shape)} does not suit discriminators; it must be "
                f"(batch, 1, samples) with at least {self.config.min_samples} samples"
            )
        audio = at_peak(audio)
        return [judge(audio) for judge in self.judges]


def at_peak(audio: Tensor) -> Tensor:
    """Audio (B, 1, T) without its mean, each item scaled to a peak of 0.8; silence stays."""
    audio = _at_least_float32(audio)
    audio = audio - audio.mean(dim=-1, keepdim=True)
    return PEAK * audio / (audio.abs().amax(dim=-1, keepdim=True) + 1e-9)


def low_pass_kernel(rate: int, zeros: int = 24, rolloff: float = 0.945) -> Tensor:
    """Windowed-sinc low-pass kernel (1, 1, odd length) for downsampling by `rate`; its sum is 1."""
    reach = math.ceil(zeros * rate / rolloff)
    t = torch.arange(-reach, reach + 1, dtype=torch.float64) * (rolloff / rate)
    t = t.clamp(-zeros, zeros)
    kernel = torch.sinc(t) * torch.cos(math.pi * t / (2 * zeros)).square()
    return (kernel / kernel.sum()).float()[None, None]


def _band_stack(width: int) -> nn.ModuleList:
    """Layers of one band; three of them halve the number of bins, none that of frames."""
    shapes = [(2, 9, 1), (width, 9, 2), (width, 9, 2), (width, 9, 2), (width, 3, 1)]
    return nn.ModuleList(
        weight_norm(nn.Conv2d(c_in, width, (3, kernel), (1, stride), (1, kernel // 2)))
        for c_in, kernel, stride in shapes
    )


def _activations(convs: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs of all modules of a list, each fed with the one before."""
    activations = []
    for conv in convs.children():
        x = F.leaky_relu(conv(x), SLOPE)
        activations.append(x)
    return activations


def _groups(channels: int) -> int:
    """Number of groups, of four channels each as published; fewer where 4 does not divide."""
    return math.gcd(channels, max(1, channels // GROUP_WIDTH))


def _at_least_float32(audio: Tensor) -> Tensor:
    return audio.to(torch.promote_types(audio.dtype, torch.float32))


def _band_bins(band: tuple[float, float], fft_size: int) -> tuple[int, int]:
    """First bin of a band, and the bin after its last."""
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
    """Checked pairs of band edges; each band must hold a bin at every window size."""
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
