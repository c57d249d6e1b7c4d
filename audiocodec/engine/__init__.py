"""Runs the networks block by block, exactly: one engine for whole files, chunks and live audio."""

from audiocodec.engine.blocks import BLOCK_FRAMES, StreamDecoder, StreamEncoder
from audiocodec.engine.engine import AnyDecoder, AnyEncoder, Engine
from audiocodec.engine.inputs import as_tensor, channels_hint
from audiocodec.engine.precision import Precision, pick_device
from audiocodec.engine.windows import BatchEncoder

__all__ = [
    "BLOCK_FRAMES",
    "AnyDecoder",
    "AnyEncoder",
    "BatchEncoder",
    "Engine",
    "Precision",
    "StreamDecoder",
    "StreamEncoder",
    "as_tensor",
    "channels_hint",
    "pick_device",
]
