"""Every system does its operations, in this process."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiocodec.errors import ArgumentError
from audiocodec.lab.speed.roofline import Convolutions, Product
from audiocodec.lab.systems import workloads
from audiocodec.lab.systems.dac_transformers import DacTransformers
from audiocodec.lab.systems.ours import Ours
from audiocodec.lab.systems.published import Published, StandIn
from audiocodec.lab.systems.workloads import TimedSpec, TooLarge, Workload
from tests.conftest import noise


@pytest.fixture
def spec(toy_folder, tmp_path):
    """The toy model, files in a folder of their own."""
    return TimedSpec("ours", str(toy_folder), str(tmp_path))


@pytest.mark.parametrize("operation", ["encode", "decode", "compress", "decompress"])
def test_ours(spec, operation):
    """Runs twice: nothing is in the way of the second time."""
    work = Ours.for_timing(spec).prepare(Workload(operation, 0.1))
    work()
    work()


@pytest.mark.parametrize("made", [Published, DacTransformers])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_same_network_elsewhere(spec, made, batch):
    """Samples for codes and codes for samples; codes are ours."""
    peer = made.for_timing(spec)
    with torch.no_grad():
        codes = peer.prepare(Workload("encode", 0.1, batch))()
        wav = peer.prepare(Workload("decode", 0.1, batch))()
        assert torch.equal(peer.codes(noise(6000)), Ours.for_timing(spec).codes(noise(6000)))
    codes = codes[0] if isinstance(codes, list) else codes
    assert codes.shape == (batch, 3, 9)
    assert wav.shape[0] == batch
    assert wav.shape[-1] == 9 * 512


@pytest.mark.parametrize(("audio_s", "frames"), [(0.5, 44), (1.5, 3 * 72)])
def test_the_stand_in_goes_from_file_to_file(spec, audio_s, frames):
    """Short audio in one padded pass, longer in windows whose frames add up to more."""
    peer = StandIn.for_timing(spec)
    with torch.no_grad():
        peer.prepare(Workload("compress", audio_s))()
        stored = np.load(Path(spec.folder, "stand-in.npy"))
        assert stored.shape == (1, 3, frames)
        peer.prepare(Workload("decompress", audio_s))()
    assert soundfile.info(Path(spec.folder, "stand-in.wav")).frames == round(audio_s * 44100)


def test_too_much_for_the_memory_is_refused(spec, monkeypatch):
    """With what it needs and what there is."""
    monkeypatch.setattr(workloads, "free_bytes", lambda device: 2**20)
    with pytest.raises(TooLarge, match=r"needs about .* GiB at once; 0.0 GiB are free"):
        Published.for_timing(spec).prepare(Workload("encode", 30.0, 8))


def test_a_system_names_what_it_cannot_do(spec):
    """As an ArgumentError."""
    with pytest.raises(ArgumentError, match=r"stand-in .* has no encode"):
        StandIn.for_timing(spec).prepare(Workload("encode", 0.1))


def test_roofline(spec, monkeypatch):
    """A product and the convolutions of a block."""
    monkeypatch.setattr("audiocodec.lab.speed.roofline.PRODUCT_SIDES", {"cpu": 8})
    for name, dtype in (("product", torch.float32), ("product_bfloat16", torch.bfloat16)):
        product = Product(TimedSpec(name, "", spec.folder)).prepare(Workload("product", 0.0))()
        assert (product.shape, product.dtype) == ((8, 8), dtype)
    encoded = Convolutions(spec).prepare(Workload("encode", 0.0))()
    decoded = Convolutions(spec).prepare(Workload("decode", 0.0))()
    assert encoded[-1].shape == (1, 64, 64)
    assert decoded[-1].shape == (1, 1, 64 * 512)
