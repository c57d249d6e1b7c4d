"""Models of this library as systems."""

import numpy as np
import pytest
import torch

from audiocodec import Codec, DacFile, ModelConfig
from audiocodec.errors import ArgumentError
from audiocodec.lab.systems.base import Unavailable
from audiocodec.lab.systems.ours import Ours
from tests.conftest import noise, random_model

AUDIO = noise(30001)[0, 0].numpy()


def test_bytes_codes_and_audio_are_those_of_the_file(small, tmp_path):
    """Compressed by hand, a file has the same bytes, codes and sound."""
    system = Ours(small, (9, 1))
    for setting in system.settings:
        path = tmp_path / f"{setting.codebooks}.dac"
        small.compress(AUDIO, path, sample_rate=44100, n_codebooks=setting.codebooks)
        decoded = system.run(AUDIO, 44100, setting)
        assert decoded.n_bytes == path.stat().st_size
        np.testing.assert_array_equal(decoded.audio, small.decompress(path).samples[:, 0])
        np.testing.assert_array_equal(decoded.codes, DacFile.load(path).codes[0])
        assert min(decoded.encode_s, decoded.decode_s) > 0


def test_settings_are_counts_of_codebooks(small):
    """From the lowest rate, each once, with bits and tokens a second."""
    system = Ours(small, (9, 1, 9), name="mine")
    assert [s.label for s in system.settings] == ["1 codebook", "9 codebooks"]
    assert [s.codebooks for s in system.settings] == [1, 9]
    assert system.settings[1].nominal_kbps == pytest.approx(small.config.kbps)
    assert system.settings[1].tokens_per_s == pytest.approx(9 * 44100 / 512)
    assert (system.name, system.codebook_size, system.in_programs) == ("mine", 1024, False)


def test_a_model_of_another_rate_gives_the_clip_at_its_own_rate(small_16k):
    """It resamples by itself."""
    system = Ours(small_16k, (4,))
    decoded = system.run(AUDIO, 44100, system.settings[0])
    assert decoded.audio.shape == AUDIO.shape
    assert decoded.codes.shape == (4, -(-len(AUDIO) * 16000 // 44100 // 320))


def test_the_identity_follows_all_weights_and_the_alignment():
    """Codec.fingerprint names the code space only; a decoder that was trained on differs."""

    def identity(seed: int, alignment: str = "aligned", bias: float = 0.0) -> str:
        config = ModelConfig(encoder_dim=4, decoder_dim=16, alignment=alignment)
        model = random_model(config, seed)
        with torch.no_grad():
            list(model.decoder.parameters())[-1].add_(bias)
        return Ours(Codec(model, "small", device="cpu"), (1,)).identity

    found = [identity(0), identity(1), identity(0, alignment="published"), identity(0, bias=0.1)]
    assert len(set(found)) == 4
    assert identity(0) == found[0]


@pytest.mark.parametrize("n", [0, 10])
def test_counts_out_of_range_are_refused(small, n):
    """With what the model has."""
    with pytest.raises(ArgumentError, match=f"{n} codebooks; small has 1 to 9"):
        Ours(small, (1, n))


def test_by_name_it_spreads_over_its_codebooks():
    """The built-in model; one that is nowhere cannot run."""
    assert [s.codebooks for s in Ours.named("tiny_44khz").settings] == [1, 3, 6, 9]
    with pytest.raises(Unavailable, match=r"nowhere\.pth: no such file"):
        Ours.named("nowhere.pth")
