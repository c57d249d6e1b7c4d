"""Edits tokens without a model or torch: crop, concatenate, splice, truncate, compare.

An edit moves whole frames and never changes a code. The sound of a frame depends on
`config.decoder_context` frames on each side of it (10 for the published shapes, 0.12 s at
44.1 kHz). So the sound of an edited file equals that of its sources, up to float rounding,
everywhere further than that from a cut; closer to it, the decoder's context has new neighbours.

Lengths: a part that ends before its file does is whole frames long, rounded down to samples of
the sound; one that keeps the end of its file keeps the exact end. If the sound has the model's
rate, all lengths are exact. If not, a frame is no whole number of samples: the samples of a part
that is moved are then off by at most half a sample, and each of several edits in a row may change
the length by one sample. Parts cut at one frame and concatenated again have the original length
(one sample more if the last frame held less than one).
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
