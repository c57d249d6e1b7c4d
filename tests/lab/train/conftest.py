"""Trainers of a micro model."""

from collections.abc import Callable

import pytest
from torch import Tensor

from audiocodec.lab.train.discriminators import Discriminators
from audiocodec.lab.train.trainer import Trainer
from tests.lab.train.micro import CRITICS, chords, made, settings


@pytest.fixture
def make_trainer() -> Callable[..., Trainer]:
    """Makes trainers of a micro model with seeded weights: make_trainer(seed=0, **settings)."""

    def make(seed: int = 0, batch: Callable[[int], Tensor] = chords, **changed: object) -> Trainer:
        return Trainer(made(seed), batch, settings(**changed), Discriminators(CRITICS))

    return make
