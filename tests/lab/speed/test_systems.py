"""Every system does its operations, in this process."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiocodec.errors import ArgumentError
from audiocodec.lab.speed import peers, system
from audiocodec.lab.speed.ours import Ours
from audiocodec.lab.speed.roofline import Convolutions, Product
from audiocodec.lab.speed.system import Cell, Spec, TooLarge
from tests.conftest import noise


@pytest.fixture
def spec(toy_folder, tmp_path):
    """The toy model, files in a folder of their own."""
    return Spec("ours", str(toy_folder), str(tmp_path))


@pytest.mark.parametrize("operation", ["encode", "decode", "compress", "decompress"])
def test_ours(spec, operation):
    """Runs twice: nothing is in the way of the second time."""
    work = Ours(spec).prepare(Cell(operation, 0.1))
    work()
    work()


@pytest.mark.parametrize("made", [peers.Published, peers.Transformers])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_same_network_elsewhere(spec, made, batch):
    """Samples for codes and codes for samples; codes are ours."""
    peer = made(spec)
    with torch.no_grad():
        codes = peer.prepare(Cell("encode", 0.1, batch))()
        wav = peer.prepare(Cell("decode", 0.1, batch))()
        assert torch.equal(peer.codes(noise(6000)), Ours(spec).codes(noise(6000)))
    assert codes.shape == (batch, 3, 9)
    assert wav.shape[0] == batch
    assert wav.shape[-1] == 9 * 512


@pytest.mark.parametrize(("audio_s", "frames"), [(0.5, 44), (1.5, 3 * 72)])
def test_the_stand_in_goes_from_file_to_file(spec, audio_s, frames):
    """Short audio in one padded pass, longer in windows whose frames add up to more."""
    peer = peers.StandIn(spec)
    with torch.no_grad():
        peer.prepare(Cell("compress", audio_s))()
        stored = np.load(Path(spec.folder, "stand-in.npy"))
        assert stored.shape == (1, 3, frames)
        peer.prepare(Cell("decompress", audio_s))()
    assert soundfile.info(Path(spec.folder, "stand-in.wav")).frames == round(audio_s * 44100)


def test_too_much_for_the_memory_is_refused(spec, monkeypatch):
    """With what it needs and what there is."""
    monkeypatch.setattr(system, "free_bytes", lambda device: 2**20)
    with pytest.raises(TooLarge, match=r"needs about .* GiB at once; 0.0 GiB are free"):
        peers.Published(spec).prepare(Cell("encode", 30.0, 8))


def test_a_system_names_what_it_cannot_do(spec):
    """As an ArgumentError."""
    with pytest.raises(ArgumentError, match="stand-in has no encode"):
        peers.StandIn(spec).prepare(Cell("encode", 0.1))


def test_roofline(spec, monkeypatch):
    """A product and the convolutions of a block."""
    monkeypatch.setattr("audiocodec.lab.speed.roofline.PRODUCT_SIDES", {"cpu": 8})
    for name, dtype in (("product", torch.float32), ("product_bfloat16", torch.bfloat16)):
        product = Product(Spec(name, "", spec.folder)).prepare(Cell("product", 0.0))()
        assert (product.shape, product.dtype) == ((8, 8), dtype)
    encoded = Convolutions(spec).prepare(Cell("encode", 0.0))()
    decoded = Convolutions(spec).prepare(Cell("decode", 0.0))()
    assert encoded[-1].shape == (1, 64, 64)
    assert decoded[-1].shape == (1, 1, 64 * 512)
