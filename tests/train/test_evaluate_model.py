"""The evaluation: clips in, a table out."""

import numpy as np
import pytest
import soundfile as sf

from audiocodec.train.evaluate_model import Clip, Decoded, read_clips, scores, table, through_codec


def chirps(n_samples: int, rate: int) -> np.ndarray:
    """A sweep that swells and fades, as syllables do."""
    time_s = np.arange(n_samples) / rate
    sweep = np.sin(2 * np.pi * (200 * time_s + 300 * time_s**2)) * np.sin(9 * time_s) ** 2
    return (0.2 * sweep).astype(np.float32)


def test_clips_are_mixed_and_resampled(tmp_path):
    """Stereo at 48 kHz becomes mono at the model's rate; every n-th row is taken."""
    audio = chirps(48000, 48000)
    sf.write(tmp_path / "a.wav", np.stack([audio, 0 * audio], axis=1), 48000)
    (tmp_path / "m.csv").write_text("file,class\n" + "a.wav,music\n" * 3)
    clips = read_clips(tmp_path / "m.csv", 16000, every=2)
    assert [clip.kind for clip in clips] == ["music"] * 2
    assert clips[0].audio.shape == (16000,)
    assert np.abs(clips[0].audio[1000:-1000] - 0.5 * chirps(16000, 16000)[1000:-1000]).max() < 0.01


def test_models_return_as_many_samples_at_each_bit_rate(small):
    """Also when the length is no multiple of the hop."""
    decoded = through_codec(small, chirps(20001, 44100), [1, 3])
    assert [result.audio.shape for result in decoded] == [(20001,)] * 2
    assert decoded[1].kbps == pytest.approx(2.58, abs=0.01)
    assert not np.array_equal(decoded[0].audio, decoded[1].audio)


def test_what_is_lossless_scores_best():
    """ESTOI is given for speech only."""
    speech = Clip("speech", chirps(44100, 44100))
    same = scores(speech, Decoded(speech.audio, 1.0), 44100)
    noisy = speech.audio + 0.1 * np.random.default_rng(0).standard_normal(44100, np.float32)
    worse = scores(speech, Decoded(noisy, 1.0), 44100)
    assert same["mel"] == 0
    assert same["estoi"] == pytest.approx(1.0, abs=1e-3)
    assert worse["mel"] > 0
    assert worse["si_sdr"] < same["si_sdr"]
    assert "estoi" not in scores(Clip("music", speech.audio), Decoded(noisy, 1.0), 44100)


def test_the_table_has_a_line_for_each_system():
    """Means by class, in the order of the clips; a figure that no clip has is a dash."""
    figures = {"kbps": 4.0, "mel": 1.0, "si_sdr": 3.0}
    better = figures | {"mel": 0.5}
    lines = list(table([("a", "music", figures), ("a", "music", better), ("a", "speech", figures)]))
    assert "music / speech" in lines[0]
    assert lines[2:] == ["| a | 4.00 | 0.75 / 1.00 | 3.0 / 3.0 | - |"]
