"""Samples to codes and back in fixed blocks, whatever sizes a caller pushes.

Blocks are cut from the start of the signal, so the arithmetic, and with it every last bit of a
code, does not depend on how the audio was fed.

Shapes: B batch (channels of one programme are items of a batch), N codebooks, T any length.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.engine.precision import Precision
from audiocodec.engine.spinning import SPINNING
from audiocodec.engine.stream import Setting, Stream, stream_of
from audiocodec.errors import ArgumentError, CodesError
from audiocodec.model.network import DAC
from audiocodec.validation import check_int

if TYPE_CHECKING:
    import numpy as np

BLOCK_FRAMES = 64  # activations of the widest layers stay near the size of a cache
LOUDEST = 1e6  # full scale is 1; far beyond, float32 overflows within the networks


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
        if check_int(batch, "channels") < 1:
            raise ArgumentError(f"{batch} channels; at least 1 is needed")
        weight = next(network.parameters())
        self.batch, self.precision, self.device = batch, precision, weight.device
        self.config, self.quantizer = model.config, model.quantizer
        self._arithmetic = precision.arithmetic(self.device, weight.dtype)
        # A CPU computes the items of a batch one by one: they stay in its caches, and their codes
        # cannot depend on their company.
        self._n_together = 1 if self.device.type == "cpu" else max(1, batch)
        setting = Setting(self._n_together, self._arithmetic, padded)
        self._streams = [stream_of(network, setting) for _ in range(0, batch, self._n_together)]
        self.ended = False

    def end(self) -> None:
        """Nothing may be pushed from now on."""
        self._check_open()
        self.ended = True

    def _check_open(self) -> None:
        if self.ended:
            raise ArgumentError("this stream has been flushed; open a new one for another signal")

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
        super().__init__(model, model.encoder, batch, precision or Precision())
        self.n_codebooks = n_codebooks or model.config.n_codebooks
        self.latency = checked_block(block_frames) * self.config.hop + self.config.encoder_reach
        self._samples = Regrouped(block_frames * self.config.hop, no_samples(batch).to(self.device))
        self.n_samples = 0

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def push(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Samples float (B, 1, any number), or (any number,) of one signal -> codes.

        Returns int64 (B, n_codebooks, what is complete) on the CPU.
        Raises ArgumentError for another shape, and for samples that are not finite or lie beyond
        a million times full scale.
        """
        samples = self.checked(samples).to(self.device)
        blocks = self._samples.push(samples)
        codes = [self.encode_block(block, last=False).cpu() for block in blocks]
        return torch.cat(codes, dim=-1) if codes else self.no_codes()

    def checked(self, samples: "Tensor | np.ndarray") -> Tensor:
        """The samples as float32 (B, 1, any number), counted. Raises ArgumentError."""
        self._check_open()
        samples = as_tensor(samples, "samples")
        if samples.dim() == 1:
            samples = samples[None, None]
        if samples.shape[:-1] != (self.batch, 1) or not samples.is_floating_point():
            raise ArgumentError(
                f"samples are {samples.dtype} shaped {tuple(samples.shape)}; this stream wants "
                f"floating point shaped ({self.batch}, 1, any number)"
            )
        samples = samples.to(torch.float32)  # ahead of the comparison: 1e6 is infinite in float16
        if samples.numel() and not -LOUDEST <= samples.min() <= samples.max() <= LOUDEST:
            raise ArgumentError(
                f"NaN, infinity or more than {LOUDEST:g} times full scale among the "
                f"{samples.shape[-1]} samples from {self.n_samples} on"
            )
        self.n_samples += samples.shape[-1]
        return samples

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def flush(self) -> Tensor:
        """End the signal: the codes that are left, zeros filling the last frame."""
        self.end()
        if not self.n_samples:
            return self.no_codes()
        rest = self._samples.rest()
        missing = -rest.shape[-1] % self.config.hop
        return self.encode_block(torch.nn.functional.pad(rest, (0, missing)), last=True).cpu()

    def encode_block(self, block: Tensor, last: bool) -> Tensor:
        """The next samples (B, 1, T), whole frames -> what codes are complete, on the device."""
        latents = self.step(block, last)
        with Precision().context(self.device):  # the look-up is always exact
            if not latents.shape[-1]:
                return self.no_codes().to(self.device)
            return self.quantizer.encode(latents, self.n_codebooks)

    def no_codes(self) -> Tensor:
        """Of no frames."""
        shape = (self.batch, self.n_codebooks, 0)
        return torch.zeros(shape, dtype=torch.int64, device="cpu")


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
        super().__init__(model, model.decoder, batch, precision or Precision(), padded)
        self.latency = (checked_block(block_frames) + self.config.decoder_context) * self.config.hop
        weight = model.quantizer.stages[0].out_proj.weight
        empty = weight.new_zeros(batch, self.config.latent_dim, 0)
        self._latents = Regrouped(block_frames, empty)

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def push(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Codes int (B, n_codebooks, any number) -> samples float32 (B, 1, what is complete).

        The number of codebooks may change from push to push.
        Raises CodesError for codes that the model cannot have made.
        """
        codes = self.checked(codes)
        samples = [self.no_samples()]
        for part in codes.split(self._latents.size, dim=-1):  # few latents at a time
            for block in self._latents.push(self.look_up(part)):
                samples.append(self.step(block, last=False).cpu())
        return torch.cat(samples, dim=-1)

    @torch.no_grad()  # not inference mode: codes are fed to models that train
    def flush(self) -> Tensor:
        """End the codes: the samples that are left."""
        self.end()
        return self.step(self._latents.rest(), last=True).cpu()

    def checked(self, codes: "Tensor | np.ndarray") -> Tensor:
        """The codes as int64 (B, n_codebooks, any number). Raises CodesError."""
        self._check_open()
        codes = self.quantizer.checked(as_tensor(codes, "codes"))
        if len(codes) != self.batch:
            raise CodesError(f"codes of {len(codes)} signals; this stream has {self.batch}")
        return codes

    def look_up(self, codes: Tensor) -> Tensor:
        """Codes (B, n_codebooks, T) -> latents (B, D, T), on the device."""
        if not codes.shape[-1]:
            return self._latents.empty
        with Precision().context(self.device):
            return self.quantizer.decode(codes.to(self.device))

    def no_samples(self) -> Tensor:
        """Of no frames."""
        return no_samples(self.batch)


def no_samples(batch: int) -> Tensor:
    """Float32 (batch, 1, 0) on the CPU, whatever torch makes by default."""
    return torch.zeros(batch, 1, 0, dtype=torch.float32, device="cpu")


def checked_block(frames: int) -> int:
    """The frames of a block. Raises ArgumentError."""
    if check_int(frames, "block_frames") < 1:
        raise ArgumentError(f"blocks of {frames} frames; at least 1 is needed")
    return frames


def as_tensor(x: "Tensor | np.ndarray", what: str) -> Tensor:
    """Arrays are copied: torch cannot share those that are read-only, reversed or foreign.

    Raises ArgumentError for what is neither a tensor nor an array of numbers.
    """
    if isinstance(x, Tensor):
        return x
    if not hasattr(x, "astype"):
        raise ArgumentError(f"{what} are a {type(x).__name__}; give a tensor or an array")
    try:
        return torch.as_tensor(x.astype(x.dtype.newbyteorder("="), order="C"), device="cpu")
    except TypeError as error:
        raise ArgumentError(f"{what} are of type {x.dtype}, which torch does not take") from error
