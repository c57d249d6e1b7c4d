"""Runs one model: chooses between streams and windows for each task.

A CPU computes one block after the other, in streams (engine.blocks). A GPU does so for live audio
only; in all other audio it computes many windows side by side (engine.windows).
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
    """Makes encoders and decoders that share the weights of one model."""

    def __init__(self, model: DAC, precision: Precision) -> None:
        self.model, self.precision = model, precision

    @property
    def device(self) -> torch.device:
        """The device that holds the weights and runs the networks."""
        return self.model.device

    @property
    def in_windows(self) -> bool:
        """Whether audio that is not live is computed in windows: on CUDA."""
        return self.device.type == "cuda"

    def encoder(
        self, channels: int, n_codebooks: int | None = None, n_frames: int = 0
    ) -> AnyEncoder:
        """An encoder for audio that is not live.

        channels: signals encoded together. n_codebooks: use only the first ones; all by default.
        n_frames: length of each signal, 0 if unknown.
        Raises ArgumentError for a number of codebooks that the model does not have.
        """
        if not self.in_windows:
            return self.stream_encoder(channels, n_codebooks)
        n_codebooks = self.checked_codebooks(n_codebooks)
        window = window_frames(n_frames, channels)
        return WindowEncoder(self.model, channels, n_codebooks, self.precision, window)

    def decoder(self, channels: int, n_frames: int) -> AnyDecoder:
        """A decoder for codes that are not live, at most n_frames long. Raises ArgumentError."""
        config = self.model.config
        whole_hops = config.decoded_length(1) == config.hop
        if not self.in_windows or not whole_hops:
            return self.stream_decoder(channels)
        window = window_frames(n_frames, channels)
        return WindowDecoder(self.model, channels, self.precision, window)

    def stream_encoder(
        self, channels: int, n_codebooks: int | None = None, block_frames: int = BLOCK_FRAMES
    ) -> StreamEncoder:
        """An encoder for live audio. Raises ArgumentError as encoder() does, or for a bad block."""
        n_codebooks = self.checked_codebooks(n_codebooks)
        return StreamEncoder(self.model, channels, n_codebooks, block_frames, self.precision)

    def stream_decoder(self, channels: int, block_frames: int = BLOCK_FRAMES) -> StreamDecoder:
        """A decoder for live codes. Raises ArgumentError for a bad number of channels or block."""
        return StreamDecoder(self.model, channels, block_frames, self.precision)

    def encode_many(
        self, signals: "Iterable[Tensor | np.ndarray]", n_codebooks: int | None = None
    ) -> Iterator[Tensor]:
        """Encode signals, each float (T,); yield the codes of each, int64 (n_codebooks, frames).

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
        """Decode codes, each int64 (B, n_codebooks, frames); yield samples, float32 (B, 1, T).

        padded: without, no zeros are put around the signals, and their ends are left out.
        Raises CodesError for codes that the model cannot have made.
        """
        for codes in signals:
            stream = StreamDecoder(self.model, len(codes), precision=self.precision, padded=padded)
            yield torch.cat([stream.push(codes), stream.flush()], dim=-1)

    def checked_codebooks(self, n_codebooks: int | None) -> int:
        """n_codebooks, or all for None. Raises ArgumentError unless the model has as many."""
        most = self.model.config.n_codebooks
        n_codebooks = most if n_codebooks is None else check_int(n_codebooks, "n_codebooks")
        if not 1 <= n_codebooks <= most:
            raise ArgumentError(f"{n_codebooks} codebooks; this model has 1 to {most}")
        return n_codebooks
