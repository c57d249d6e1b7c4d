"""A setting beside exact float32 on the CPU: which audio, which figures, and what is said."""

import math

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import AudioError, CodecError
from audiocodec.lab.speed import fidelity
from audiocodec.lab.speed.fidelity import (
    ComparedAudio,
    FidelityCounts,
    clips,
    find_audio,
    read_clip,
    snr_db,
)
from audiocodec.lab.speed.run import BenchmarkPlan, run
from audiocodec.lab.speed.worker import Turn, WorkerFailed
from audiocodec.recordings import recordings_in
from tests.conftest import noise

N_FRAMES = 10


class Coder:
    """Gives the same codes as any other of its kind but for one, and samples off by `error`."""

    def __init__(self, wrong=None, error=0.0):
        self.wrong, self.error = wrong, error

    def codes(self, samples):
        codes = np.zeros((len(samples), 4, N_FRAMES), np.int64)
        if self.wrong:
            codes[self.wrong] = 1
        return codes

    def decoded(self, codes):
        return np.full((len(codes), 1, N_FRAMES), 1 + self.error, np.float32)


class Pretender(Coder):
    """A worker: in fast mode and on CUDA one code is wrong, and samples are a tenth off."""

    is_alive = True

    def __init__(self, spec):
        self.is_reference = (spec.device, spec.precision) == ("cpu", "exact")
        super().__init__(*(() if self.is_reference else ((0, 0, 0), 0.1)))
        self.device = "cuda" if spec.device == "cuda" else "cpu"
        self.setting = {"torch": "0", "device_type": self.device, "bfloat16": False}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def prepare(self, cell):
        pass

    def take_turn(self):
        return Turn(0.0, 1.0, None)


class Failing(Pretender):
    """A worker that cannot decode."""

    def decoded(self, codes):
        raise WorkerFailed("RuntimeError: no")


def measured(*models, start=Pretender, **settings):
    """Results, and the lines that were said."""
    said = []
    plan = BenchmarkPlan(models or ("tiny_44khz",), ("ours",), (1.0,), **settings)
    return run(plan, said.append, start), said


def written(path, n_samples=500, channels=1, sample_rate=44100):
    """A sound file of noise; its path."""
    soundfile.write(path, noise(n_samples, channels)[:, 0].numpy().T, sample_rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    "setting", [{"precision": "fast"}, {"device": "cuda"}, {"device": "cuda", "precision": "fast"}]
)
def test_any_other_setting_is_compared(tmp_path, setting):
    """With figures over all clips and channels."""
    paths = [written(tmp_path / f"{n}.wav", channels=n) for n in (1, 2)]
    results, said = measured(audio=tuple(map(str, paths)), **setting)
    (found,) = results.fidelities
    assert (found.model, found.seeded) == ("tiny_44khz", False)
    assert (found.n_clips, found.n_available, found.n_frames) == (2, 2, 3 * N_FRAMES)
    assert found.codes_equal == 1 - 2 / (3 * 4 * N_FRAMES)
    assert found.first_equal == 1 - 2 / (3 * N_FRAMES)
    assert found.snr_worst_db == pytest.approx(20.0, abs=1e-4)
    assert any("98.33% of codes equal" in line and "20.0, 20.0 at worst" in line for line in said)
    assert results.setting["audio"] == list(map(str, paths))
    assert found.audio == f"{paths[0]} and 1 more"


def test_the_reference_is_not_compared_with_itself(tmp_path):
    """That is said where audio was asked for."""
    results, _ = measured(audio=(str(written(tmp_path / "a.wav")),))
    assert not results.fidelities
    assert [one.reason for one in results.missing] == [
        "the setting is the reference itself, exact on the CPU"
    ]
    assert not measured()[0].missing


def test_seeded_weights_are_named_and_compared_on_less(tmp_path):
    """Known models are not at hand: their weights are made up."""
    for n in range(7):
        written(tmp_path / f"{n}.wav")
    audio = (str(tmp_path),)
    results, _ = measured("dac_44khz", "tiny_44khz", precision="fast", audio=audio)
    seeded, trained = results.fidelities
    assert (seeded.seeded, seeded.n_clips, seeded.n_available) == (True, 4, 7)
    assert (trained.seeded, trained.n_clips, trained.n_available) == (False, 7, 7)


