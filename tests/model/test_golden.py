"""Golden vectors: codes identical to the published packages', audio and latents to 1e-4."""

import copy

import numpy as np
import pytest
import soundfile
import torch

from audiocodec import Codec

PTH = ["dac_44khz_small", "dac_44khz_16kbps_small", "dac_24khz_small", "dac_16khz_small"]
HF = ["dac_44khz_hf_small", "dac_24khz_hf_small"]
HOP_320 = ["dac_24khz_small", "dac_16khz_small", "dac_24khz_hf_small"]


def loaded(data, name, alignment="published"):
    folder = data / "golden" / name
    path = folder / "weights.pth" if name in PTH else folder
    codec = Codec.from_pretrained(path, device="cpu", alignment=alignment)
    expected = dict(np.load(folder / "expected.npz"))
    if "input" not in expected:
        wav, _ = soundfile.read(folder / "input.wav", dtype="float32")
        expected["input"] = wav[None, None]
    return codec, expected


@pytest.mark.parametrize("name", PTH + HF)
@pytest.mark.parametrize("alignment", ["aligned", "published"])
def test_codes_are_identical(data, name, alignment):
    """Whatever the alignment of the decoder, the codes are those of the published packages."""
    codec, expected = loaded(data, name, alignment)
    assert np.array_equal(codec.encode(expected["input"]), expected["codes"])
    if "codes_3" in expected:
        assert np.array_equal(codec.encode(expected["input"], n_codebooks=3), expected["codes_3"])


@pytest.mark.parametrize("name", PTH + HF)
def test_audio_is_equal_in_the_published_alignment(data, name):
    """All codebooks, and the first three.

    To 1e-4, or twice the rounding of the published audio itself where these random networks
    amplify it to about as much.
    """
    codec, expected = loaded(data, name)
    for codes, audio in (("codes", "audio"), ("codes_3", "audio_3")):
        if codes in expected:
            decoded = codec.decode(expected[codes]).reshape(expected[audio].shape)
            true = in_float64(codec, expected[codes]).reshape(expected[audio].shape)
            rounding = np.abs(expected[audio] - true).max()
            allowed = max(1e-4, 2 * rounding)
            assert allowed <= 1.5e-4
            np.testing.assert_allclose(decoded, expected[audio], atol=allowed, rtol=0)
            ours, theirs = (np.square(y - true).mean() ** 0.5 for y in (decoded, expected[audio]))
            assert ours <= 1.05 * theirs


def in_float64(codec, codes):
    """What the model decodes without the rounding of float32."""
    model = copy.deepcopy(codec.model).double()
    latents = model.quantizer.decode(torch.from_numpy(codes.astype(np.int64)))
    with torch.no_grad():
        return model.decoder(latents.double()).numpy()


@pytest.mark.parametrize("name", HOP_320)
def test_audio_is_eight_samples_later_in_the_default_alignment(data, name):
    """Stride 5: exact length, and every sample in place; the start differs, a zero stood there."""
    codec, expected = loaded(data, name, alignment=None)
    decoded = codec.decode(expected["codes"]).ravel()
    assert decoded.size == expected["codes"].shape[-1] * 320 == expected["audio"].size + 8
    difference = np.abs(decoded[8:] - expected["audio"].ravel())
    assert difference[700:].max() <= 1.5e-4


@pytest.mark.parametrize("name", PTH)
def test_latents_are_equal(data, name):
    """The projected latents of every codebook, and the quantized latents."""
    codec, expected = loaded(data, name)
    wav = torch.from_numpy(expected["input"])
    residual = codec.model.encoder(torch.nn.functional.pad(wav, (0, -wav.shape[-1] % codec.hop)))
    codes = torch.from_numpy(expected["codes"].astype(np.int64))
    projected = []
    for stage, row in zip(codec.model.quantizer.stages, codes.unbind(1), strict=True):
        projected.append(stage.in_proj(residual))
        residual = residual - stage.out_proj(stage.entries(row))
    scale = np.abs(expected["latents"]).max()
    latents = torch.cat(projected, dim=1).numpy()
    np.testing.assert_allclose(latents / scale, expected["latents"] / scale, atol=1e-4, rtol=0)
    quantized = codec.model.quantizer.decode(codes).numpy()
    np.testing.assert_allclose(quantized, expected["quantized"], atol=1e-4, rtol=0)
