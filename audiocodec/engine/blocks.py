"""Samples to codes and back in fixed blocks, whatever sizes a caller pushes.

Blocks are cut from the start of the signal, so the arithmetic, and with it every last bit of a
code, does not depend on how the audio was fed.

Shapes: B batch (channels of one programme are items of a batch), N codebooks, T any length.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.engine.inputs import CodeInput, SampleInput
from audiocodec.engine.precision import Precision
from audiocodec.engine.spinning import SPINNING
from audiocodec.engine.stream import Setting, Stream, stream_of
from audiocodec.errors import ArgumentError
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import ResidualQuantizer
from audiocodec.validation import check_int

if TYPE_CHECKING:
    import numpy as np

BLOCK_FRAMES = 64  # activations of the widest layers stay near the size of a cache


class Regrouped:
    """Joins what is pushed and hands out pieces of one size along the last dimension."""

    def __init__(self, size: int, empty: Tensor) -> None:
        self.size, self.empty = size, empty
        self.parts: list[Tensor] = [empty]
        self.held = 0

    def push(self, part: Tensor) -> Iterator[Tensor]:
        """Take any length; yield all whole pieces."""
        self.parts.append(part)
        self.held += part.shape[-1]
        if self.held >= self.size:
            joined = self.rest()
            self.held = joined.shape[-1] % self.size
            n_whole = joined.shape[-1] - self.held
            # a copy, so that a small rest does not keep a large push alive
            self.parts = [joined[..., n_whole:].clone()]
            yield from joined[..., :n_whole].split(self.size, dim=-1)

    def rest(self) -> Tensor:
        """Everything that is held, in one tensor; nothing is held afterwards."""
        joined = torch.cat(self.parts, dim=-1)
        self.parts, self.held = [self.empty], 0
        return joined


class _Network:
    """What both streams share: a network that runs block by block, and ends once."""

    def __init__(
        self, model: DAC, network: nn.Module, batch: int, precision: Precision, padded: bool = True
    ) -> None:
        weight = next(network.parameters())
        self.precision, self.device, self._weights = precision, weight.device, weight.dtype
        self.config, self.quantizer = model.config, model.quantizer
        self._arithmetic = precision.arithmetic(self.device, weight.dtype)
        # A CPU computes the items of a batch one by one: they stay in its caches, and their codes
        # cannot depend on their company.
        self._n_together = 1 if self.device.type == "cpu" else max(1, batch)
        setting = Setting(self._n_together, self._arithmetic, padded)
        self._streams = [stream_of(network, setting) for _ in range(0, batch, self._n_together)]

    def step(self, x: Tensor, last: bool) -> Tensor:
        """The next block through the network, (B, C, T) -> float32 (B, C', what is complete)."""
        with self.precision.context(self.device):
            rows = x.transpose(1, 2).to(self._arithmetic.signal).split(self._n_together)
            steps = [self._item(s, part, last) for s, part in zip(self._streams, rows, strict=True)]
            return torch.cat(steps).transpose(1, 2).float()

    def _item(self, stream: Stream, x: Tensor, last: bool) -> Tensor:
        """The next rows of the signals that are computed together."""
        if self.device.type == "cpu":
            SPINNING.look()
        return stream.step(x, last)


class StreamEncoder(_Network):
    """Samples in, codes out.

    latency: once `latency` samples have been pushed after the first sample of a frame, the
    codes of that frame have been given out. It is one block and what the networks look ahead.
    """

    def __init__(
        self,
        model: DAC,
        batch: int = 1,
        n_codebooks: int | None = None,
        block_frames: int = BLOCK_FRAMES,
        precision: Precision | None = None,
    ) -> None:
        self.input = SampleInput(batch)
        super().__init__(model, model.encoder, batch, precision or Precision())
        self.n_codebooks = n_codebooks or model.config.n_codebooks
        self.latency = checked_block(block_frames) * self.config.hop + self.config.encoder_reach
        self._samples = Regrouped(block_frames * self.config.hop, no_samples(batch).to(self.device))

    @property
    def n_samples(self) -> int:
        """Samples that have been pushed."""
        return self.input.n_samples

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def push(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Samples float (B, 1, any number), or (any number,) of one signal -> codes.

        Returns int64 (B, n_codebooks, what is complete) on the CPU.
        Raises ArgumentError for another shape, and for samples that are not finite or lie beyond
        a million times full scale.
        """
        samples = self.input.checked(samples).to(self.device)
        blocks = self._samples.push(samples)
        codes = [self.encode_block(block, last=False).cpu() for block in blocks]
        return torch.cat([self._no_codes(), *codes], dim=-1)

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def flush(self) -> Tensor:
        """End the signal: the codes that are left, zeros filling the last frame."""
        self.input.end()
        if not self.n_samples:
            return self._no_codes()
        rest = self._samples.rest()
        missing = -rest.shape[-1] % self.config.hop
        return self.encode_block(torch.nn.functional.pad(rest, (0, missing)), last=True).cpu()

    def encode_block(self, block: Tensor, last: bool) -> Tensor:
        """The next samples (B, 1, T), whole frames -> what codes are complete, on the device."""
        latents = self.step(block, last)
        with Precision().context(self.device):  # the look-up is always exact
            if not latents.shape[-1]:
                return self._no_codes().to(self.device)
            return self.quantizer.encode(latents.to(self._weights), self.n_codebooks)

    def _no_codes(self) -> Tensor:
        return no_codes(self.input.batch, self.n_codebooks)


class StreamDecoder(_Network):
    """Codes in, samples out.

    latency: once the codes of `latency` samples (whole frames) have been pushed after a frame,
    the samples of that frame have been given out.
    """

    def __init__(
        self,
        model: DAC,
        batch: int = 1,
        block_frames: int = BLOCK_FRAMES,
        precision: Precision | None = None,
        padded: bool = True,
    ) -> None:
        self.input = CodeInput(batch, model.quantizer)
        super().__init__(model, model.decoder, batch, precision or Precision(), padded)
        self.latency = (checked_block(block_frames) + self.config.decoder_context) * self.config.hop
        self._latents = Regrouped(block_frames, no_latents(model.quantizer, batch))

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def push(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Codes int (B, n_codebooks, any number) -> samples float32 (B, 1, what is complete).

        The number of codebooks may change from push to push.
        Raises CodesError for codes that the model cannot have made.
        """
        codes = self.input.checked(codes)
        samples = [no_samples(len(codes))]
        for part in codes.split(self._latents.size, dim=-1):  # few latents at a time
            for block in self._latents.push(look_up(self.quantizer, part)):
                samples.append(self.step(block, last=False).cpu())
        return torch.cat(samples, dim=-1)

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def flush(self) -> Tensor:
        """End the codes: the samples that are left."""
        self.input.end()
        return self.step(self._latents.rest(), last=True).cpu()


def look_up(quantizer: ResidualQuantizer, codes: Tensor) -> Tensor:
    """Codes (B, n_codebooks, T) -> latents (B, D, T), on the quantizer's device, always exact."""
    if not codes.shape[-1]:
        return no_latents(quantizer, len(codes))
    device = quantizer.stages[0].out_proj.weight.device
    with Precision().context(device):
        return quantizer.decode(codes.to(device))


def no_latents(quantizer: ResidualQuantizer, batch: int) -> Tensor:
    """(batch, D, 0) on the quantizer's device."""
    weight = quantizer.stages[0].out_proj.weight
    return weight.new_zeros(batch, len(weight), 0)


def no_codes(batch: int, n_codebooks: int) -> Tensor:
    """Int64 (batch, n_codebooks, 0) on the CPU."""
    return torch.zeros(batch, n_codebooks, 0, dtype=torch.int64, device="cpu")


def no_samples(batch: int) -> Tensor:
    """Float32 (batch, 1, 0) on the CPU, whatever torch makes by default."""
    return torch.zeros(batch, 1, 0, dtype=torch.float32, device="cpu")


def checked_block(frames: int) -> int:
    """The frames of a block. Raises ArgumentError."""
    if check_int(frames, "block_frames") < 1:
        raise ArgumentError(f"blocks of {frames} frames; at least 1 is needed")
    return frames
