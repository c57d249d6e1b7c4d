"""EnCodec, SNAC and DacModel: small seeded ones, saved to a folder and loaded as published ones."""

import json
import sys

import numpy as np
import pytest
import torch

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.signals import at_rate
from audiocodec.lab.systems.base import Unavailable, package
from audiocodec.lab.systems.dac_transformers import DacTransformers
from audiocodec.lab.systems.encodec import Encodec
from audiocodec.lab.systems.neural import spread
from audiocodec.lab.systems.snac import Snac
from tests.conftest import noise

snac, transformers = package("snac"), package("transformers")
pytestmark = pytest.mark.filterwarnings("default")  # those of the packages are not ours

AUDIO = noise(24001)[0, 0].numpy()
STEREO = {
    "sampling_rate": 48000,
    "audio_channels": 2,
    "normalize": True,
    "chunk_length_s": 0.2,
    "overlap": 0.01,
    "use_causal_conv": False,
    "norm_type": "time_group_norm",
    "target_bandwidths": [3.0, 6.0],
}


def encodec_folder(folder, **settings):
    """A small EnCodec with random codebooks (fresh ones are zero)."""
    torch.manual_seed(0)
    config = transformers.EncodecConfig(num_filters=4, hidden_size=16, **settings)
    model = transformers.EncodecModel(config)
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
    model.save_pretrained(folder)
    return str(folder), model.eval()


@pytest.fixture
def encodec(tmp_path):
    """Folder and model at 24 kHz."""
    return encodec_folder(tmp_path / "encodec", target_bandwidths=[1.5, 6.0])


@pytest.fixture
def dac(tmp_path):
    """Folder and model at 44.1 kHz."""
    torch.manual_seed(0)
    config = transformers.DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=16, n_codebooks=9, sampling_rate=44100
    )
    model = transformers.DacModel(config).eval()
    model.save_pretrained(tmp_path / "dac")
    return str(tmp_path / "dac"), model


@pytest.fixture
def small_snac(tmp_path):
    """Folder and model with two scales."""
    torch.manual_seed(0)
    config = {
        "encoder_dim": 4,
        "encoder_rates": [2, 4, 8],
        "decoder_dim": 16,
        "decoder_rates": [8, 4, 2],
        "attn_window_size": None,
        "codebook_size": 256,
        "vq_strides": [4, 1],
    }
    model = snac.SNAC(**config).eval()
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    return str(tmp_path), model


