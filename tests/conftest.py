"""What many tests share: a small random model, noise, and where the data lies."""

import io
import os
from pathlib import Path

# ahead of torch, for this process and those it starts: the models are so small that threads cost
# more than they give, and threads that spin while they wait cost most
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from hypothesis import settings

from audiocodec import Codec, ModelConfig
from audiocodec.model.network import DAC

DATA = Path(__file__).with_name("data")

settings.register_profile("audiocodec", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("audiocodec")
torch.set_num_threads(1)


def random_model(config: ModelConfig, seed: int = 0) -> DAC:
    """A model with seeded random weights, its output well inside full scale."""
    torch.manual_seed(seed)
    return DAC(config).eval().requires_grad_(False)


def noise(n_samples: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    """Seeded noise (batch, 1, n_samples)."""
    generator = torch.Generator().manual_seed(seed)
    return 0.2 * torch.randn(batch, 1, n_samples, generator=generator)


class Trickle(io.RawIOBase):
    """A raw file that takes only a part of what is written at a time, as sockets may."""

    def __init__(self, n_most: int = 1460) -> None:
        self.n_most, self.taken = n_most, b""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        part = bytes(data[: self.n_most])
        self.taken += part
        return len(part)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of test data."""
    return DATA


@pytest.fixture(scope="session")
def small() -> Codec:
    """A codec at 44.1 kHz that is too small to sound like anything, but quick."""
    return Codec(random_model(ModelConfig(encoder_dim=4, decoder_dim=16)), "small", device="cpu")


@pytest.fixture(scope="session")
def small_16k() -> Codec:
    """The same at 16 kHz, with a stride of 5."""
    config = ModelConfig(
        sample_rate=16000,
        encoder_dim=4,
        decoder_dim=16,
        encoder_strides=(2, 4, 5, 8),
        decoder_strides=(8, 5, 4, 2),
        n_codebooks=12,
    )
    return Codec(random_model(config), "small_16k", device="cpu")
