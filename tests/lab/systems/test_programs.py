"""Opus, MP3 and AAC by the real programs, and what is said where one is missing or fails."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.lab.measures.waveform import si_sdr
from audiocodec.lab.systems import opus, programs
from audiocodec.lab.systems.aac import Aac
from audiocodec.lab.systems.base import DecodedClip, Unavailable, measured_kbps
from audiocodec.lab.systems.mp3 import Mp3
from audiocodec.lab.systems.opus import MatchedOpus, Opus, next_asked, reachable

pytestmark = pytest.mark.usefixtures("programs")

RATE = 44100
N_SAMPLES = 3 * RATE + 77  # no whole number of frames of any of them


def chirps() -> np.ndarray:
    """Gliding harmonics that come and go, with some noise: neither easy nor odd."""
    t = np.arange(N_SAMPLES) / RATE
    phase = 2 * np.pi * 110 * (2**t - 1) / np.log(2)
    tones = sum(np.sin(k * phase) / k for k in range(1, 9))
    noise = 0.01 * np.random.default_rng(0).standard_normal(N_SAMPLES)
    return (0.15 * tones * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)) + noise).astype(np.float32)


AUDIO = chirps()


def kbps_of(decoded: DecodedClip) -> float:
    """Measured bit rate."""
    return measured_kbps(decoded.n_bytes, N_SAMPLES, RATE)


def quality(decoded: DecodedClip) -> float:
    """SI-SDR in dB."""
    return si_sdr(*(torch.from_numpy(a)[None, None] for a in (decoded.audio, AUDIO)))


def lag(audio: np.ndarray) -> int:
    """Samples that a signal is late, by cross-correlation."""
    size = 2 * N_SAMPLES
    product = np.fft.rfft(audio, size) * np.fft.rfft(AUDIO, size).conj()
    return int(np.fft.fftshift(np.fft.irfft(product)).argmax()) - N_SAMPLES


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    """A machine without the programs."""
    monkeypatch.setenv("PATH", str(tmp_path))


# kbps that a file of an asked 16 and 32 may have: 3 s are so short that headers count
SYSTEMS = {Opus: (14, 19), Mp3: (16, 18), Aac: (16, 21)}


@pytest.mark.parametrize("system", SYSTEMS)
def test_programs_give_the_clip_back_in_place_near_the_asked_rate(system):
    """Length, lag, bytes and seconds; twice the rate is nearer to the clip."""
    codec = system((32.0, 16.0))
    low, high = (codec.run(AUDIO, RATE, setting) for setting in codec.settings)
    assert [s.label for s in codec.settings] == ["16 kbps", "32 kbps"]
    for decoded in (low, high):
        assert decoded.audio.shape == (N_SAMPLES,)
        assert decoded.audio.dtype == np.float32
        assert abs(lag(decoded.audio)) <= 4
        assert decoded.codes is None
        assert min(decoded.encode_s, decoded.decode_s) > 0
    least, most = SYSTEMS[system]
    assert least <= kbps_of(low) <= most
    assert 2 * least <= kbps_of(high) + 1 <= 2 * most
    assert quality(high) > quality(low) + 0.5


@pytest.mark.parametrize("system", SYSTEMS)
def test_clips_at_16_khz_work_too(system):
    """A speech clip's rate."""
    codec = system((16.0,))
    decoded = codec.run(AUDIO[:16001], 16000, codec.settings[0])
    assert decoded.audio.shape == (16001,)


@pytest.mark.parametrize("system", SYSTEMS)
def test_identities_hold_the_version_and_not_what_is_asked(system):
    """Decoded clips of another version do not count; those of other rates stay apart by setting."""
    one, two = system((16.0,)), system((16.0, 32.0))
    assert one.identity == two.identity
    assert any(digit in one.identity for digit in "0123456789")
    assert (one.codebook_size, one.in_programs) == (0, True)


def test_identities_differ():
    """So their decoded clips do not get mixed up."""
    systems = [Opus(), MatchedOpus((8.0,)), Mp3(), Aac()]
    assert len({system.identity for system in systems}) == len(systems)


def test_mp3_and_aac_come_down_to_their_lowest_rates():
    """What ffmpeg alone would make 32 and 17 kbps of."""
    mp3, aac = Mp3((8.0,)), Aac((8.0,))
    assert kbps_of(mp3.run(AUDIO, RATE, mp3.settings[0])) < 9.5
    assert kbps_of(aac.run(AUDIO, RATE, aac.settings[0])) < 13


