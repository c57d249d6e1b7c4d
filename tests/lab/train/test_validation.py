"""Figures on held-out excerpts."""

import torch

from audiocodec.lab.train.validation import validate
from audiocodec.model.network import DAC
from tests.lab.train.micro import CONFIG, chords


def test_figures_are_those_of_the_decoded_audio():
    """One figure for each codebook; the model is left in training mode, unchanged."""
    torch.manual_seed(0)
    model = DAC(CONFIG).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = validate(model, torch.cat([chords(i) for i in range(5)]))
    assert found.decoded.shape == found.originals.shape == (4, 1, 2048)
    assert found.figures["mel"] > 0
    assert found.figures["si_sdr"] < 0
    assert 0 <= found.figures["efficiency"] <= 1
    assert {f"entropy_{i}" for i in (1, 2, 3)} <= set(found.figures)
    assert model.training
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
