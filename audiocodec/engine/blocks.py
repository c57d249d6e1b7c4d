"""Samples to codes and back in fixed blocks, whatever sizes a caller pushes.

Blocks are cut from the start of the signal, so the arithmetic, and with it every last bit of a
code, does not depend on how the audio was fed.

Shapes: B batch (channels of one programme are items of a batch), N codebooks, T any length.
May import: torch, model, engine.stream, errors.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from audiocodec.engine.precision import Precision
from audiocodec.engine.stream import stream_of
from audiocodec.errors import ArgumentError, CodesError
from audiocodec.model.network import DAC

BLOCK_FRAMES = 64  # activations of the widest layers stay near the size of a cache


class Regrouped:
    """Joins what is pushed and hands out pieces of one size along the last dimension."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.parts: list[Tensor] = []
        self.held = 0

    def push(self, part: Tensor) -> Iterator[Tensor]:
        """Take any length; yield all whole pieces."""
        self.parts.append(part)
        self.held += part.shape[-1]
        if self.held >= self.size:
            joined = self.rest()
            n_whole = joined.shape[-1] // self.size * self.size
            # a copy, so that a small rest does not keep a large push alive
            self.parts, self.held = [joined[..., n_whole:].clone()], joined.shape[-1] - n_whole
            yield from joined[..., :n_whole].split(self.size, dim=-1) if n_whole else ()

    def rest(self) -> Tensor:
        """Everything that is held, in one tensor; nothing is held afterwards."""
        joined = torch.cat(self.parts, dim=-1)
        self.parts, self.held = [], 0
        return joined


class _Ended:
    """What both streams share: they end once, and say so if used afterwards."""

    ended = False

    def _check_open(self) -> None:
        if self.ended:
            raise ArgumentError("this stream has been flushed; open a new one for another signal")


class StreamEncoder(_Ended):
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
        self.config, self.quantizer = model.config, model.quantizer
        self.n_codebooks = n_codebooks or model.config.n_codebooks
        self.batch, self.precision = batch, precision or Precision()
        self.device = next(model.parameters()).device
        self.latency = block_frames * self.config.hop + self.config.encoder_reach
        self._network = stream_of(model.encoder, batch)
        self._samples = Regrouped(block_frames * self.config.hop)
        self._samples.parts = [torch.zeros(batch, 1, 0)]
        self.n_samples = 0

    @torch.inference_mode()
    def push(self, samples: Tensor) -> Tensor:
        """Samples float (B, 1, any number) -> codes int64 (B, n_codebooks, what is complete)."""
        self._check_open()
        if samples.shape[:-1] != (self.batch, 1):
            raise ArgumentError(
                f"samples are shaped {tuple(samples.shape)}; this stream wants ({self.batch}, 1, n)"
            )
        self.n_samples += samples.shape[-1]
        codes = [self._encode(block, last=False) for block in self._samples.push(samples)]
        return torch.cat(codes, dim=-1) if codes else self._no_codes(samples.device)

    @torch.inference_mode()
    def flush(self) -> Tensor:
        """End the signal: the codes that are left, zeros filling the last frame."""
        self._check_open()
        self.ended = True
        if not self.n_samples:
            return self._no_codes(torch.device("cpu"))
        rest = self._samples.rest()
        missing = -rest.shape[-1] % self.config.hop
        return self._encode(torch.nn.functional.pad(rest, (0, missing)), last=True)

    def _encode(self, block: Tensor, last: bool) -> Tensor:
        with self.precision.context(self.device):
            latents = self._network.step(block.to(self.device, torch.float32), last)
        with Precision().context(self.device):  # the look-up is always exact
            if not latents.shape[-1]:
                return self._no_codes(block.device)
            return self.quantizer.encode(latents.float(), self.n_codebooks).to(block.device)

    def _no_codes(self, device: torch.device) -> Tensor:
        return torch.zeros(self.batch, self.n_codebooks, 0, dtype=torch.int64, device=device)


class StreamDecoder(_Ended):
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
        self.config, self.quantizer = model.config, model.quantizer
        self.batch, self.precision = batch, precision or Precision()
        self.device = next(model.parameters()).device
        self.latency = (block_frames + self.config.decoder_context) * self.config.hop
        self._network = stream_of(model.decoder, batch, padded)
        self._codes = Regrouped(block_frames)
        self.n_codebooks: int | None = None  # as many as the first push has

    @torch.inference_mode()
    def push(self, codes: Tensor) -> Tensor:
        """Codes int (B, n_codebooks, any number) -> samples float32 (B, 1, what is complete).

        Raises CodesError for codes that the model cannot have made.
        """
        self._check_open()
        self.quantizer.check(codes)
        codes = codes.to(torch.int64)
        expected = (self.batch, self.n_codebooks or codes.shape[1])
        if codes.shape[:2] != expected:
            raise CodesError(
                f"codes of {codes.shape[0]} signals and {codes.shape[1]} codebooks; this stream "
                f"has {expected[0]} and {expected[1]}"
            )
        self.n_codebooks = codes.shape[1]
        samples = [self._decode(block, last=False) for block in self._codes.push(codes)]
        return torch.cat(samples, dim=-1) if samples else torch.zeros(self.batch, 1, 0)

    @torch.inference_mode()
    def flush(self) -> Tensor:
        """End the codes: the samples that are left."""
        self._check_open()
        self.ended = True
        if self.n_codebooks is None:
            return torch.zeros(self.batch, 1, 0)
        return self._decode(self._codes.rest(), last=True)

    def _decode(self, codes: Tensor, last: bool) -> Tensor:
        with self.precision.context(self.device):
            if codes.shape[-1]:
                latents = self.quantizer.decode(codes.to(self.device))
            else:  # the end of a signal of whole blocks
                latents = torch.zeros(self.batch, self.config.latent_dim, 0, device=self.device)
            return self._network.step(latents, last).float().to(codes.device)
