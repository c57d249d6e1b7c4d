"""Checks the samples and codes that are pushed to encoders and decoders.

Shapes: B batch (the channels of a programme are items of the batch), N codebooks, T any length.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.errors import ArgumentError, CodesError
from audiocodec.model.quantizer import ResidualQuantizer
from audiocodec.validation import check_int

if TYPE_CHECKING:
    import numpy as np

LOUDEST = 1e6  # full scale is 1.0; far above this, float32 overflows in the networks


class _Input:
    """A batch of signals that are pushed in parts and ended once."""

    def __init__(self, batch: int) -> None:
        """batch: the number of signals. Raises ArgumentError if it is less than 1."""
        if check_int(batch, "channels") < 1:
            raise ArgumentError(f"{batch} channels; at least 1 is needed")
        self.batch, self.ended = batch, False

    def end(self) -> None:
        """End the signals: nothing may be pushed any more. Raises ArgumentError the second time."""
        self._check_open()
        self.ended = True

    def _check_open(self) -> None:
        if self.ended:
            raise ArgumentError("this stream has been flushed; open a new one for another signal")


class SampleInput(_Input):
    """Checks and counts the samples of signals to encode."""

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.n_samples = 0

    def checked(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Samples, float (B, 1, T) or (T,) for one signal, as float32 (B, 1, T).

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
        samples = samples.to(torch.float32)  # before the comparison: 1e6 is infinite in float16
        if samples.numel() and not -LOUDEST <= samples.min() <= samples.max() <= LOUDEST:
            raise ArgumentError(
                f"NaN, infinity or more than {LOUDEST:g} times full scale among the "
                f"{samples.shape[-1]} samples from {self.n_samples} on"
            )
        self.n_samples += samples.shape[-1]
        return samples


def channels_hint(samples: Tensor) -> str:
    """How to reshape samples (B, channels, T), for the end of a message; "" for other shapes."""
    if samples.dim() != 3 or samples.shape[1] < 2:
        return ""
    n, channels, length = samples.shape
    return (
        "; each channel is an item of the batch: "
        f"reshape(-1, 1, {length}) makes ({n * channels}, 1, {length}) of them"
    )


class CodeInput(_Input):
    """Checks the codes of signals to decode."""

    def __init__(self, batch: int, quantizer: ResidualQuantizer) -> None:
        super().__init__(batch)
        self.quantizer = quantizer

    def checked(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Codes, int (B, N, T), as int64.

        Raises CodesError for codes that the model cannot have made, and for another batch size.
        """
        self._check_open()
        codes = self.quantizer.checked(as_tensor(codes, "codes"))
        if len(codes) != self.batch:
            raise CodesError(f"codes of {len(codes)} signals; this stream has {self.batch}")
        return codes


def as_tensor(x: "Tensor | np.ndarray", what: str) -> Tensor:
    """x as a tensor of the same shape. An array is copied.

    torch cannot share the memory of arrays that are read-only, reversed or of the other byte order.
    Raises ArgumentError for anything but a tensor or an array of numbers.
    """
    if isinstance(x, Tensor):
        return x
    if not hasattr(x, "astype"):
        raise ArgumentError(f"{what} are a {type(x).__name__}; give a tensor or an array")
    try:
        return torch.as_tensor(x.astype(x.dtype.newbyteorder("="), order="C"), device="cpu")
    except TypeError as error:
        raise ArgumentError(f"{what} are of type {x.dtype}, which torch does not take") from error
