"""Loads a model once per process, however many files follow."""

from functools import lru_cache

from audiocodec.codec import Codec
from audiocodec.errors import ArgumentError, ModelError


@lru_cache(maxsize=2)
def loaded(model: str, revision: str | None, device: str, fast: bool) -> Codec:
    """The codec with these settings, cached. Raises ModelError, also for an unusable device."""
    precision = "fast" if fast else "exact"
    try:
        return Codec.from_pretrained(model, revision, device, precision=precision)
    except ArgumentError as error:
        raise ModelError(str(error)) from error