def test_files_that_cannot_be_read_are_missing_once(tmp_path):
    """With what is wrong with them, for all models together; nothing is compared without any."""
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    written(tmp_path / "empty.wav", n_samples=0)
    models = "dac_44khz", "tiny_44khz"
    results, said = measured(*models, precision="fast", audio=(str(tmp_path),))
    assert not results.fidelities
    reasons = [one.reason for one in results.missing]
    assert len(reasons) == 2
    assert "broken.wav: cannot be read as audio" in reasons[0]
    assert "empty.wav: holds no samples" in reasons[1]
    assert sum("broken.wav" in line for line in said) == 1


def test_a_worker_that_fails_is_said():
    """And the rest is measured."""
    results, _ = measured(start=Failing, precision="fast")
    assert not results.fidelities
    assert [(one.what, one.reason) for one in results.missing] == [
        ("tiny_44khz: agreement with float32 on the CPU", "RuntimeError: no")
    ]
    assert results.rows


def test_without_recordings_noise_is_taken(tmp_path, monkeypatch):
    """As in an installed package; in a checkout its examples."""
    assert find_audio(()).name == "examples/audio"
    monkeypatch.setattr(fidelity.audiocodec, "__file__", str(tmp_path / "audiocodec" / "x.py"))
    results, _ = measured(precision="fast")
    (found,) = results.fidelities
    assert (found.audio, found.n_clips, found.n_available) == ("noise", 1, 1)
    (clip,) = clips(find_audio(()), 8000, lambda what, error: None)
    assert clip.shape == (1, 1, 16000)


def test_audio_that_is_not_there(tmp_path):
    """Is refused before anything is measured."""
    with pytest.raises(AudioError, match="no such file or folder"):
        find_audio([str(tmp_path / "none.wav")])
    with pytest.raises(AudioError, match="holds no sound files"):
        find_audio([str(tmp_path)])


@pytest.mark.parametrize(("seconds", "kept_s"), [(0.5, 0.5), (12.0, 10.0)])
def test_a_clip_is_the_start_of_a_file(tmp_path, seconds, kept_s):
    """Channel by channel, at the model's rate."""
    path = written(tmp_path / "a.wav", round(seconds * 8000), 2, 8000)
    [recording] = recordings_in(path)
    clip = read_clip(recording, 16000)
    assert clip.shape == (2, 1, round(kept_s * 16000))
    same = read_clip(recording, 8000)
    assert np.array_equal(same[:, 0], noise(round(seconds * 8000), 2)[:, 0, : same.shape[-1]])


@given(n_all=st.integers(0, 300), n_some=st.integers(1, 64))
def test_some_are_spread_over_all(n_all, n_some):
    """No more than wanted, none twice, in order, from the first on."""
    some = ComparedAudio("many", tuple(range(n_all))).some(n_some).recordings
    assert len(some) == min(n_all, n_some)
    assert list(some) == sorted(set(some))
    gaps = np.diff([*some, n_all])
    assert n_all == 0 or gaps.max() - gaps.min() <= 1


@given(error=st.floats(1e-5, 1e5), channels=st.integers(1, 3))
def test_the_ratio_is_that_of_energies(error, channels):
    """An error in proportion to the signal has its ratio, whatever the channels."""
    signal = noise(100, channels).numpy().astype(np.float64)
    expected = -20 * math.log10(error)
    assert snr_db(signal * (1 + error), signal) == pytest.approx(expected, abs=1e-4)


def test_ratios_at_the_edges():
    """Equal signals have no end of it; silence has a figure; what is not finite has none."""
    zeros, ones = np.zeros((1, 1, 9)), np.ones((1, 1, 9))
    assert snr_db(ones, ones) == snr_db(zeros, zeros) == math.inf
    assert snr_db(ones, zeros) < -100
    with pytest.raises(CodecError, match="not finite"):
        snr_db(ones * np.nan, ones)


def test_no_difference_is_no_number():
    """So that results are JSON that everything reads."""
    counts = FidelityCounts()
    counts.add(Coder(), Coder(), noise(500).numpy())
    found = counts.result("toy", False, ComparedAudio("clips", ()))
    assert found.codes_equal == found.first_equal == 1.0
    assert found.snr_median_db is found.snr_worst_db is None
