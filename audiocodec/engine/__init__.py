"""Runs the networks block by block, exactly: one engine for whole files, chunks and live audio."""

from audiocodec.engine.blocks import BLOCK_FRAMES, StreamDecoder, StreamEncoder, as_tensor
from audiocodec.engine.precision import Precision, pick_device
from audiocodec.engine.windows import (
    BatchEncoder,
    WindowDecoder,
    WindowEncoder,
    window_frames,
)

__all__ = [
    "BLOCK_FRAMES",
    "Decoder",
    "Encoder",
    "BatchEncoder",
    "Precision",
    "StreamDecoder",
    "StreamEncoder",
    "WindowDecoder",
    "WindowEncoder",
    "as_tensor",
    "pick_device",
    "window_frames",
]

Encoder = StreamEncoder | WindowEncoder
Decoder = StreamDecoder | WindowDecoder
