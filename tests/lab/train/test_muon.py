"""Muon's directions."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.lab.train.muon import orthogonal


@given(rows=st.integers(16, 40), columns=st.integers(16, 40), seed=st.integers(0, 99))
def test_muon_moves_all_directions_alike(rows, columns, seed):
    """Singular values are near one another, at the RMS of an AdamW update."""
    gradient = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    update = orthogonal(gradient)
    values = torch.linalg.svdvals(update) / (0.2 * max(rows, columns) ** 0.5)
    assert values.max() < 1.4
    assert values.median() > 0.5
