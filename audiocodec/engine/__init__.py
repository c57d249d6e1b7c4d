"""Runs the networks block by block, exactly: one engine for whole files, chunks and live audio."""

from audiocodec.engine.blocks import BLOCK_FRAMES, StreamDecoder, StreamEncoder
from audiocodec.engine.precision import Precision, pick_device

__all__ = ["BLOCK_FRAMES", "Precision", "StreamDecoder", "StreamEncoder", "pick_device"]
