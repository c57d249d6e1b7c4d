"""Where parameters come from: names, the hub, folders and files. Nothing in a file is executed."""

from audiocodec.weights.registry import DEFAULT_MODEL, KNOWN_MODELS, KnownModel
from audiocodec.weights.resolve import Located, resolve
from audiocodec.weights.store import load_model, save_model

__all__ = [
    "DEFAULT_MODEL",
    "KNOWN_MODELS",
    "KnownModel",
    "Located",
    "load_model",
    "resolve",
    "save_model",
]
