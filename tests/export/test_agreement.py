"""Exported files compute what torch does: any length, any batch, any number of codebooks."""

import json

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audiocodec import Codec, ModelConfig
from audiocodec.export.verification import are_nearest
from tests.conftest import DATA, random_model

AUDIO = DATA.parents[1] / "examples" / "audio"


def noise(batch: int, n_samples: int) -> np.ndarray:
    wav = np.random.default_rng(n_samples).standard_normal((batch, 1, n_samples))
    return (0.2 * wav).astype(np.float32)


def compared(codec: Codec, onnx, audio: np.ndarray) -> np.ndarray:
    """Which codes are torch's; all must be right, and the audio made of them within 1e-4."""
    codes, expected = onnx.encode(audio), codec.encode(audio)
    assert codes.dtype == np.int64
    assert codes.shape == expected.shape
    assert are_nearest(codec, audio, codes)
    decoded = onnx.decode(codes)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, codec.decode(codes), atol=1e-4, rtol=0)
    return (codes == expected).ravel()


@pytest.mark.parametrize("batch", [1, 3])
def test_lengths_around_a_frame_and_seconds(small, small_onnx, small_16k, small_16k_onnx, batch):
    """The last frame is filled with zeros inside the graph.

    Among thousands of codes of random weights, two entries are once equally near but for rounding;
    the codes after it in that frame are then others, too.
    """
    for codec, (_, onnx) in ((small, small_onnx), (small_16k, small_16k_onnx)):
        lengths = (1, codec.hop - 1, codec.hop, codec.hop + 1, 3 * codec.sample_rate)
        equal = [compared(codec, onnx, noise(batch, n_samples)) for n_samples in lengths]
        assert np.concatenate(equal).mean() >= 0.995


@given(n_samples=st.integers(1, 9000), batch=st.integers(1, 3))
def test_any_length_and_batch(small_16k, small_16k_onnx, n_samples, batch):
    """With an odd stride, too."""
    compared(small_16k, small_16k_onnx[1], noise(batch, n_samples))


def test_a_wrong_code_is_no_tie(small, small_onnx):
    """What these tests, and the export, hold codes to."""
    audio = noise(1, 3000)
    codes = small_onnx[1].encode(audio)
    codes[0, 4, 3] = (codes[0, 4, 3] + 1) % 1024
    assert not are_nearest(small, audio, codes)


@given(n_codebooks=st.integers(1, 12), n_frames=st.integers(1, 30), batch=st.integers(1, 3))
def test_any_number_of_codebooks(small_16k, small_16k_onnx, n_codebooks, n_frames, batch):
    """The decoder takes the first ones, from one to all."""
    shape = (batch, n_codebooks, n_frames)
    codes = np.random.default_rng(n_frames).integers(0, 1024, shape)
    decoded = small_16k_onnx[1].decode(codes)
    np.testing.assert_allclose(decoded, small_16k.decode(codes), atol=1e-4, rtol=0)


def test_codes_that_the_model_cannot_have_made_are_refused(small_onnx):
    """They do not reach into the next codebook; nor are there more codebooks than the model's."""
    for codes in (np.full((1, 2, 4), 1024), np.zeros((1, 10, 4), dtype=np.int64)):
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            small_onnx[1].decode(codes)


def test_blocks_with_their_context_give_the_codes_of_the_whole(small_16k_onnx):
    """As README.md of an export says: what model.json names as context is enough."""
    exported, onnx = small_16k_onnx
    facts = json.loads(exported.facts.read_text())
    hop, start, end = facts["hop"], 20, 40
    audio = noise(1, 60 * hop)
    whole = onnx.encode(audio)
    beside = facts["encoder"]["context_frames"]
    block = onnx.encode(audio[..., (start - beside) * hop : (end + beside) * hop])
    np.testing.assert_array_equal(block[..., beside:-beside], whole[..., start:end])
    beside = facts["decoder"]["context_frames"]
    part = onnx.decode(whole[..., start - beside : end + beside])
    expected = onnx.decode(whole)[..., start * hop : end * hop]
    np.testing.assert_allclose(part[..., beside * hop : -beside * hop], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "alignment"), [("dac_24khz_small", "published"), ("dac_44khz_hf_small", "aligned")]
)
def test_published_models_give_the_golden_codes(data, export, name, alignment):
    """Codes as the published packages made them; audio as torch's in that alignment."""
    folder = data / "golden" / name
    weights = folder / "weights.pth"
    path = weights if weights.exists() else folder
    codec = Codec.from_pretrained(path, device="cpu", alignment=alignment)
    expected = dict(np.load(folder / "expected.npz"))
    if "input" not in expected:
        expected["input"] = soundfile.read(folder / "input.wav", dtype="float32")[0][None, None]
    _, onnx = export(codec)
    codes = onnx.encode(expected["input"])
    np.testing.assert_array_equal(codes, expected["codes"])
    audio = onnx.decode(codes)
    reference = codec.decode(codes)
    if alignment == "published":
        reference = expected["audio"].reshape(audio.shape)
    np.testing.assert_allclose(audio, reference, atol=1e-4, rtol=0)


def test_one_codebook_and_other_sizes(export):
    """Nothing is laid out for nine codebooks, nor for four stages."""
    config = ModelConfig(
        encoder_dim=2,
        encoder_strides=(3, 7),
        decoder_dim=8,
        decoder_strides=(7, 3),
        latent_dim=6,
        n_codebooks=1,
        codebook_size=5,
        codebook_dim=2,
        alignment="published",
    )
    codec = Codec(random_model(config), "odd", device="cpu")
    assert compared(codec, export(codec)[1], noise(2, 500)).mean() >= 0.95


def test_the_built_in_model_on_music_and_speech(export):
    """Codes equal, audio within 1e-4 of full scale."""
    codec = Codec.from_pretrained(device="cpu")
    result, onnx = export(codec)
    assert result.agreement.equal_codes > 0.99
    assert result.agreement.audio_error < 1e-4
    for path in sorted(AUDIO.glob("*.flac")):
        wav = soundfile.read(path, dtype="float32", always_2d=True, frames=44100)[0]
        equal = compared(codec, onnx, np.ascontiguousarray(wav.T[:1, None]))
        assert equal.mean() >= 0.99  # 1.0 where it was written; another processor rounds otherwise
