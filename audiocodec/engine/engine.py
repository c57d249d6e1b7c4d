"""A model at work: decides for each task whether a stream or windows compute it.

A CPU computes one block after the other, in streams (engine.blocks). A GPU computes many windows of
audio that is not live side by side (engine.windows).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from audiocodec.engine.blocks import BLOCK_FRAMES, StreamDecoder, StreamEncoder
from audiocodec.engine.precision import Precision
from audiocodec.engine.windows import BatchEncoder, WindowDecoder, WindowEncoder, window_frames
from audiocodec.errors import ArgumentError
from audiocodec.model.network import DAC
from audiocodec.validation import check_int

if TYPE_CHECKING:
    import numpy as np

AnyEncoder: TypeAlias = StreamEncoder | WindowEncoder
AnyDecoder: TypeAlias = StreamDecoder | WindowDecoder


class Engine:
    """Makes encoders and decoders of one model, which share its weights."""

    def __init__(self, model: DAC, precision: Precision) -> None:
        self.model, self.precision = model, precision

    @property
    def device(self) -> torch.device:
        """Where the weights are, and the networks run."""
        return self.model.device

    @property
    def in_windows(self) -> bool:
        """Whether audio that is not live is computed in windows."""
        return self.device.type == "cuda"

    def encoder(
        self, channels: int, n_codebooks: int | None = None, n_frames: int = 0
    ) -> AnyEncoder:
        """For audio that is not live.

        channels: signals side by side. n_codebooks: the first ones; all by default. n_frames: of
        each signal, 0 if unknown. Raises ArgumentError for codebooks that the model has not.
        """
        if not self.in_windows:
            return self.stream_encoder(channels, n_codebooks)
        n_codebooks = self.checked_codebooks(n_codebooks)
        window = window_frames(n_frames, channels)
        return WindowEncoder(self.model, channels, n_codebooks, self.precision, window)

    def decoder(self, channels: int, n_frames: int) -> AnyDecoder:
        """For codes that are not live, of so many frames at most."""
        config = self.model.config
        whole_hops = config.decoded_length(1) == config.hop
        if not self.in_windows or not whole_hops:
            return self.stream_decoder(channels)
        window = window_frames(n_frames, channels)
        return WindowDecoder(self.model, channels, self.precision, window)

    def stream_encoder(
        self, channels: int, n_codebooks: int | None = None, block_frames: int = BLOCK_FRAMES
    ) -> StreamEncoder:
        """For live audio. Raises what encoder() raises, and ArgumentError for such a block."""
        n_codebooks = self.checked_codebooks(n_codebooks)
        return StreamEncoder(self.model, channels, n_codebooks, block_frames, self.precision)

    def stream_decoder(self, channels: int, block_frames: int = BLOCK_FRAMES) -> StreamDecoder:
        """For live codes. Raises ArgumentError."""
        return StreamDecoder(self.model, channels, block_frames, self.precision)

    def encode_many(
        self, signals: "Iterable[Tensor | np.ndarray]", n_codebooks: int | None = None
    ) -> Iterator[Tensor]:
        """Signals float (T,) -> codes int64 (n_codebooks, frames) of each, in their order.

        Raises ArgumentError for another shape, and for samples that are not finite.
        """
        n_codebooks = self.checked_codebooks(n_codebooks)
        if not self.in_windows:
            for signal in signals:
                stream = self.stream_encoder(1, n_codebooks)
                yield torch.cat([stream.push(signal), stream.flush()], dim=-1)[0]
            return
        together = BatchEncoder(self.model, n_codebooks, self.precision)
        for signal in signals:
            yield from together.push(signal)
        yield from together.flush()

    def decode_many(self, signals: Iterable[Tensor], padded: bool = True) -> Iterator[Tensor]:
        """Codes int64 (B, n_codebooks, frames) -> samples float32 (B, 1, T) of each, in order.

        padded: without, no zeros are put around the signals, and their ends are left out.
        """
        for codes in signals:
            stream = StreamDecoder(self.model, len(codes), precision=self.precision, padded=padded)
            yield torch.cat([stream.push(codes), stream.flush()], dim=-1)

    def checked_codebooks(self, n_codebooks: int | None) -> int:
        """A number of codebooks, all of them for None. Raises ArgumentError."""
        most = self.model.config.n_codebooks
        n_codebooks = most if n_codebooks is None else check_int(n_codebooks, "n_codebooks")
        if not 1 <= n_codebooks <= most:
            raise ArgumentError(f"{n_codebooks} codebooks; this model has 1 to {most}")
        return n_codebooks
