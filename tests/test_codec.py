"""The whole road: sound in, a .dac file, sound out."""

import copy
import io
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

import audiocodec
from audiocodec import Audio, Codec, CodecError, DacFile
from audiocodec.audio import AudioSource, open_audio, resampled
from audiocodec.codec import LostAudioWarning
from audiocodec.container import Block, Header, Reader, Writer
from audiocodec.container.records import block_bytes
from audiocodec.engine import Engine
from audiocodec.errors import (
    ArgumentError,
    AudioError,
    CodesError,
    ContainerError,
    DamagedBlock,
    DamagedHeader,
    ModelMismatch,
    OutputError,
    OutputExists,
)
from audiocodec.model.network import DAC
from tests.conftest import noise
from tests.container.test_published import content, saved


def sound(n_samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Seeded noise (n_samples, channels)."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((n_samples, channels))).astype(np.float32)


class Pipe(io.RawIOBase):
    """A file object that cannot seek and hands out small pieces."""

    def __init__(self, data: bytes = b"") -> None:
        self.rest, self.written = data, b""

    def readable(self):
        return True

    def writable(self):
        return True

    def read(self, size=-1):
        size = len(self.rest) if size < 0 else min(size, 1000)
        piece, self.rest = self.rest[:size], self.rest[size:]
        return piece

    def write(self, data):
        self.written += bytes(data)
        return len(data)


# Tensors


@given(n_samples=st.integers(1, 5000), which=st.sampled_from(["small", "small_16k"]))
def test_every_length_comes_back_exactly(small, small_16k, n_samples, which):
    """From one sample up, whatever the strides."""
    codec = {"small": small, "small_16k": small_16k}[which]
    codes = codec.encode(noise(n_samples))
    assert codes.shape == (1, codec.n_codebooks, -(-n_samples // codec.hop))
    assert codec.decode(codes).shape == (1, 1, codes.shape[-1] * codec.hop)
    assert codec.decode(codes, n_samples).shape == (1, 1, n_samples)


def test_arrays_and_tensors_and_shapes(small):
    """(T,) and (B, 1, T); an array for an array, a tensor for a tensor; batches item by item."""
    batch = noise(3000, batch=3)
    codes = small.encode(batch)
    for i in range(3):
        alone = small.encode(batch[i, 0].numpy())
        assert isinstance(alone, np.ndarray)
        assert np.array_equal(alone, codes[i : i + 1].numpy())
    decoded = small.decode(codes.numpy().astype(np.uint16), 3000)
    assert isinstance(decoded, np.ndarray)
    torch.testing.assert_close(torch.from_numpy(decoded), small.decode(codes, 3000))


def test_arrays_of_any_kind(small):
    """Reversed, read-only, float64: the samples count, not how they lie in memory."""
    wav = noise(3000)[0, 0].numpy()
    frozen = wav.copy()
    frozen.flags.writeable = False
    expected = small.encode(wav)
    assert np.array_equal(small.encode(frozen), expected)
    assert np.array_equal(small.encode(wav[::-1].copy()[::-1]), expected)
    assert np.array_equal(small.encode(wav.astype(np.float64)), expected)


def test_codes_can_be_trained_on(small):
    """Tokens go into an embedding whose gradient is wanted."""
    embedding = torch.nn.Embedding(1024, 4)
    embedding(small.encode(noise(2000))).sum().backward()
    assert embedding.weight.grad is not None


def test_first_codebooks_are_a_prefix(small):
    """Fewer codebooks: the same codes, fewer of them."""
    wav = noise(2000)
    assert torch.equal(small.encode(wav, n_codebooks=2), small.encode(wav)[:, :2])


@pytest.mark.parametrize(
    "wav",
    [
        torch.zeros(0), torch.zeros(1, 1, 0), torch.zeros(2, 5), torch.zeros(1, 2, 5),
        np.zeros(5, np.int16), torch.tensor([float("inf")]),
    ],
)  # fmt: skip
def test_bad_samples_are_refused(small, wav):
    """Empty, of a wrong shape or type, not finite."""
    with pytest.raises(ArgumentError):
        small.encode(wav)


def test_bad_codes_are_refused(small):
    """Too many codebooks, out of range, not whole."""
    for codes in (np.zeros((1, 10, 3), int), np.full((1, 9, 3), 1024), torch.zeros(1, 9, 3)):
        with pytest.raises(CodesError):
            small.decode(codes)
    for n_codebooks in (0, 10, -1):
        with pytest.raises(ArgumentError):
            small.encode(noise(10), n_codebooks)


def test_wrong_settings_are_refused(small):
    """A device and a precision that do not exist."""
    with pytest.raises(ArgumentError, match="cannot be used here"):
        Codec(small.model, "m", device="quantum")
    with pytest.raises(ArgumentError, match="exact, fast"):
        Codec(small.model, "m", device="cpu", precision="sloppy")


def test_fast_precision_is_a_choice(small):
    """It runs everywhere, gives the same shapes, and codes that mostly agree."""
    fast = Codec(small.model, "small", device="cpu", precision="fast")
    codes = small.encode(noise(20_000))
    assert (fast.encode(noise(20_000)) == codes).float().mean() > 0.5
    assert fast.decode(codes).shape == small.decode(codes).shape
    assert "fast" in repr(fast)
    assert "kernels=" in repr(fast)


def wave(n: int = 3000) -> np.ndarray:
    return noise(n)[0, 0].numpy()


NO_NUMBERS = {
    "a list of samples": lambda c: c.encode([0.1, 0.2]),
    "a number": lambda c: c.encode(1.0),
    "text": lambda c: c.encode(np.array(["a"])),
    "objects": lambda c: c.encode(np.array([None, 1], dtype=object)),
    "a list of codes": lambda c: c.decode([[1]]),
    "no codes": lambda c: c.decode(np.zeros((0, 3, 5), int)),
    "half a codebook": lambda c: c.encode(wave(), 2.5),
    "a codebook in words": lambda c: c.compress(wave(), sample_rate=44100, n_codebooks="3"),
    "kbps in words": lambda c: c.compress(wave(), sample_rate=44100, kbps="4"),
    "no start": lambda c: c.decompress(c.compress(wave(), sample_rate=44100), start=None),
    "duration in words": lambda c: c.decompress(
        c.compress(wave(), sample_rate=44100), duration="1"
    ),
    "more codebooks than the file has": lambda c: c.decompress(
        c.compress(wave(), sample_rate=44100, n_codebooks=3), n_codebooks=4
    ),
    "blocks of nothing": lambda c: c.stream_encoder(block_frames=0),
    "blocks of less": lambda c: c.stream_decoder(block_frames=-1),
    "no channels": lambda c: c.stream_encoder(channels=0),
    "a length below 0": lambda c: c.decode(c.encode(wave()), -5),
    "a length beyond the codes": lambda c: c.decode(c.encode(wave()), 10**9),
    "half a sample": lambda c: c.decode(c.encode(wave()), 2.5),
    "no device": lambda c: Codec(c.model, "m", device=None),
    "a device without numbers": lambda c: Codec(c.model, "m", device="meta"),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_cannot_be_is_refused_in_one_line(small, name):
    """Whatever a program passes by mistake."""
    with pytest.raises((ArgumentError, CodesError)) as caught:
        NO_NUMBERS[name](small)
    assert "\n" not in str(caught.value)


def test_codes_decode_to_the_length_of_what_was_encoded(small_16k):
    """With the published alignment of odd strides, to the few samples less that there are."""
    x = wave(3200)
    published = DAC(replace(small_16k.config, alignment="published"))
    published.load_state_dict(small_16k.model.state_dict())
    for codec, n in ((small_16k, 3200), (Codec(published, "p", device="cpu"), 3192)):
        codes = codec.encode(x)
        assert codec.decode(codes, n_samples=len(x)).shape == (1, 1, n)


def test_a_file_is_not_its_own_output(small, tmp_path):
    """By whatever name: the recording would be lost."""
    path, link = tmp_path / "one.wav", tmp_path / "link.wav"
    soundfile.write(path, wave(), 44100)
    link.symlink_to(path)
    before = path.read_bytes()
    for target in (path, str(path), link):
        with pytest.raises(ArgumentError, match="is input and output at once"):
            small.compress(path, target, overwrite=True)
    file = tmp_path / "one.dac"
    small.compress(path, file)
    with pytest.raises(ArgumentError, match="is input and output at once"):
        small.decompress(file, file, overwrite=True, format="wav")
    assert path.read_bytes() == before


def test_settings_of_a_sound_file_need_one(small):
    """Samples in hand have no format."""
    file = small.compress(wave(), sample_rate=44100)
    for setting in ({"subtype": "PCM_24"}, {"format": "flac"}):
        with pytest.raises(ArgumentError, match="name a target"):
            small.decompress(file, **setting)


@pytest.mark.parametrize("source", [b"no file", None, io.StringIO("text"), np.zeros((1, 3, 5))])
def test_what_is_no_file_is_refused_in_one_line(small, source):
    """Bytes are not a path, nor are codes."""
    with pytest.raises(CodecError) as caught:
        small.decompress(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1e300, 1e30, np.nan, -np.inf, 2e6])
def test_samples_that_no_network_bears_are_refused(small, value):
    """float32 would overflow, and every code be 0."""
    x = np.full(3000, 0.1)
    x[2000] = value
    tensor = torch.from_numpy(x)
    for samples in (x, tensor, tensor.float(), tensor.half(), tensor.bfloat16()):
        with pytest.raises(ArgumentError, match="among the 3000 samples"):
            small.encode(samples)


def test_files_far_beyond_full_scale_are_normalized_or_refused(small):
    """Where the level can be brought down, it is."""
    file = small.compress(1e9 * wave(), sample_rate=44100)
    assert (file.codes == small.compress(wave(), sample_rate=44100).codes).mean() > 0.95
    with pytest.raises(AudioError, match=r"<array>: peaks at 1e\+25, and full scale is 1"):
        small.compress(np.full(3000, 1e25), sample_rate=44100)


def test_arrays_of_another_machine_are_taken(small):
    """Their bytes lie the other way round."""
    foreign = wave().astype(wave().dtype.newbyteorder(">"))
    np.testing.assert_array_equal(small.encode(foreign), small.encode(wave()))


def test_defaults_of_torch_do_not_reach_in(small, tmp_path):
    """Neither type nor device."""
    small.save_pretrained(tmp_path / "m")
    x = wave()
    codes, sound = small.encode(x), small.decode(small.encode(x))
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        loaded = Codec.from_pretrained(tmp_path / "m", device="cpu")
        for codec in (small, loaded):
            np.testing.assert_array_equal(codec.encode(x), codes)
            np.testing.assert_array_equal(codec.decode(codes), sound)
            again = codec.decompress(codec.compress(x, sample_rate=22050))
            assert (again.samples.dtype, again.samples.shape) == (np.float32, (3000, 1))
            assert codec.decode(codes).dtype == np.float32
            assert [len(c) for c in codec.encode_many([x, x[:1]])] == [9, 9]
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


def test_a_codec_may_be_made_and_used_in_inference_mode(small):
    """There and outside, its weights made there or not."""
    expected = small.encode(noise(5000))
    with torch.inference_mode():
        copied = Codec(copy.deepcopy(small.model), "copied", device="cpu")
        assert torch.equal(copied.encode(noise(5000)), expected)
        assert torch.equal(small.encode(noise(5000)), expected)
    assert torch.equal(copied.encode(noise(5000)), expected)


def test_live_streams_equal_whole_files(small):
    """Any pushes through encoder and decoder, as if it had been encoded whole."""
    wav = noise(30_000)[0, 0]
    encoder, decoder = small.stream_encoder(), small.stream_decoder()
    heard = [decoder.push(encoder.push(part)) for part in wav.split(777)]
    heard += [decoder.push(encoder.flush()), decoder.flush()]
    whole = small.decode(small.encode(wav))
    torch.testing.assert_close(torch.cat(heard, dim=-1), whole, atol=1e-5, rtol=0)


# Files


@given(
    n_samples=st.integers(1, 20_000),
    channels=st.integers(1, 8),
    rate=st.sampled_from([8000, 16000, 22050, 44100, 48000, 96000]),
    normalize=st.booleans(),
)
def test_length_rate_and_channels_survive(small, small_16k, n_samples, channels, rate, normalize):
    """Any rate and channel count, through models of two rates."""
    for codec in (small, small_16k):
        file = codec.compress(sound(n_samples, channels), sample_rate=rate, normalize=normalize)
        audio = codec.decompress(file)
        assert isinstance(audio, Audio)
        assert audio.samples.shape == (n_samples, channels)
        assert audio.samples.dtype == np.float32
        assert audio.sample_rate == rate
        assert np.isfinite(audio.samples).all()


@given(
    rate=st.sampled_from([16000, 44100, 48000]),
    out_rate=st.none() | st.sampled_from([8000, 44100, 48000, 96000]),
    start=st.floats(0, 1.9),
    duration=st.none() | st.floats(0.001, 3),
)
def test_a_part_equals_the_same_part_of_the_whole(small, rate, out_rate, start, duration):
    """start and duration, to 1e-5, at any rate."""
    file = small.compress(sound(2 * rate, 2), sample_rate=rate)
    whole, whole_rate = small.decompress(file, rate=out_rate)
    part, part_rate = small.decompress(file, rate=out_rate, start=start, duration=duration)
    assert whole_rate == part_rate == (out_rate or rate)
    first = round(start * part_rate)
    n_samples = len(whole) - first if duration is None else max(1, round(duration * part_rate))
    expected = whole[first : first + n_samples]
    assert part.shape == expected.shape
    np.testing.assert_allclose(part, expected, atol=1e-5, rtol=0)


@given(n_samples=st.integers(1, 20_000), out_rate=st.sampled_from([8000, 22050, 44100, 48000]))
def test_another_rate_changes_only_the_rate(small, n_samples, out_rate):
    """Where the recording's band is the narrowest, it stays so: converted from its own rate."""
    file = small.compress(sound(n_samples), sample_rate=16000)
    own, _ = small.decompress(file)
    audio = small.decompress(file, rate=out_rate)
    assert audio.sample_rate == out_rate
    assert len(audio.samples) == -(-n_samples * out_rate // 16000)
    if out_rate > 16000:
        expected = np.concatenate(list(resampled(iter([own]), 16000, out_rate, 1)))
        np.testing.assert_allclose(audio.samples, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rate", [0, -8000, 44100.5, "fast", 10**6])
def test_a_rate_that_no_sound_has_is_refused(small, rate):
    """Before anything is decoded."""
    with pytest.raises(ArgumentError, match="sample rate"):
        small.decompress("missing.dac", rate=rate)


def test_sound_files_get_the_tags_and_a_rate_that_they_can_hold(small, tmp_path):
    """Opus, which has no 44.1 kHz, takes 48 kHz by itself; MP3 says what to do about 96 kHz."""
    tags = {"title": "Überfahrt", "artist": "someone"}
    file = small.compress(sound(9600), sample_rate=96000, tags=tags | {"mood": "calm"})
    for name, rate in (("a.flac", 96000), ("a.ogg", 96000), ("a.opus", 48000)):
        small.decompress(file, tmp_path / name)
        assert soundfile.info(tmp_path / name).samplerate == rate
        with open_audio(tmp_path / name) as audio:
            assert audio.tags == tags
    with pytest.raises(ArgumentError, match=r"96000 Hz: it allows .*48000 Hz; rate=48000"):
        small.decompress(file, tmp_path / "a.mp3")
    small.decompress(file, tmp_path / "a.mp3", rate=48000)
    assert soundfile.info(tmp_path / "a.mp3").frames == 4800


def test_the_codes_of_a_file_are_those_of_its_samples(small):
    """compress() at the model's rate without normalizing is encode()."""
    samples = sound(50_000, 2)
    file = small.compress(samples, sample_rate=44100, normalize=False)
    codes = small.encode(samples.T[:, None].copy())
    assert np.array_equal(file.codes, codes)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff"])
def test_from_disk_to_disk(small, tmp_path, name):
    """Paths in and out; the same codes and samples as in memory; nothing else is left behind."""
    soundfile.write(tmp_path / "in.wav", sound(70_000, 2), 48000, subtype="FLOAT")
    header = small.compress(tmp_path / "in.wav", tmp_path / "a.dac")
    file = small.compress(tmp_path / "in.wav")
    assert (tmp_path / "a.dac").read_bytes() == file.to_bytes()
    assert header == file.header
    small.decompress(tmp_path / "a.dac", tmp_path / name)
    decoded, rate = soundfile.read(tmp_path / name, always_2d=True)
    assert (decoded.shape, rate) == ((70_000, 2), 48000)
    if not name.endswith("ogg"):
        expected = small.decompress(file).samples
        np.testing.assert_allclose(decoded, np.clip(expected, -1, 1), atol=1e-4)
    assert {path.name for path in tmp_path.iterdir()} == {"in.wav", "a.dac", name}


def test_file_objects_and_pipes(small):
    """File objects that seek and pipes that do not, in both directions."""
    wav = io.BytesIO()
    soundfile.write(wav, sound(30_000), 44100, format="WAV")
    expected = small.compress(io.BytesIO(wav.getvalue())).to_bytes()
    out = Pipe()
    small.compress(Pipe(wav.getvalue()), out)
    assert out.written == expected
    back = Pipe()
    small.decompress(Pipe(expected), back)
    assert len(soundfile.read(io.BytesIO(back.written))[0]) == 30_000


def test_existing_files_are_kept(small, tmp_path):
    """Neither direction overwrites unless asked."""
    target = tmp_path / "x"
    target.write_text("precious")
    file = small.compress(sound(100), sample_rate=44100)
    with pytest.raises(OutputExists):
        small.compress(sound(100), target, sample_rate=44100)
    with pytest.raises(OutputExists):
        small.decompress(file, target, format="wav")
    assert target.read_text() == "precious"
    small.compress(sound(100), target, sample_rate=44100, overwrite=True)
    assert DacFile.load(target).header == file.header


def test_tags_are_copied_or_given(small, tmp_path):
    """title and artist of the source, or the caller's own."""
    with soundfile.SoundFile(tmp_path / "in.flac", "w", 44100, 1) as file:
        file.title, file.artist = "Überfahrt", "someone"
        file.write(sound(1000)[:, 0])
    assert small.compress(tmp_path / "in.flac").header.tags == {
        "title": "Überfahrt",
        "artist": "someone",
    }
    own = small.compress(tmp_path / "in.flac", tags={"mood": "calm"})
    assert DacFile.from_bytes(own.to_bytes()).header.tags == {"mood": "calm"}


def test_bit_rates_choose_codebooks(small):
    """The most codebooks within the rate, all channels counted."""
    for kbps, channels, expected in [(8, 1, 9), (2.6, 1, 3), (0.87, 1, 1), (8, 2, 4), (99, 2, 9)]:
        file = small.compress(sound(1000, channels), sample_rate=44100, kbps=kbps)
        assert file.header.n_codebooks == expected
        assert file.header.nominal_kbps <= kbps
    with pytest.raises(ArgumentError, match=r"at least 1\.72 kbps"):
        small.compress(sound(1000, 2), sample_rate=44100, kbps=1)
    with pytest.raises(ArgumentError, match="not both"):
        small.compress(sound(1000), sample_rate=44100, kbps=4, n_codebooks=3)


def test_fewer_codebooks_afterwards(small):
    """Decoding with the first three equals having encoded with three."""
    samples = sound(20_000)
    three = small.compress(samples, sample_rate=44100, n_codebooks=3)
    nine = small.compress(samples, sample_rate=44100)
    expected = small.decompress(three).samples
    for decoded in (
        small.decompress(nine, n_codebooks=3),
        small.decompress(nine.truncated(3)),
    ):
        np.testing.assert_allclose(decoded.samples, expected, atol=1e-6)


# Levels


def test_levels_and_balance_survive(small):
    """One gain for all channels, stored, and taken back: what decode() gives, unscaled."""
    samples = sound(60_000, 2) * np.array([0.02, 0.001], np.float32)
    file = small.compress(samples, sample_rate=44100)
    assert file.header.gain > 10
    scaled = np.ascontiguousarray((samples * np.float32(file.header.gain)).T)[:, None]
    assert np.array_equal(file.codes, small.encode(scaled))
    decoded = small.decode(file.codes, 60_000)[:, 0].T / file.header.gain
    np.testing.assert_allclose(small.decompress(file).samples, decoded, atol=1e-7)


def test_normalizing_does_not_clip(small):
    """A quiet signal with one loud click: the gain stops at the peak."""
    samples = sound(60_000) * 0.01
    samples[30_000] = 0.5
    assert small.compress(samples, sample_rate=44100).header.gain == pytest.approx(2.0)


@pytest.mark.parametrize("n_samples", [1, 300, 60_000])
def test_silence_is_no_division_by_zero(small, n_samples):
    """Digital silence keeps its level; so does everything without normalizing."""
    silence = np.zeros((n_samples, 2), np.float32)
    file = small.compress(silence, sample_rate=44100)
    assert file.header.gain == 1.0
    assert np.isfinite(small.decompress(file).samples).all()
    loud = small.compress(sound(1000), sample_rate=44100, normalize=False)
    assert loud.header.gain == 1.0


# What cannot be


def test_no_samples_is_an_error(small, tmp_path):
    """An empty file holds nothing to compress."""
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 44100)
    for normalize in (True, False):
        with pytest.raises(AudioError, match=r"empty\.wav: holds no samples"):
            small.compress(tmp_path / "empty.wav", normalize=normalize)


def test_nan_is_named_by_position(small, tmp_path):
    """Where it is; and no half-made file."""
    samples = sound(50_000)
    samples[44_100] = np.nan
    with pytest.raises(AudioError, match=r"sample 44100 \(1\.000 s\)"):
        small.compress(samples, tmp_path / "x.dac", sample_rate=44100)
    assert not list(tmp_path.iterdir())


def test_another_model_is_refused(small, small_16k):
    """Both names are in the message."""
    file = small.compress(sound(1000), sample_rate=44100)
    with pytest.raises(ModelMismatch, match=r"'small' \(.*'small_16k' \("):
        small_16k.decompress(file)


@pytest.mark.parametrize("change", [{"hop": 256}, {"model_rate": 48000}, {"codebook_size": 512}])
def test_a_header_that_contradicts_its_model_is_refused(small, change):
    """The right fingerprint with other numbers beside it."""
    header = {**vars(small.compress(sound(1000), sample_rate=44100).header), **change}
    frames = Header(**header).n_frames
    file = DacFile(Header(**header), np.zeros((1, 9, frames), np.uint16))
    with pytest.raises(DamagedHeader):
        small.decompress(file)


def test_parts_that_are_not_there_are_refused(small):
    """A start behind the end, negative times."""
    file = small.compress(sound(44_100), sample_rate=44100)
    for arguments in ({"start": 1.0}, {"start": -1}, {"duration": 0}, {"start": float("nan")}):
        with pytest.raises(ArgumentError):
            small.decompress(file, **arguments)


def test_a_damaged_block_is_named_and_the_rest_recovered(small, tmp_path):
    """The rest is what it was, but for the networks' context around the gap."""
    file = small.compress(sound(10 * 44_100, 2), sample_rate=44100)
    whole = small.decompress(file).samples
    raw = bytearray(file.to_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "bad.dac").write_bytes(raw)
    with pytest.raises(DamagedBlock, match=r"bad\.dac: block \d+, at \d\.\d s, is damaged"):
        small.decompress(tmp_path / "bad.dac", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()
    with pytest.warns(LostAudioWarning, match=r"bad\.dac: 4\.46 s to 5\.94 s is lost"):
        recovered = small.decompress(tmp_path / "bad.dac", recover=True).samples
    assert recovered.shape == whole.shape
    first, stop = (round(frame * 512) for frame in (384, 512))
    assert not recovered[first:stop].any()
    context = 11 * 512
    np.testing.assert_allclose(recovered[: first - context], whole[: first - context], atol=1e-5)
    np.testing.assert_allclose(recovered[stop + context :], whole[stop + context :], atol=1e-5)


def test_a_cut_file_is_recovered_up_to_its_end(small):
    """Half a download: as much sound as there is."""
    raw = small.compress(sound(10 * 44_100), sample_rate=44100).to_bytes()
    cut = io.BytesIO(raw[: len(raw) // 2])
    with pytest.raises(CodecError, match="--recover"):
        small.decompress(cut)
    cut.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LostAudioWarning)
        samples = small.decompress(cut, recover=True).samples
    assert 3 * 44_100 < len(samples) < 5 * 44_100


def test_a_live_file_without_a_length(small):
    """Written before its end was known: the end record tells the length."""
    codes = small.encode(noise(100_000)).numpy()
    finished = small.compress(sound(1), sample_rate=44100).header
    header = Header(**{**vars(finished), "n_samples": None})
    file = io.BytesIO()
    writer = Writer(file, header)
    for part in np.array_split(codes, 7, axis=-1):
        writer.write(part)
    writer.close(n_samples=100_000)
    file.seek(0)
    assert Reader(file).header.n_samples is None
    file.seek(0)
    assert small.decompress(file).samples.shape == (100_000, 1)


def test_a_file_in_hand_is_decoded_from_its_codes(small, tmp_path, monkeypatch):
    """Like the file, in whole and in part, and without becoming one on the way."""
    held = small.compress(sound(70_000, 2), sample_rate=44100)
    held.save(tmp_path / "x.dac")
    monkeypatch.setattr(DacFile, "to_bytes", None)
    for part in ({}, {"start": 0.7, "duration": 0.3}, {"n_codebooks": 2}, {"recover": True}):
        from_disk = small.decompress(tmp_path / "x.dac", **part).samples
        np.testing.assert_array_equal(small.decompress(held, **part).samples, from_disk)


def test_a_long_file_in_hand_is_decoded_piece_by_piece(small):
    """Whatever integers the codes are."""
    codes = np.random.default_rng(0).integers(0, 1024, (1, 9, 1100))
    header = replace(small.compress(sound(1), sample_rate=44100).header, n_samples=None)
    samples = small.decompress(DacFile(header, codes)).samples
    whole = small.decode(codes)[0].T / np.float32(header.gain)
    np.testing.assert_allclose(samples, whole, atol=1e-5)


def test_the_model_that_a_file_names(tmp_path, small):
    """Is loaded by its name, from a path, an open file or a file in hand."""
    tiny = Codec.from_pretrained(device="cpu")
    held = tiny.compress(sound(5000), sample_rate=44100)
    held.save(tmp_path / "x.dac")
    with open(tmp_path / "x.dac", "rb") as file:
        for source in (tmp_path / "x.dac", file, held):
            codec = Codec.for_file(source, device="cpu")
            assert codec.space == tiny.space
            assert codec.decompress(source).samples.shape == (5000, 1)


def test_a_file_that_names_no_known_model_loads_none(data, small):
    """Or names one that did not make it."""
    held = small.compress(sound(5000), sample_rate=44100)
    with pytest.raises(ContainerError, match="made with model 'small', which is not a known name"):
        Codec.for_file(held)
    with pytest.raises(ContainerError, match="do not say which model"):
        Codec.for_file(data / "published/dac_44khz_small_short.dac")
    pretended = DacFile(replace(held.header, model="tiny_44khz"), held.codes)
    with pytest.raises(ModelMismatch, match="tiny_44khz"):
        Codec.for_file(pretended, device="cpu")


def test_what_recovery_leaves_out_at_the_end_is_told(small):
    """In seconds; of a stream whose length was never known too."""
    file = small.compress(sound(10 * 44_100), sample_rate=44100)
    raw = file.to_bytes()
    live = io.BytesIO()
    with Writer(live, replace(file.header, n_samples=None)) as writer:
        writer.write(file.codes)
    for whole, stop in ((raw, r"10\.00 s"), (live.getvalue(), "its end")):
        cut = io.BytesIO(whole[: len(whole) // 2])
        with pytest.warns(LostAudioWarning, match=rf"3\.72 s to {stop} is missing"):
            small.decompress(cut, recover=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all is there but the end record, and more than is wanted
        small.decompress(io.BytesIO(raw[:-20]), recover=True)
        small.decompress(cut, recover=True, duration=1)


def claiming(header, *first_frames):
    """A file of one frame at each place, and of the length that they claim."""
    codes = np.zeros((header.channels, header.n_codebooks, 1), np.uint16)
    blocks = [block_bytes(Block(first, codes), header) for first in first_frames]
    return header.to_bytes() + b"".join(blocks)


@pytest.mark.parametrize("first_frames", [(2**17,), (0, 2**18), (0, *range(3, 2**17, 2**12))])
@pytest.mark.parametrize("fields", [{}, {"channels": 8, "sample_rate": 768_000}])
def test_recovery_makes_no_more_silence_than_there_is_sound(small, first_frames, fields):
    """A few bytes that claim hours give a few frames."""
    header = replace(small.compress(sound(1), sample_rate=44100).header, **fields, n_samples=None)
    raw = claiming(header, *first_frames)
    n_samples, n_frames = Reader(io.BytesIO(raw)).extent(recover=True)
    assert n_frames <= 2 * len(first_frames)
    assert n_samples <= header.samples_of(2 * len(first_frames))


def test_silence_that_does_not_fit_the_disk_is_refused_beforehand(small, tmp_path, monkeypatch):
    """With both numbers, and no file is begun."""
    whole = small.compress(sound(4 * 44_100, 2), sample_rate=44100).to_bytes()
    raw = bytearray(whole)
    raw[len(raw) // 2] ^= 1
    usage = SimpleNamespace(free=10_000)
    monkeypatch.setattr("audiocodec.files.shutil.disk_usage", lambda path: usage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LostAudioWarning)
        with pytest.raises(OutputError, match=r"x\.wav: 0\.0 GB would be written"):
            small.decompress(io.BytesIO(raw), tmp_path / "x.wav", recover=True)
        assert not list(tmp_path.iterdir())
        small.decompress(io.BytesIO(raw), io.BytesIO(), recover=True)
        small.decompress(io.BytesIO(whole[:-30]), tmp_path / "y.wav", recover=True, duration=1)


# Published files


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("chunk_length", [100, 50_000])
def test_published_codes_beyond_the_length_are_not_decoded(
    small, padding, chunk_length, monkeypatch
):
    """900 KB of codes that claim 1,000 samples cost as much time as the samples do."""
    codes = np.zeros((1, 9, 50_000), np.uint16)
    fields = {"original_length": 1000, "padding": padding, "chunk_length": chunk_length}
    pushed = []
    decode_many = small.engine.decode_many

    def counting(windows, padded):
        return decode_many((pushed.append(one.shape[-1]) or one for one in windows), padded)

    monkeypatch.setattr(small.engine, "decode_many", counting)
    decoded = small.decompress(io.BytesIO(saved(content(codes, **fields))))
    assert decoded.samples.shape == (1000, 1)
    assert sum(pushed) <= 2 + 2 * small.config.decoder_context


def test_published_windows_without_sound_are_refused(small):
    """Shorter than the context of the decoder, which takes no padding there."""
    codes = np.zeros((1, 9, 3000), np.uint16)
    raw = saved(content(codes, original_length=10**6, padding=False, chunk_length=1))
    with pytest.raises(ContainerError, match="windows of 1 frames are too short"):
        small.decompress(io.BytesIO(raw))


@pytest.mark.parametrize(
    ("model", "kind"), [("44khz", "short"), ("44khz", "long"), ("24khz", "long")]
)
def test_published_files_decode_to_what_the_published_tool_decodes(data, model, kind):
    """One window and several, with its loudness for each channel."""
    codec = Codec.from_pretrained(data / f"golden/dac_{model}_small/weights.pth", device="cpu")
    source = data / f"published/dac_{model}_small_{kind}"
    expected, rate = soundfile.read(f"{source}_decoded.flac")
    decoded = codec.decompress(f"{source}.dac")
    assert decoded.sample_rate == rate
    np.testing.assert_allclose(decoded.samples, expected, atol=1e-4, rtol=0)
    part, _ = codec.decompress(f"{source}.dac", start=0.25, duration=0.5)
    first = round(0.25 * rate)
    np.testing.assert_array_equal(part, decoded.samples[first : first + round(0.5 * rate)])


def test_a_published_file_takes_another_rate_too(data):
    """With the length that belongs to it, and parts that fit."""
    codec = Codec.from_pretrained(data / "golden/dac_44khz_small/weights.pth", device="cpu")
    source = data / "published/dac_44khz_small_short.dac"
    n_samples = len(codec.decompress(source).samples)
    own_rate = codec.decompress(source).sample_rate
    whole = codec.decompress(source, rate=8000)
    assert whole.sample_rate == 8000
    assert len(whole.samples) == -(-n_samples * 8000 // own_rate)
    part = codec.decompress(source, rate=8000, start=0.01, duration=0.01)
    assert np.array_equal(part.samples, whole.samples[80:160])


def test_a_published_file_on_which_the_published_tool_crashes(data):
    """24 kHz, one window: the length is exact here."""
    codec = Codec.from_pretrained(data / "golden/dac_24khz_small/weights.pth", device="cpu")
    decoded = codec.decompress(data / "published/dac_24khz_small_short.dac")
    assert decoded.samples.shape == (24_000, 2)
    assert np.abs(decoded.samples).max() > 0.01


def test_a_published_file_of_another_model_is_refused(data, small):
    """32 codebooks do not fit a model of nine."""
    with pytest.raises(CodesError, match="32 codebooks"):
        small.decompress(data / "published/dac_24khz_small_long.dac")


# The package


def test_public_names():
    """Sorted, and every one of them there."""
    names = audiocodec.__all__
    assert names == sorted(names)
    assert all(getattr(audiocodec, name) for name in names)
    with pytest.raises(AttributeError):
        audiocodec.Decoder  # noqa: B018


def test_loading_imports_no_compiler():
    """Which would more than double the time to the first code."""
    code = """
import sys, torch
before = set(sys.modules)
from audiocodec import Codec
Codec.from_pretrained().encode(torch.zeros(600) + 0.1)
print(sorted({"sympy", "torch._dynamo"} & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


@pytest.fixture
def windowed(small) -> Codec:
    """Takes the ways that are meant for CUDA, on the CPU."""
    codec = copy.copy(small)
    codec.engine = WindowedEngine(codec.model, codec.precision)
    return codec


class WindowedEngine(Engine):
    """Of a GPU, wherever it runs."""

    in_windows = True


@pytest.mark.parametrize("n_samples", [1, 30_000, 1_100_000])
def test_a_gpu_gives_the_same_codes_and_sound(small, windowed, n_samples):
    """At once where the signal is short, else in windows side by side; from files too."""
    x = noise(n_samples, 2)
    codes = small.encode(x)
    assert torch.equal(windowed.encode(x), codes)
    expected = small.decode(codes, n_samples)
    torch.testing.assert_close(windowed.decode(codes, n_samples), expected, atol=2e-5, rtol=0)
    file = windowed.compress(x[:, 0].T.numpy(), sample_rate=44100, normalize=False)
    assert np.array_equal(file.codes, codes.numpy())
    found = torch.from_numpy(windowed.decompress(file).samples.T[:, None].copy())
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_in_another_type_encodes_and_decodes(small, dtype):
    """As `codec.model.half()` makes it; live audio, too. Float64 gives nearly the same codes."""
    codec = Codec(copy.deepcopy(small.model).to(dtype), "other", device="cpu")
    wav = noise(3 * 512, 2)
    codes = codec.encode(wav)
    assert codes.shape == (2, 9, 3)
    assert codes.dtype == torch.int64
    decoded = codec.decode(codes)
    assert decoded.dtype == torch.float32
    assert decoded.isfinite().all()
    encoder, decoder = codec.stream_encoder(2), codec.stream_decoder(2)
    live = torch.cat(
        [encoder.push(wav[..., :700]), encoder.push(wav[..., 700:]), encoder.flush()], -1
    )
    assert torch.equal(live, codes)
    assert torch.equal(torch.cat([decoder.push(codes), decoder.flush()], -1), decoded)
    if dtype == torch.float64:
        assert (codes == small.encode(wav)).float().mean() > 0.95


def test_a_codec_moves_as_a_module_does(small):
    """codec.to(device) gives the codec; a device that is not there is an error of one line."""
    codec = copy.copy(small)
    assert codec.to("cpu") is codec
    assert codec.to(torch.device("cpu")).device.type == "cpu"
    with pytest.raises(ArgumentError, match="device 'abacus' cannot be used here"):
        codec.to("abacus")


def test_samples_of_bfloat16_are_compressed_as_they_are_encoded(small):
    """numpy has no such type."""
    samples = noise(2000)[0, 0].to(torch.bfloat16)
    file = small.compress(samples, sample_rate=44100, normalize=False)
    assert np.array_equal(file.codes[0], small.encode(samples).numpy()[0])


def test_channels_are_items_of_the_batch(small):
    """Stereo as (1, 2, n) is refused with the way to do it, live as well."""
    for encode in (small.encode, small.stream_encoder().push):
        with pytest.raises(ArgumentError, match=r"each channel is an item of the batch") as caught:
            encode(noise(1000).expand(1, 2, 1000))
        assert "reshape(-1, 1, 1000) makes (2, 1, 1000)" in str(caught.value)


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_without_normalization_a_file_is_decoded_once(small, tmp_path, format, monkeypatch):
    """Its length is known without decoding it."""
    path = tmp_path / f"x.{format}"
    soundfile.write(path, noise(30000)[0, 0].numpy(), 44100)
    passes = []
    blocks = AudioSource.blocks

    def counting(self, *span):
        passes.append(self.name)
        return blocks(self, *span)

    monkeypatch.setattr(AudioSource, "blocks", counting)
    once = small.compress(path, normalize=False)
    assert len(passes) == 1
    assert once.header.n_samples == 30000
    small.compress(path)
    assert len(passes) == 3
