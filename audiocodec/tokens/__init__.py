"""Tokens for generative models: from a folder of audio to training batches.

    tokenizing   audio -> shards of tokens, resumable
    shards       writing and reading shards in three formats
    patterns     codes <-> the sequences that models are trained on
    dataset      shards -> crops -> batches
    editing      cutting and joining .dac files and shards, without re-encoding

Names are imported when they are first used, so that editing does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiocodec.tokens.dataset import IterableTokenDataset as IterableTokenDataset
    from audiocodec.tokens.dataset import TokenDataset as TokenDataset
    from audiocodec.tokens.dataset import TokenSampler as TokenSampler
    from audiocodec.tokens.dataset import collate as collate
    from audiocodec.tokens.shards import TokenRow as TokenRow
    from audiocodec.tokens.shards import open_shards as open_shards
    from audiocodec.tokens.tokenizing import tokenize as tokenize

_HOMES = {
    "IterableTokenDataset": "dataset",
    "TokenDataset": "dataset",
    "TokenSampler": "dataset",
    "collate": "dataset",
    "TokenRow": "shards",
    "open_shards": "shards",
    "tokenize": "tokenizing",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
