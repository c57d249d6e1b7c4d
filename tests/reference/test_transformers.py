"""The same weights at the published widths, here and in transformers."""

import pytest
import torch
import transformers

from audiocodec import Codec
from tests.conftest import noise

pytestmark = pytest.mark.filterwarnings("default")

HOP_320 = {"downsampling_ratios": [2, 4, 5, 8], "upsampling_ratios": [8, 5, 4, 2]}
MODELS = {
    "44khz": {"sampling_rate": 44100, "n_codebooks": 9},
    "24khz": {"sampling_rate": 24000, "n_codebooks": 32, **HOP_320},
    "16khz": {"sampling_rate": 16000, "n_codebooks": 12, **HOP_320},
}


@pytest.mark.parametrize("name", MODELS)
def test_codes_and_audio_equal_those_of_transformers(name, tmp_path):
    """Seeded weights, one second: codes all but near-ties, audio in the published alignment."""
    torch.manual_seed(0)
    reference = transformers.DacModel(transformers.DacConfig(**MODELS[name])).eval()
    reference.save_pretrained(tmp_path)
    codec = Codec.from_pretrained(tmp_path, device="cpu", alignment="published")
    wav = noise(codec.sample_rate // codec.hop * codec.hop)
    with torch.inference_mode():
        expected = reference.encode(wav).audio_codes
        audio = reference.decode(audio_codes=expected).audio_values
    codes = codec.encode(wav)
    assert (codes == expected).float().mean() > 0.999
    assert torch.equal(codes[:, 0], expected[:, 0])
    decoded = codec.decode(expected)
    torch.testing.assert_close(decoded.reshape(audio.shape), audio, atol=1e-4, rtol=0)
