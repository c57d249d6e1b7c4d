"""Shards of tokens: the rows, and three common formats for them. Does not import torch."""

from audiocodec.tokens.shards.header import ShardError, ShardHeader, column_types
from audiocodec.tokens.shards.opening import (
    FORMATS,
    Shards,
    check_format,
    open_shards,
    shard_name,
    write_shard,
)
from audiocodec.tokens.shards.row import TokenRow, Value

__all__ = [
    "check_format",
    "column_types",
    "FORMATS",
    "open_shards",
    "shard_name",
    "ShardError",
    "ShardHeader",
    "Shards",
    "TokenRow",
    "Value",
    "write_shard",
]
