"""Checks what is pushed to encoders and decoders, whichever way they compute.

Shapes: B batch (channels of one programme are items of a batch), N codebooks, T any length.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.errors import ArgumentError, CodesError
from audiocodec.model.quantizer import ResidualQuantizer
from audiocodec.validation import check_int

if TYPE_CHECKING:
    import numpy as np

LOUDEST = 1e6  # full scale is 1; far beyond, float32 overflows within the networks


class _Input:
    """Signals side by side, which are pushed in parts and end once."""

    def __init__(self, batch: int) -> None:
        """Raises ArgumentError for less than one signal."""
        if check_int(batch, "channels") < 1:
            raise ArgumentError(f"{batch} channels; at least 1 is needed")
        self.batch, self.ended = batch, False

    def end(self) -> None:
        """Nothing may be pushed from now on. Raises ArgumentError where that was so before."""
        self._check_open()
        self.ended = True

    def _check_open(self) -> None:
        if self.ended:
            raise ArgumentError("this stream has been flushed; open a new one for another signal")


class SampleInput(_Input):
    """Samples of signals that are encoded; counts them."""

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.n_samples = 0

    def checked(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Samples float (B, 1, T), or (T,) of one signal -> float32 (B, 1, T).

        Raises ArgumentError for another shape, and for samples that are not finite or lie beyond
        a million times full scale.
        """
        self._check_open()
        samples = as_tensor(samples, "samples")
        if samples.dim() == 1:
            samples = samples[None, None]
        if samples.shape[:-1] != (self.batch, 1) or not samples.is_floating_point():
            raise ArgumentError(
                f"samples are {samples.dtype} shaped {tuple(samples.shape)}; this stream wants "
                f"floating point shaped ({self.batch}, 1, any number)" + channels_hint(samples)
            )
        samples = samples.to(torch.float32)  # ahead of the comparison: 1e6 is infinite in float16
        if samples.numel() and not -LOUDEST <= samples.min() <= samples.max() <= LOUDEST:
            raise ArgumentError(
                f"NaN, infinity or more than {LOUDEST:g} times full scale among the "
                f"{samples.shape[-1]} samples from {self.n_samples} on"
            )
        self.n_samples += samples.shape[-1]
        return samples


def channels_hint(samples: Tensor) -> str:
    """What to do with samples (B, channels, T), for the end of a message; else nothing."""
    if samples.dim() != 3 or samples.shape[1] < 2:
        return ""
    n, channels, length = samples.shape
    return (
        "; each channel is an item of the batch: "
        f"reshape(-1, 1, {length}) makes ({n * channels}, 1, {length}) of them"
    )


class CodeInput(_Input):
    """Codes of signals that are decoded."""

    def __init__(self, batch: int, quantizer: ResidualQuantizer) -> None:
        super().__init__(batch)
        self.quantizer = quantizer

    def checked(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Codes int (B, N, T) as int64.

        Raises CodesError for codes that the model cannot have made, or of other signals.
        """
        self._check_open()
        codes = self.quantizer.checked(as_tensor(codes, "codes"))
        if len(codes) != self.batch:
            raise CodesError(f"codes of {len(codes)} signals; this stream has {self.batch}")
        return codes


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
