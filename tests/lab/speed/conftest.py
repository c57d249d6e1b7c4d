"""A model so small that a benchmark of it takes no time."""

from pathlib import Path

import pytest

from audiocodec import Codec, ModelConfig
from tests.conftest import random_model

TOY = ModelConfig(encoder_dim=4, decoder_dim=16, n_codebooks=3, codebook_size=32)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy model, seeded."""
    folder = tmp_path_factory.mktemp("toy")
    Codec(random_model(TOY), "toy", device="cpu").save_pretrained(folder)
    return folder