def test_encodec_at_its_own_rate_equals_the_model(encodec):
    """Sound, codes and bits of each bandwidth."""
    folder, model = encodec
    system = Encodec.pretrained(folder)
    assert [s.label for s in system.settings] == ["1.5 kbps", "6 kbps"]
    assert [(s.codebooks, s.nominal_kbps, s.tokens_per_s) for s in system.settings] == [
        (2, 1.5, 150),
        (8, 6.0, 600),
    ]
    for setting, bandwidth in zip(system.settings, (1.5, 6.0), strict=True):
        decoded = system.run(AUDIO, 24000, setting)
        with torch.inference_mode():
            expected = model(torch.from_numpy(AUDIO)[None, None], bandwidth=bandwidth)
        np.testing.assert_allclose(decoded.audio, expected.audio_values[0, 0], atol=1e-6)
        np.testing.assert_array_equal(decoded.codes, expected.audio_codes[0, 0])
        assert decoded.n_bytes == -(-setting.codebooks * 76 * 10 // 8)  # 24001 samples: 76 frames


def test_encodec_in_stereo_takes_chunks_and_gives_mono(tmp_path):
    """The clip on both channels; levels of the chunks count as bits."""
    folder, model = encodec_folder(tmp_path / "stereo", **STEREO)
    system = Encodec.pretrained(folder)
    decoded = system.run(AUDIO, 48000, system.settings[1])
    with torch.inference_mode():
        wav = torch.from_numpy(AUDIO).expand(1, 2, -1)
        expected = model(wav, bandwidth=6.0)
    n_chunks, _, n_codebooks, frames = expected.audio_codes.shape
    assert (n_chunks, n_codebooks) == (3, 4)
    mean = expected.audio_values[0].mean(dim=0)
    np.testing.assert_allclose(decoded.audio, mean[: len(AUDIO)], atol=1e-6)
    n_codes = decoded.codes.size
    assert 2 * frames * n_codebooks < n_codes < 3 * frames * n_codebooks
    assert decoded.n_bytes == -(-(n_codes * 10 + 3 * 32) // 8)


def test_dac_model_equals_the_model(dac):
    """Sound and codes of some codebooks; the clip is filled up to a whole frame."""
    folder, model = dac
    system = DacTransformers.pretrained(folder, (9, 3))
    assert [s.label for s in system.settings] == ["3 codebooks", "9 codebooks"]
    wav = torch.nn.functional.pad(torch.from_numpy(AUDIO)[None, None], (0, -len(AUDIO) % 512))
    for setting in system.settings:
        decoded = system.run(AUDIO, 44100, setting)
        with torch.inference_mode():
            expected = model(wav, n_quantizers=setting.codebooks)
        np.testing.assert_allclose(decoded.audio, expected.audio_values[0, : len(AUDIO)], atol=1e-5)
        np.testing.assert_array_equal(decoded.codes, expected.audio_codes[0])
        assert decoded.n_bytes == -(-setting.codebooks * 47 * 10 // 8)


def test_dac_model_spreads_over_its_codebooks_and_refuses_others(dac):
    """1, 3, 6 and 9 of 9."""
    folder, _ = dac
    assert [s.codebooks for s in DacTransformers.pretrained(folder).settings] == [1, 3, 6, 9]
    with pytest.raises(ArgumentError, match="10 codebooks; DacModel dac has 1 to 9"):
        DacTransformers.pretrained(folder, (10,))


def test_snac_equals_the_model_with_the_same_noise(small_snac):
    """All scales packed; twice the same, though its decoder adds noise."""
    folder, model = small_snac
    system = Snac.pretrained(folder)
    [setting] = system.settings
    decoded = system.run(AUDIO, 44100, setting)
    with torch.inference_mode():
        codes = model.encode(torch.from_numpy(AUDIO)[None, None])
        torch.manual_seed(0)
        expected = model.decode(codes)[0, 0, : len(AUDIO)]
    np.testing.assert_allclose(decoded.audio, expected, atol=1e-6)
    np.testing.assert_array_equal(decoded.audio, system.run(AUDIO, 44100, setting).audio)
    assert [part.shape[-1] for part in codes] == [94, 376]
    assert decoded.n_bytes == 94 + 376  # eight bits a code
    assert decoded.codes is None
    assert setting.tokens_per_s == pytest.approx(44100 / 64 * 1.25)
    assert setting.nominal_kbps == pytest.approx(44.1 / 64 * 1.25 * 8)


def test_clips_of_another_rate_are_resampled_there_and_back(encodec):
    """As the published evaluation does it: what is above the model's band is lost."""
    folder, model = encodec
    system = Encodec.pretrained(folder)
    decoded = system.run(AUDIO, 44100, system.settings[0])
    with torch.inference_mode():
        wav = torch.from_numpy(at_rate(AUDIO, 44100, 24000))[None, None]
        there = model(wav, bandwidth=1.5).audio_values[0, 0].numpy()
    back = at_rate(there, 24000, 44100)
    assert abs(len(back) - len(AUDIO)) <= 1
    np.testing.assert_allclose(decoded.audio[: len(back)], back[: len(AUDIO)], atol=1e-6)
    assert decoded.audio.shape == AUDIO.shape


def test_identities_follow_the_weights(encodec, tmp_path):
    """Not the folder; a name of their own tells other weights from the usual ones."""
    folder, model = encodec
    model.save_pretrained(tmp_path / "copy")
    first, copy = Encodec.pretrained(folder), Encodec.pretrained(str(tmp_path / "copy"))
    assert first.identity == copy.identity
    assert (first.name, copy.name) == ("EnCodec encodec", "EnCodec copy")
    with torch.no_grad():
        next(model.decoder.parameters()).add_(0.01)
    model.save_pretrained(tmp_path / "other")
    assert Encodec.pretrained(str(tmp_path / "other")).identity != first.identity


@pytest.mark.parametrize("system", [Encodec, Snac, DacTransformers])
def test_weights_that_cannot_be_had_make_a_system_unavailable(system, tmp_path, monkeypatch):
    """An empty folder, and the hub without a network: one line that names the source."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for source in (str(tmp_path), "nobody/nothing"):
        with pytest.raises(Unavailable, match=f"{source}: its weights cannot be loaded") as caught:
            system.pretrained(source)
        assert len(str(caught.value).splitlines()) == 1


def test_weights_that_lack_a_part_are_not_filled_with_random_numbers(dac):
    """transformers would only warn."""
    folder, model = dac
    state = {name: value for name, value in model.state_dict().items() if "decoder" not in name}
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(Unavailable, match=r"\(no decoder\..* of a DacModel there\)"):
        DacTransformers.pretrained(folder)


def test_the_weights_of_another_model_are_refused(dac):
    """A DacModel is no EnCodec."""
    folder, _ = dac
    with pytest.raises(Unavailable, match="cannot be loaded"):
        Encodec.pretrained(folder)


@pytest.mark.parametrize(
    ("system", "package"),
    [(Encodec, "transformers"), (Snac, "snac"), (DacTransformers, "transformers")],
)
def test_missing_packages_make_a_system_unavailable(system, package, monkeypatch):
    """And the line says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        Unavailable, match=rf"package {package} is missing: pip install 'audiocodec\[peers\]'"
    ):
        system.pretrained()


def test_counts_are_spread_from_one_to_all():
    """Each once, however few there are."""
    assert [spread(n) for n in (1, 2, 9, 32)] == [(1,), (1, 2), (1, 3, 6, 9), (1, 11, 22, 32)]
