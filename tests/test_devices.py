"""Every device that this machine has: the tokens and the sound of the CPU.

On a machine with a GPU these tests are the first that run on it.
"""

from pathlib import Path

import pytest
import soundfile
import torch

from audiocodec import Codec

AUDIO = sorted((Path(__file__).parents[1] / "examples" / "audio").glob("*.flac"))
AVAILABLE = {
    "cpu": True,
    "cuda": torch.cuda.is_available(),
    "mps": torch.backends.mps.is_available(),
}
HERE = [name for name, is_here in AVAILABLE.items() if is_here]
devices = pytest.mark.parametrize("device", HERE)


def load(device: str, precision: str = "exact") -> Codec:
    return Codec.from_pretrained(device=device, precision=precision)


def recordings() -> torch.Tensor:
    """Two seconds of each example, (4, 1, n)."""
    clips = [soundfile.read(path, 88200, always_2d=True, dtype="float32")[0] for path in AUDIO]
    return torch.stack([torch.from_numpy(clip[:, 0].copy()) for clip in clips])[:, None]


def share_equal(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a == b).float().mean())


def snr_db(signal: torch.Tensor, reference: torch.Tensor) -> float:
    """Infinite where nothing differs."""
    energy, error = reference.square().sum(), (signal - reference).square().sum()
    return float(10 * torch.log10(energy / error))


@devices
def test_exact_tokens_and_sound_are_those_of_the_cpu(device):
    """But for near-ties that rounding decides; the sound is as near as float32 is."""
    wav, here, cpu = recordings(), load(device), load("cpu")
    codes, expected = here.encode(wav), cpu.encode(wav)
    assert share_equal(codes[:, 0], expected[:, 0]) >= 0.999
    assert share_equal(codes, expected) >= 0.995
    assert snr_db(here.decode(expected), cpu.decode(expected)) > 80


@devices
def test_fast_tokens_and_sound_are_near_those_of_the_cpu(device):
    """bfloat16 has three decimal digits."""
    wav, fast, cpu = recordings(), load(device, "fast"), load("cpu")
    codes, expected = fast.encode(wav), cpu.encode(wav)
    assert share_equal(codes[:, 0], expected[:, 0]) > 0.9
    assert snr_db(fast.decode(expected), cpu.decode(expected)) > 15


@devices
@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_a_long_file_is_what_its_parts_are(device, precision, tmp_path):
    """Through many windows, on CUDA recorded ones: as live streams encode and decode them."""
    codec = load(device, precision)
    n_times = 10 if device == "cuda" else 2  # 80 s: eight windows, recorded, replayed, and a rest
    wav = recordings()[:, 0].flatten().repeat(n_times).numpy()
    file = codec.compress(wav, sample_rate=44100, normalize=False)
    live = codec.stream_encoder()
    expected = torch.cat([live.push(wav), live.flush()], dim=-1).numpy()
    assert file.codes.shape == expected.shape
    assert (file.codes == expected).mean() > (0.99 if precision == "exact" else 0.5)
    decoded = codec.decompress(file)
    live = codec.stream_decoder()
    whole = torch.cat([live.push(file.codes), live.flush()], dim=-1)[0, 0, : len(wav)]
    found = torch.from_numpy(decoded.samples[:, 0])
    assert found.shape == whole.shape
    assert snr_db(found, whole) > (80 if precision == "exact" else 15)


@devices
def test_many_signals_have_the_codes_of_each_alone(device):
    """Of any lengths, side by side on a GPU."""
    codec = load(device)
    signals = [wav[0, : 88200 // (i + 1)] for i, wav in enumerate(recordings())] * 3
    for codes, signal in zip(codec.encode_many(signals), signals, strict=True):
        alone = codec.encode(signal[None, None])[0]
        assert codes.shape == alone.shape
        assert share_equal(codes, alone) > 0.99
