"""Patterns: turn codes (n_codebooks, frames) into streams of tokens for a language model, and back.

pattern = delay(8)
vocabulary = Vocabulary.shared(8)
tokens = pattern.apply(codes, vocabulary)    # (n_streams, n_steps)
codes = pattern.invert(tokens, vocabulary)   # (n_codebooks, frames), exactly
"""

from audiocodec.tokens.patterns.kinds import (
    coarse_then_fine,
    delay,
    flatten,
    parallel,
    partial_flatten,
)
from audiocodec.tokens.patterns.layout import Layout, Place
from audiocodec.tokens.patterns.pattern import Pattern
from audiocodec.tokens.patterns.streaming import PatternStream
from audiocodec.tokens.patterns.vocabulary import SpecialToken, Vocabulary

__all__ = [
    "coarse_then_fine",
    "delay",
    "flatten",
    "Layout",
    "parallel",
    "partial_flatten",
    "Pattern",
    "PatternStream",
    "Place",
    "SpecialToken",
    "Vocabulary",
]
