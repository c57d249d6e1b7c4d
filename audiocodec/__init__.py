"""audiocodec: audio to about 8 kbit/s of discrete tokens, and back at high fidelity.

    from audiocodec import Codec
    codec = Codec.from_pretrained()
    codec.compress("speech.wav", "speech.dac")
    codec.decompress("speech.dac", "speech_decoded.wav")

Names are loaded when first used, so that importing the package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiocodec.codec import Audio, Codec
    from audiocodec.container import DacFile, Header
    from audiocodec.errors import CodecError
    from audiocodec.model.config import ModelConfig

__version__ = "0.2.0"

_HOMES = {
    "Audio": "codec",
    "Codec": "codec",
    "CodecError": "errors",
    "DacFile": "container",
    "Header": "container",
    "ModelConfig": "model.config",
}

__all__ = ["Audio", "Codec", "CodecError", "DacFile", "Header", "ModelConfig"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'audiocodec' has no attribute {name!r}")
    return getattr(import_module(f"audiocodec.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