@pytest.mark.parametrize("system", SYSTEMS)
def test_rates_out_of_range_are_refused(system):
    """With those that it takes."""
    with pytest.raises(ArgumentError, match=r"3 kbps; .*takes"):
        system((3.0,))


def test_matched_opus_meets_the_target():
    """Within 2 % of two measured rates, at the asked rate's quality."""
    codec = MatchedOpus((11.3, 7.9))
    assert [s.label for s in codec.settings] == ["at 7.9 kbps", "at 11.3 kbps"]
    for setting in codec.settings:
        decoded = codec.run(AUDIO, RATE, setting)
        assert kbps_of(decoded) == pytest.approx(setting.nominal_kbps, rel=0.02)
        assert abs(lag(decoded.audio)) <= 4


def test_matched_opus_keeps_the_nearest_where_the_target_cannot_be_met(monkeypatch):
    """A tenth of a second at 6 kbps is mostly header; it asks for the least and takes that."""
    encoded = []
    encode = programs.encode
    monkeypatch.setattr(
        programs, "encode", lambda *args: encoded.append(encode(*args)) or encoded[-1]
    )
    codec, short = MatchedOpus((6.0,)), AUDIO[: RATE // 10]
    decoded = codec.run(short, RATE, codec.settings[0])
    assert decoded.n_bytes == min(one.n_bytes for one in encoded)
    assert len(encoded) <= opus.TRIES


@given(
    st.floats(6.5, 100),
    st.floats(0.7, 1.2),
    st.floats(0.0, 1.0),
    st.floats(7, 60),
)
def test_the_search_ends_near_the_target(target, slope, offset, jump_at):
    """Rates grow with what is asked and jump once: it gets there, or the target is in the jump."""

    def file_kbps(asked: float) -> float:
        return slope * asked + offset + (2 if asked > jump_at else 0)

    tried = {target: file_kbps(target)}
    for _ in range(20):
        asked = next_asked(tried, target)
        tried[asked] = file_kbps(asked)
    reached = min(tried.values(), key=lambda kbps: abs(kbps - target))
    edges = slope * jump_at + offset
    least = file_kbps(opus.LOWEST_KBPS)
    assert abs(reached - target) <= 0.02 * target or edges <= target <= edges + 2 or target < least


def test_targets_out_of_reach_are_filtered_and_refused():
    """One codebook's bit rate is below anything that Opus does."""
    assert reachable([7.9, 0.86, 300, 6, 7.9]) == (6, 7.9)
    with pytest.raises(ArgumentError, match=r"cannot be matched to 2\.6 kbps"):
        MatchedOpus((2.6, 7.9))


@pytest.mark.parametrize(
    ("system", "way_out"),
    [
        (Opus, "install opus-tools"),
        (lambda: MatchedOpus((8.0,)), "install opus-tools"),
        (Mp3, "install ffmpeg"),
        (Aac, "install ffmpeg"),
    ],
)
def test_missing_programs_make_a_system_unavailable(no_programs, system, way_out):
    """And the line says what to install."""
    with pytest.raises(Unavailable, match=way_out):
        system()


def test_opus_falls_back_to_ffmpeg(monkeypatch, tmp_path):
    """Where only ffmpeg is there; in place, and under another identity."""
    tools = Opus((24.0,))
    (tmp_path / "ffmpeg").symlink_to(programs.shutil.which("ffmpeg"))
    monkeypatch.setenv("PATH", str(tmp_path))
    codec = Opus((24.0,))
    decoded = codec.run(AUDIO, RATE, codec.settings[0])
    assert codec.identity != tools.identity
    assert "libopus" in codec.identity
    assert abs(lag(decoded.audio)) <= 4
    assert kbps_of(decoded) == pytest.approx(24.5, rel=0.1)


def test_ffmpeg_without_an_encoder_is_unavailable():
    """Some builds leave the licensed ones out."""
    with pytest.raises(Unavailable, match="ffmpeg was built without no_such_encoder"):
        programs.ffmpeg_with("no_such_encoder")


def test_a_program_that_fails_is_named_with_its_last_line(tmp_path):
    """And one that takes too long is stopped."""
    with pytest.raises(CodecError, match=r"ffmpeg failed: .*No such file"):
        programs.run(("ffmpeg", "-v", "error", "-i", str(tmp_path / "none.wav"), "x.wav"))
    with pytest.raises(CodecError, match=r"was not done after 0\.2 s"):
        programs.run((sys.executable, "-c", "import time; time.sleep(9)"), timeout_s=0.2)
    with pytest.raises(Unavailable, match="no_such_program cannot be started"):
        programs.run(("no_such_program",))
