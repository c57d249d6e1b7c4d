"""The published codec computed in the ordinary way: whole signals, layer by layer.

Computes what encode() and decode() of descript-audio-codec 1.0.0 compute, with weight norm removed.
It shares no code with audiocodec.model, so that it stays as it is while that gets faster. Modules
have the published names; the alignment is the published one, so odd strides lose a sample.
Shapes: B batch, C channels, T time steps or frames.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.audio import LoudnessMeter, normalizing_gain, open_audio, write_audio
from audiocodec.lab.systems.shapes import (
    decoder_layers,
    encoder_layers,
    input_length,
    output_length,
)
from audiocodec.lab.systems.whole_pass import WholePass
from audiocodec.lab.systems.workloads import (
    FILES,
    TimedSpec,
    Work,
    Workload,
    n_frames,
    noise_file,
    random_codes,
    refuse,
)
from audiocodec.model.config import DILATIONS, ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.layouts import published_names


class PlainSnake(nn.Module):
    """Snake in five passes over memory.

    The published one is TorchScript, which fuses them on CUDA but not on a CPU; so on CUDA, only
    descript-audio-codec itself is a fair comparison.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).pow(2)


class PlainUnit(nn.Module):
    """A residual unit; without padding, the skip connection is cropped to the block's output."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        wide = nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation)
        self.block = nn.Sequential(
            PlainSnake(channels), wide, PlainSnake(channels), nn.Conv1d(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T), or shorter without padding"""
        y = self.block(x)
        lost = (x.shape[-1] - y.shape[-1]) // 2
        return x[..., lost : x.shape[-1] - lost] + y


class PlainStage(nn.Module):
    """A sequence of layers under the published name."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> what the last layer returns"""
        return self.block(x)


class PlainQuantizer(nn.Module):
    """One codebook, searched with the published distance formula."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.in_proj = nn.Conv1d(config.latent_dim, config.codebook_dim, 1)
        self.out_proj = nn.Conv1d(config.codebook_dim, config.latent_dim, 1)
        table = torch.empty(config.codebook_size, config.codebook_dim)
        self.codebook = nn.Embedding.from_pretrained(table)

    def codes(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Residual (B, D, T), D latent channels -> codes (B, T) and quantized latents (B, D, T)."""
        projected = self.in_proj(residual)
        vectors = F.normalize(projected.transpose(1, 2).reshape(-1, projected.shape[1]))
        entries = F.normalize(self.codebook.weight)
        distances = (
            vectors.pow(2).sum(1, keepdim=True)
            - 2 * vectors @ entries.t()
            + entries.pow(2).sum(1, keepdim=True).t()
        )
        codes = distances.neg().max(dim=1)[1].view(len(residual), -1)
        found = self.codebook(codes).transpose(1, 2)
        return codes, self.out_proj(projected + (found - projected))


class PlainDac(nn.Module):
    """Encoder, quantizer and decoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PlainStage(_encoder(config))
        self.quantizer: Any = nn.Module()
        stages = (PlainQuantizer(config) for _ in range(config.n_codebooks))
        self.quantizer.quantizers = nn.ModuleList(stages)
        self.decoder: Any = nn.Module()
        self.decoder.model = nn.Sequential(*_decoder(config))
        self._paddings = {
            layer: layer.padding
            for layer in self.modules()
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
        }

    @classmethod
    def like(cls, model: DAC) -> "PlainDac":
        """Make one with the weights of a model of this library."""
        with torch.device("meta"):
            plain = cls(model.config)
        names = {ours: theirs for theirs, ours in published_names(model.config).items()}
        plain.load_state_dict(renamed(model.state_dict(), names), assign=True)
        return plain.eval().requires_grad_(False)

    def pad(self, on: bool) -> None:
        """Switch the padding of every layer on or off, as the published tool does for windows."""
        for layer, padding in self._paddings.items():
            layer.padding = padding if on else (0,)

    def encode(self, audio: Tensor) -> Tensor:
        """Samples (B, 1, T) -> codes (B, N, frames) of N codebooks.

        T is a multiple of the hop if padding is on.
        """
        residual, codes = self.encoder(audio), []
        for stage in self.quantizer.quantizers:
            found, part = stage.codes(residual)
            residual = residual - part
            codes.append(found)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N, frames) of N codebooks -> samples (B, 1, T)."""
        stages = self.quantizer.quantizers
        parts = (s.out_proj(s.codebook(c).transpose(1, 2)) for s, c in zip(stages, codes.unbind(1)))
        return self.decoder.model(sum(parts))


class Windows:
    """Cuts signals as the published tool does: windows coded one by one, without padding."""

    def __init__(self, config: ModelConfig, window_s: float = 1.0) -> None:
        network = [*encoder_layers(config), *decoder_layers(config)]
        shortest = output_length(network, 0)
        self.delay = (input_length(network, shortest) - shortest) // 2
        self.n_samples = math.ceil(int(window_s * config.sample_rate) / config.hop) * config.hop
        self.step = output_length(network, self.n_samples)
        self.n_frames = output_length(encoder_layers(config), self.n_samples)

    def of(self, audio: Tensor) -> Iterator[Tensor]:
        """Windows (B, 1, n_samples) of a signal (B, 1, T)."""
        padded = F.pad(audio, (self.delay, self.delay))
        for start in range(0, audio.shape[-1], self.step):
            window = padded[..., start : start + self.n_samples]
            yield F.pad(window, (0, self.n_samples - window.shape[-1]))


