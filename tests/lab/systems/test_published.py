"""The published forward pass gives what the codec gives, so the comparison is of equals."""

import torch

from audiocodec.lab.systems.published import PlainDac, Windows
from tests.conftest import noise


def test_codes_and_samples_are_ours(small):
    """The same codes, and samples to float32's rounding."""
    plain, wav = PlainDac.like(small.model), noise(20 * small.hop, batch=2)
    codes = small.encode(wav)
    with torch.no_grad():
        assert torch.equal(plain.encode(wav), codes)
        assert torch.allclose(plain.decode(codes), small.decode(codes), atol=1e-5)


def test_published_alignment_at_odd_strides(small_16k):
    """An odd stride loses a sample, which is 8 at the output."""
    plain, codes = PlainDac.like(small_16k.model), small_16k.encode(noise(10 * small_16k.hop))
    with torch.no_grad():
        assert plain.decode(codes).shape[-1] == 10 * small_16k.hop - 8


def test_a_window_decodes_to_its_step(small):
    """With padding off, the frames of a window become as many samples as it moves on."""
    plain, windows = PlainDac.like(small.model), Windows(small.config, window_s=0.4)
    plain.pad(False)
    parts = list(windows.of(noise(30000)))
    assert len(parts) == -(-30000 // windows.step)
    with torch.no_grad():
        codes = plain.encode(parts[0])
        assert codes.shape[-1] == windows.n_frames
        assert plain.decode(codes).shape[-1] == windows.step


def test_padding_comes_back(small):
    """Switched off and on again, it is what it was."""
    plain, wav = PlainDac.like(small.model), noise(20 * small.hop)
    before = plain.encode(wav)
    plain.pad(False)
    plain.pad(True)
    assert torch.equal(plain.encode(wav), before)
