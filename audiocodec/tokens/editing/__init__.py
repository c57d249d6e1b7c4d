"""Editing tokens without a model: crop, concatenate, splice, truncate, compare. No torch.

An edit moves whole frames and never changes a code. What is heard: the samples of a frame depend
on the `config.decoder_context` frames on each side of it (10 for the published shapes, 0.12 s at
44.1 kHz). So the sound of an edited file equals that of its sources, up to float rounding, in all
places that are further than that from a cut; within it, the decoder hears the new neighbours.

Lengths: a part that ends before its file does is whole frames long, rounded down to samples of
the sound; one that keeps the end of its file keeps the exact end. Where the sound has the model's
rate, all lengths are exact. Where it has not, a frame is no whole number of samples: a part that
is moved by some frames then has its samples at most half a sample off, and after several edits in
a row the length may be one sample off for each. Parts cut at one frame and concatenated again
give the length they came from (one sample more where the last frame held less than one).
"""

from audiocodec.tokens.editing.comparing import Comparison, Difference, compare
from audiocodec.tokens.editing.cutting import MixedModels, concatenate, crop, splice, truncate
from audiocodec.tokens.editing.sharded import (
    ShardsComparison,
    compare_shards,
    is_sharded,
    shard_targets,
    truncate_shards,
)
from audiocodec.tokens.editing.spans import Frames, Seconds, Span

__all__ = [
    "compare",
    "compare_shards",
    "Comparison",
    "concatenate",
    "crop",
    "Difference",
    "Frames",
    "is_sharded",
    "MixedModels",
    "Seconds",
    "shard_targets",
    "ShardsComparison",
    "Span",
    "splice",
    "truncate",
    "truncate_shards",
]
