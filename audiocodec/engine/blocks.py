"""Streaming encoder and decoder, which compute in fixed blocks whatever sizes a caller pushes.

Blocks are counted from the start of the signal, so the arithmetic, and with it every code, is the
same however the caller cuts the audio.

Shapes: B batch (the channels of a programme are items of the batch), C channels inside a network,
D latent channels, N codebooks, T any length.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.engine.inputs import CodeInput, SampleInput
from audiocodec.engine.precision import Precision
from audiocodec.engine.spinning import SPINNING
from audiocodec.engine.stream import Stream, StreamSettings, stream_of
from audiocodec.errors import ArgumentError
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import ResidualQuantizer
from audiocodec.validation import check_int

if TYPE_CHECKING:
    import numpy as np

BLOCK_FRAMES = 64  # keeps the activations of the widest layers near the size of a cache


class Regrouped:
    """Regroups pushed tensors into pieces of one size along the last dimension."""

    def __init__(self, size: int, empty: Tensor) -> None:
        self.size, self.empty = size, empty
        self.parts: list[Tensor] = [empty]
        self.held = 0

    def push(self, part: Tensor) -> Iterator[Tensor]:
        """Take a tensor of any length; yield the pieces that are complete."""
        self.parts.append(part)
        self.held += part.shape[-1]
        if self.held >= self.size:
            joined = self.rest()
            self.held = joined.shape[-1] % self.size
            n_whole = joined.shape[-1] - self.held
            # a copy: a view would keep the whole push in memory
            self.parts = [joined[..., n_whole:].clone()]
            yield from joined[..., :n_whole].split(self.size, dim=-1)

    def rest(self) -> Tensor:
        """Return and forget everything that is still held, in one tensor."""
        joined = torch.cat(self.parts, dim=-1)
        self.parts, self.held = [self.empty], 0
        return joined


class _Network:
    """Base of StreamEncoder and StreamDecoder: runs one network block by block."""

    def __init__(
        self, model: DAC, network: nn.Module, batch: int, precision: Precision, padded: bool = True
    ) -> None:
        weight = next(network.parameters())
        self.precision, self.device, self._weights = precision, weight.device, weight.dtype
        self.config, self.quantizer = model.config, model.quantizer
        self._arithmetic = precision.arithmetic(self.device, weight.dtype)
        # A CPU computes the items of a batch one by one: each stays in the caches, and its codes
        # do not depend on the other items.
        self._n_together = 1 if self.device.type == "cpu" else max(1, batch)
        settings = StreamSettings(self._n_together, self._arithmetic, padded)
        self._streams = [stream_of(network, settings) for _ in range(0, batch, self._n_together)]

    def step(self, x: Tensor, last: bool) -> Tensor:
        """Run the next block, (B, C, T) -> the outputs now complete, float32 (B, C', T')."""
        with self.precision.context(self.device):
            items = x.transpose(1, 2).to(self._arithmetic.signal).split(self._n_together)
            steps = [self._run(s, part, last) for s, part in zip(self._streams, items, strict=True)]
            return torch.cat(steps).transpose(1, 2).float()

    def _run(self, stream: Stream, x: Tensor, last: bool) -> Tensor:
        """Step the items that are computed together, (items, T, C) -> (items, T', C')."""
        if self.device.type == "cpu":
            SPINNING.look()
        return stream.step(x, last)


class StreamEncoder(_Network):
    """Encodes signals that are pushed in parts: samples in, codes out.

    latency: the codes of a frame are returned at the latest when `latency` samples have been
    pushed after the first sample of that frame. It is one block plus the networks' look-ahead.
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
        """Samples pushed so far, of each signal."""
        return self.input.n_samples

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def push(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Take samples, float (B, 1, T), or (T,) of one signal; return the codes now complete.

        Returns int64 (B, n_codebooks, frames) on the CPU.
        Raises ArgumentError for another shape, and for samples that are not finite or lie beyond
        a million times full scale.
        """
        samples = self.input.checked(samples).to(self.device)
        blocks = self._samples.push(samples)
        codes = [self.encode_block(block, last=False).cpu() for block in blocks]
        return torch.cat([self._no_codes(), *codes], dim=-1)

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def flush(self) -> Tensor:
        """End the signal and return the remaining codes; zeros fill up the last frame.

        Returns int64 (B, n_codebooks, frames) on the CPU. Raises ArgumentError the second time.
        """
        self.input.end()
        if not self.n_samples:
            return self._no_codes()
        rest = self._samples.rest()
        missing = -rest.shape[-1] % self.config.hop
        return self.encode_block(torch.nn.functional.pad(rest, (0, missing)), last=True).cpu()

    def encode_block(self, block: Tensor, last: bool) -> Tensor:
        """Encode the next samples, float32 (B, 1, whole frames); return the codes now complete.

        Returns int64 (B, n_codebooks, frames) on the device. last: whether the signal ends here.
        """
        latents = self.step(block, last)
        with Precision().context(self.device):  # quantization is always exact
            if not latents.shape[-1]:
                return self._no_codes().to(self.device)
            return self.quantizer.encode(latents.to(self._weights), self.n_codebooks)

    def _no_codes(self) -> Tensor:
        return no_codes(self.input.batch, self.n_codebooks)


class StreamDecoder(_Network):
    """Decodes signals that are pushed in parts: codes in, samples out.

    latency: the samples of a frame are returned at the latest when the codes of `latency` samples
    (whole frames) have been pushed after that frame.
    padded: without, no zeros are put around the signals, and their ends are left out.
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
        """Take codes, int (B, n_codebooks, frames); return the samples now complete.

        The number of codebooks may change from push to push.
        Returns float32 (B, 1, n_samples) on the CPU.
        Raises CodesError for codes that the model cannot have made.
        """
        codes = self.input.checked(codes)
        samples = [no_samples(len(codes))]
        for part in codes.split(self._latents.size, dim=-1):  # latents take memory
            for block in self._latents.push(look_up(self.quantizer, part)):
                samples.append(self.step(block, last=False).cpu())
        return torch.cat(samples, dim=-1)

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def flush(self) -> Tensor:
        """End the signal and return the remaining samples, float32 (B, 1, n_samples) on the CPU.

        Raises ArgumentError the second time.
        """
        self.input.end()
        return self.step(self._latents.rest(), last=True).cpu()


def look_up(quantizer: ResidualQuantizer, codes: Tensor) -> Tensor:
    """Codes (B, n_codebooks, T) -> latents (B, D, T) on the quantizer's device, always exact."""
    if not codes.shape[-1]:
        return no_latents(quantizer, len(codes))
    device = quantizer.stages[0].out_proj.weight.device
    with Precision().context(device):
        return quantizer.decode(codes.to(device))


def no_latents(quantizer: ResidualQuantizer, batch: int) -> Tensor:
    """An empty tensor (batch, D, 0) on the quantizer's device."""
    weight = quantizer.stages[0].out_proj.weight
    return weight.new_zeros(batch, len(weight), 0)


def no_codes(batch: int, n_codebooks: int) -> Tensor:
    """An empty int64 tensor (batch, n_codebooks, 0) on the CPU."""
    return torch.zeros(batch, n_codebooks, 0, dtype=torch.int64, device="cpu")


def no_samples(batch: int) -> Tensor:
    """An empty float32 tensor (batch, 1, 0) on the CPU, whatever torch's defaults are."""
    return torch.zeros(batch, 1, 0, dtype=torch.float32, device="cpu")


def checked_block(frames: int) -> int:
    """The number of frames in a block, checked. Raises ArgumentError if it is less than 1."""
    if check_int(frames, "block_frames") < 1:
        raise ArgumentError(f"blocks of {frames} frames; at least 1 is needed")
    return frames
