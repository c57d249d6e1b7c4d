"""Resampling and checks that the metrics share."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.signals import NoFigure, at_rate, refuse_other_lengths, refuse_silence
from tests.lab.measures.sounds import hiss, tone


@given(n_samples=st.integers(0, 3000))
def test_resampling_keeps_the_duration(n_samples):
    """Rounded up to a whole sample; nothing stays nothing."""
    assert len(at_rate(hiss(n_samples), 16000, 48000)) == 3 * n_samples


@pytest.mark.parametrize("made", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_signals_without_content_are_refused_by_name(made):
    """Silence, nothing at all, and what no codec should give back."""
    sound = made(tone(100, 10))
    refuse_silence(reference=sound, estimate=sound)
    with pytest.raises(NoFigure, match="silent estimate"):
        refuse_silence(reference=sound, estimate=1e-4 * sound)
    with pytest.raises(NoFigure, match="silent reference"):
        refuse_silence(reference=sound[:0], estimate=sound)
    for bad in (np.nan, np.inf):
        with pytest.raises(NoFigure, match="estimate that is not finite"):
            refuse_silence(reference=sound, estimate=sound + bad)


def test_other_lengths_are_a_mistake():
    """Not a clip without a figure; both shapes are named."""
    refuse_other_lengths(hiss(7), hiss(7))
    with pytest.raises(ArgumentError, match=r"\(7,\).*\(8,\)"):
        refuse_other_lengths(hiss(7), hiss(8))
