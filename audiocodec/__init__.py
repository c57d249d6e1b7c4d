"""audiocodec: audio to about 8 kbit/s of discrete tokens, and back at high fidelity.

    from audiocodec import Codec
    codec = Codec.from_pretrained()
    codec.compress("speech.wav", "speech.dac")
    codec.decompress("speech.dac", "speech_decoded.wav")

The way of a waveform, one package per stage; decompressing goes through them in reverse:

    audio       reads, resamples, measures and writes sound
    model       the networks: encoder, residual quantizer, decoder (arXiv 2306.06546)
    engine      runs the networks block by block, with the result of one whole pass
    container   the .dac file: FORMAT.md, header, entropy coding, reader and writer
    codec       Codec, which joins the stages; its halves are compression and decompression

Around them:

    weights     finds, loads and stores models; holds the built-in one
    recordings  lists the recordings in folders, manifests and tars, and reads parts of them
    tokens      token shards, datasets, patterns and editing, for generative models
    export      ONNX files
    lab         trains, evaluates and times codecs; only cli imports it
    cli         the command `audiocodec`, one module per subcommand

errors, validation, files, threads and workers serve all of them. Public names are loaded when
first used, so that importing the package does not import torch.
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