class Published(WholePass):
    """The published forward pass with weight norm removed."""

    timed_title = "published forward pass"

    def made(self, model: DAC) -> Any:
        """See WholePass."""
        return PlainDac.like(model)

    def encode(self, audio: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.encode(audio)

    def decode(self, codes: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.decode(codes)


class StandIn(Published):
    """Stands in for compress and decompress of descript-audio-codec, where that is not installed.

    It takes the same steps and makes the same codes: it reads the whole file, measures its
    loudness and encodes windows of one second, one by one, with padding off in every layer;
    decompressing measures the loudness of the result, too. It is a little faster, because it has
    no weight norm, uses our loudness meter and stores a plain array.
    """

    timed_title = "stand-in for descript-audio-codec"
    operations = FILES

    def __init__(self, spec: TimedSpec) -> None:
        """See WholePass."""
        super().__init__(spec)
        self._windows = Windows(self.config)

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem."""
        padded = workload.audio_s * self.config.sample_rate <= self._windows.n_samples
        self.network.pad(padded)
        target = Path(self.spec.folder, "stand-in.npy")
        if workload.operation == "compress":
            source = noise_file(self.spec.folder, self.config.sample_rate, workload.audio_s)
            return lambda: self._compress(source, target, padded)
        if workload.operation == "decompress":
            np.save(target, self._codes_of(workload, padded))
            n_samples = math.ceil(workload.audio_s * self.config.sample_rate)
            return lambda: self._decompress(target, n_samples, padded)
        raise refuse(workload, self.timed_title)

    def codes(self, audio: Tensor) -> Tensor | None:
        """None, as its windows change the codes."""
        return None

    def _codes_of(self, workload: Workload, padded: bool) -> np.ndarray:
        n_windows = math.ceil(workload.audio_s * self.config.sample_rate / self._windows.step)
        frames = n_frames(self.config, workload) if padded else n_windows * self._windows.n_frames
        duration_s = frames * self.config.hop / self.config.sample_rate
        codes = random_codes(self.config, Workload(workload.operation, duration_s))
        return codes[..., :frames].numpy().astype(np.uint16)

    def _compress(self, source: Path, target: Path, padded: bool) -> None:
        with open_audio(source) as audio:
            samples = np.concatenate(list(audio.blocks()))
        meter = LoudnessMeter(self.config.sample_rate, 1)
        meter.push(samples)
        samples = samples * np.float32(normalizing_gain(meter.integrated(), meter.peak))
        wav = torch.from_numpy(samples.T.copy())[None]
        fill = (0, -wav.shape[-1] % self.config.hop)
        windows = [F.pad(wav, fill)] if padded else self._windows.of(wav)
        parts = [self.encode(window.to(self.device)).cpu() for window in windows]
        np.save(target, torch.cat(parts, dim=-1).numpy().astype(np.uint16))

    def _decompress(self, source: Path, n_samples: int, padded: bool) -> None:
        codes = torch.from_numpy(np.load(source).astype(np.int64))
        windows = [codes] if padded else codes.split(self._windows.n_frames, dim=-1)
        parts = [self.decode(window.to(self.device)).cpu() for window in windows]
        samples = torch.cat(parts, dim=-1)[0, :, :n_samples].T.numpy()
        meter = LoudnessMeter(self.config.sample_rate, 1)
        meter.push(samples)
        samples = samples * np.float32(normalizing_gain(meter.integrated(), meter.peak))
        write_audio(source.with_suffix(".wav"), samples, self.config.sample_rate, overwrite=True)


def renamed(state: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """The parameters in `state` with their module names replaced; names: from old to new."""
    split = (key.rpartition(".") for key in state)
    return {f"{names[module]}.{part}": state[f"{module}.{part}"] for module, _, part in split}


def _units(width: int) -> Iterator[nn.Module]:
    for dilation in DILATIONS:
        yield PlainUnit(width, dilation)


def _encoder(config: ModelConfig) -> Iterator[nn.Module]:
    width = config.encoder_dim
    yield nn.Conv1d(1, width, 7, padding=3)
    for s in config.encoder_strides:
        down = nn.Conv1d(width, 2 * width, 2 * s, s, padding=-(-s // 2))
        yield PlainStage([*_units(width), PlainSnake(width), down])
        width *= 2
    yield PlainSnake(width)
    yield nn.Conv1d(width, config.latent_dim, 3, padding=1)


def _decoder(config: ModelConfig) -> Iterator[nn.Module]:
    width = config.decoder_dim
    yield nn.Conv1d(config.latent_dim, width, 7, padding=3)
    for s in config.decoder_strides:
        up = nn.ConvTranspose1d(width, width // 2, 2 * s, s, padding=-(-s // 2))
        yield PlainStage([PlainSnake(width), up, *_units(width // 2)])
        width //= 2
    yield PlainSnake(width)
    yield nn.Conv1d(width, 1, 7, padding=3)
    yield nn.Tanh()
