"""Codebook entropy, use and bitrate efficiency, by their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import CodesError
from audiocodec.lab.measures.usage import CodebookUsage


def test_even_codes_carry_all_bits():
    """Each of 1024 entries once: 10 bits, perplexity 1024, all used."""
    usage = CodebookUsage(2, 1024)
    codes = np.stack([np.arange(1024), np.random.default_rng(0).permutation(1024)])[None]
    for part in np.array_split(codes, 3, axis=-1):
        usage.update(part)
    assert usage.entropy().tolist() == pytest.approx([10, 10])
    assert usage.perplexity().tolist() == pytest.approx([1024, 1024])
    assert usage.used_share().tolist() == [1, 1]
    assert usage.efficiency() == pytest.approx(1)


def test_one_code_carries_nothing():
    """A constant codebook beside one of two even codes: half a bit of 2 x 2."""
    usage = CodebookUsage(2, 4)
    usage.update(torch.tensor([[[3, 3, 3, 3], [0, 1, 0, 1]]]))
    assert usage.entropy().tolist() == [0, 1]
    assert usage.perplexity().tolist() == [1, 2]
    assert usage.used_share().tolist() == [0.25, 0.5]
    assert usage.efficiency() == 0.25


@given(size=st.integers(2, 40), n=st.integers(1, 3), frames=st.integers(1, 60), seed=st.integers(0))
def test_usage_is_that_of_the_definition(size, n, frames, seed):
    """H = -sum p log2 p over the codes that came, in any order and any parts."""
    codes = np.random.default_rng(seed).integers(0, size, (2, n, frames)).astype(np.uint16)
    usage = CodebookUsage(n, size)
    for item in codes:
        usage.update(item[None])
    for i, bits in enumerate(usage.entropy().tolist()):
        p = np.unique(codes[:, i], return_counts=True)[1] / (2 * frames)
        assert bits == pytest.approx(-(p * np.log2(p)).sum(), abs=1e-9)
    assert 0 <= usage.efficiency() <= 1 + 1e-9


def test_usage_refuses_codes_of_another_model():
    """Other codebooks, or codes beyond the table, would be counted elsewhere."""
    usage = CodebookUsage(3, 16)
    with pytest.raises(CodesError, match="3, frames"):
        usage.update(torch.zeros(1, 2, 5, dtype=torch.int64))
    with pytest.raises(CodesError, match="0 to 15"):
        usage.update(torch.full((1, 3, 5), 16))
