"""Loads a model once a process, however many files follow. May import: codec."""

from functools import lru_cache

from audiocodec.codec import Codec


@lru_cache(maxsize=2)
def loaded(model: str, revision: str | None, device: str, fast: bool) -> Codec:
    """The codec of these settings."""
    precision = "fast" if fast else "exact"
    return Codec.from_pretrained(model, revision, device, precision=precision)
