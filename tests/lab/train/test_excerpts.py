"""Excerpts: the same for the same seed, balanced, full-band, level, and audible if possible."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.audio import LoudnessMeter
from audiocodec.errors import ArgumentError, AudioError
from audiocodec.lab.train.cache import Cache
from audiocodec.lab.train.excerpts import (
    Excerpts,
    ExcerptSettings,
    QuietExcerpts,
    fast_length,
    loudness,
    phase_shifted,
    turn,
)
from audiocodec.lab.train.sources import SkippedFiles, TrainingRecording, scan
from tests.lab.train.material import recording

RATE, SHARES = 8000, {"speech": 1.0, "music": 3.0}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[TrainingRecording]:
    """Four: music as a long file, a click and another group; speech that is mostly silent."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    speech = np.zeros(RATE * 4)
    speech[RATE : 2 * RATE] = 0.1 * rng.standard_normal(RATE)
    sounds = {
        "long": ("music,one,yes", 0.01 * rng.standard_normal((RATE * 9, 2))),
        "click": ("music,one,no", 0.3 * rng.standard_normal(RATE)),
        "other": ("music,two,no", 0.3 * rng.standard_normal(RATE)),
        "voice": ("speech,one,no", speech),
    }
    lines = ["path,class,group,full_band"]
    for name, (columns, audio) in sounds.items():
        sf.write(folder / f"{name}.flac", audio, RATE)
        lines.append(f"{name}.flac,{columns}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return scan([str(folder / "manifest.csv")]).recordings


def excerpts(recordings, shares=SHARES, n_samples=1000, batch_size=8, **settings) -> Excerpts:
    """Excerpts of short settings."""
    return Excerpts(recordings, shares, ExcerptSettings(n_samples, RATE, batch_size, **settings))


def drawn(excerpts: Excerpts, n_steps: int = 400) -> Counter[str]:
    """How often each recording comes, as a share of all items."""
    rng = np.random.default_rng(0)
    plans = [item for step in range(n_steps) for item in excerpts.plan(0, step)]
    names = Counter(excerpts.draw(rng, *item).path.stem for item in plans)
    return Counter({name: count / names.total() for name, count in names.items()})


def test_an_item_always_has_the_same_audio(recordings):
    """Seed, step and number decide; another of each gives another excerpt."""
    batch = excerpts(recordings).items(1, 5, range(8))
    assert batch.shape == (8, 1, 1000)
    assert batch.dtype == torch.float32
    assert torch.equal(batch, excerpts(recordings).items(1, 5, range(8)))
    assert not torch.equal(batch, excerpts(recordings).items(1, 6, range(8)))
    assert not torch.equal(batch, excerpts(recordings).items(2, 5, range(8)))
    assert len({row.numpy().tobytes() for row in batch}) == 8


def test_processes_share_a_batch(recordings):
    """Slices of a batch, made apart, are the batch."""
    parts = [excerpts(recordings).items(0, 3, items) for items in (range(0, 4), range(4, 8))]
    assert torch.equal(torch.cat(parts), excerpts(recordings).items(0, 3, range(8)))
    with pytest.raises(ArgumentError, match="a batch has 8"):
        excerpts(recordings).items(0, 0, range(4, 9))


def test_classes_come_in_turn(recordings):
    """A batch that is a multiple of the cycle has the exact shares; others have them on average."""
    for step in range(20):
        kinds = Counter(kind for kind, _ in excerpts(recordings).plan(0, step))
        assert kinds == {"speech": 2, "music": 6}
    odd = excerpts(recordings, batch_size=3)
    kinds = Counter(kind for step in range(400) for kind, _ in odd.plan(0, step))
    assert kinds["speech"] / kinds.total() == pytest.approx(0.25, abs=0.03)


def test_groups_come_alike_and_recordings_by_length(recordings):
    """Three balances: classes and groups, classes and length, length alone."""
    by_group = drawn(excerpts(recordings))
    assert by_group["other"] == pytest.approx(0.375, abs=0.04)
    assert by_group["click"] == pytest.approx(0.0375, abs=0.02)
    by_length = drawn(excerpts(recordings, balance="duration"))
    assert by_length["voice"] == pytest.approx(0.25, abs=0.001)
    assert by_length["other"] == pytest.approx(0.75 / 11, abs=0.02)
    unbalanced = drawn(excerpts(recordings, balance="none"))
    assert unbalanced["voice"] == pytest.approx(4 / 15, abs=0.04)
    assert unbalanced["long"] == pytest.approx(9 / 15, abs=0.04)


@given(share=st.floats(0, 0.75), batch_size=st.integers(1, 20), step=st.integers(0, 10**6))
def test_the_first_items_are_full_band(recordings, share, batch_size, step):
    """At least that share of any batch, from classes that have such recordings."""
    made = excerpts(recordings, batch_size=batch_size, full_band_share=share)
    plan = made.plan(0, step)
    required = [full_band for _, full_band in plan]
    assert share * batch_size <= sum(required) + 1e-9 < share * batch_size + 1
    assert required == sorted(required, reverse=True)
    rng = np.random.default_rng(step)
    assert all(made.draw(rng, kind, True).full_band for kind, needed in plan if needed)
    if batch_size % 4 == 0:
        assert Counter(kind for kind, _ in plan)["speech"] == batch_size // 4


def test_excerpts_are_audible_level_and_within_full_scale(recordings):
    """Silence is drawn again; what the peak allows is raised to -16 LUFS."""
    batch = excerpts(recordings, n_samples=RATE // 2, batch_size=64).items(0, 0, range(64))
    assert batch.abs().max() <= 1 + 1e-6
    levels = [loudness(row[0].numpy(), RATE) for row in batch]
    assert min(levels) > -40
    assert np.median(levels) == pytest.approx(-16, abs=0.5)


def test_silence_stays_silence(tmp_path):
    """Where there is nothing else, the last try is taken, with a warning."""
    sf.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    made = excerpts(scan([f"x={tmp_path}"]).recordings, {}, batch_size=2)
    with pytest.warns(QuietExcerpts, match="class x has excerpts no louder than -40 LUFS"):
        assert not made.items(0, 0, range(2)).any()


def test_a_class_in_which_nothing_can_be_heard_is_refused(recordings, tmp_path):
    """One among others, too; a quiet one gives a warning when drawn, and may be trained on."""
    sf.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    silent = scan([f"x={tmp_path}"]).recordings
    excerpts(recordings).check_audible(0)
    for found, balance, name in (
        (silent, "groups", "class x"),
        (silent, "none", "the training set"),
        ([*recordings, *silent], "duration", "class x"),
    ):
        with pytest.raises(AudioError, match=f"^{name} is silent: .* louder than -70 LUFS"):
            excerpts(found, {}, balance=balance).check_audible(0)
    sf.write(tmp_path / "silent.wav", 1e-3 * np.sin(np.arange(RATE)), RATE, "FLOAT")
    quiet = excerpts(scan([f"x={tmp_path}"]).recordings, {})
    quiet.check_audible(0)
    with pytest.warns(QuietExcerpts, match="class x"):
        assert quiet.items(0, 0, range(2)).any()


def test_opposite_channels_are_told(tmp_path):
    """Mixed to mono they cancel each other: such a file is skipped, with the cache too."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    sf.write(tmp_path / "opposite.wav", np.stack([noise, -noise], axis=1), RATE)
    opposite = scan([f"x={tmp_path}"]).recordings
    cache = Cache(tmp_path / "cache", RATE)
    (skipped,) = cache.build(opposite, 1)
    assert "cancel each other" in skipped.reason
    settings = ExcerptSettings(1000, RATE, 8)
    for made in (excerpts(opposite, {}), Excerpts(opposite, {}, settings, cache)):
        with (
            pytest.warns(SkippedFiles, match=r"opposite\.wav: its channels .* cancel each other"),
            pytest.raises(AudioError, match=r"cannot be read; .*channels .* cancel"),
        ):
            made.items(0, 0, range(8))
    sf.write(tmp_path / "good.wav", noise, RATE)
    both = scan([f"x={tmp_path}"]).recordings
    with pytest.warns(SkippedFiles, match="cancel"):
        assert excerpts(both, {}).items(0, 0, range(8)).abs().amax(dim=(1, 2)).min() > 0.01


def test_short_recordings_are_padded(recordings):
    """An excerpt longer than the file ends in silence."""
    made = excerpts(recordings, {"music": 1.0}, RATE * 10, 1, shift_phase=False)
    batch = made.items(0, 0, range(1))
    assert batch.shape[-1] == RATE * 10
    assert not batch[..., RATE * 9 :].any()


def test_the_cache_changes_nothing_but_the_last_bits(recordings, tmp_path):
    """The same places of the same recordings."""
    cache = Cache(tmp_path, RATE)
    cache.build(recordings, 1)
    settings = ExcerptSettings(1000, RATE, 8)
    cached = Excerpts(recordings, SHARES, settings, cache).items(0, 0, range(8))
    direct = Excerpts(recordings, SHARES, settings).items(0, 0, range(8))
    assert (cached - direct).abs().max() < 1e-3


def test_damaged_recordings_are_passed_over(recordings, tmp_path):
    """With a warning, unless nothing else is there."""
    (tmp_path / "bad.wav").write_text("no audio")
    bad = recording(tmp_path / "bad.wav", "music", "bad", 9.0)
    with pytest.warns(SkippedFiles, match=r"bad\.wav"):
        batch = excerpts([*recordings, bad]).items(0, 0, range(8))
    assert batch.abs().amax(dim=(1, 2)).min() > 0.01
    with (
        pytest.warns(SkippedFiles),
        pytest.raises(AudioError, match=r"8 recordings in a row cannot be read; .*bad\.wav"),
    ):
        excerpts([bad], {}).items(0, 0, range(1))


def test_unusable_settings_are_refused(recordings):
    """Classes without recordings, shares of nothing, and too little full-band material."""
    music = {"music": 1.0}
    for build, words in (
        (lambda: excerpts(recordings, {"birds": 1.0}), "birds; there are music, speech"),
        (lambda: excerpts(recordings, {"music": 0.0}), "more than 0"),
        (lambda: excerpts(recordings, full_band_share=0.8), r"make up 0\.75 of the shares"),
        (lambda: excerpts(recordings, music, full_band_share=2.0), "from 0 to 1"),
        (lambda: excerpts(recordings, balance="fair"), "groups, duration, none"),
        (lambda: excerpts(recordings, n_samples=0), "1 or more"),
    ):
        with pytest.raises(ArgumentError, match=words):
            build()


def test_turns_spread_the_classes():
    """The published order of three to two to one, and shares that are no whole numbers."""
    assert turn({"a": 3, "b": 2, "c": 1}) == ["a", "b", "a", "c", "b", "a"]
    assert Counter(turn({"a": 0.5, "b": 0.3, "c": 0.2})) == {"a": 5, "b": 3, "c": 2}
    assert turn({"a": 7.0}) == ["a"]
    odd = {str(n): 1 / n for n in (53, 59, 61, 67, 71)}
    counts = Counter(turn(odd))
    assert counts["53"] / counts["71"] == pytest.approx(71 / 53, rel=0.01)


@given(
    n_samples=st.integers(1, 30000),
    rate=st.sampled_from((16000, 44100)),
    gain_db=st.floats(-80, 0),
    start=st.integers(0, 20000),
)
def test_loudness_is_that_of_the_exact_meter(n_samples, rate, gain_db, start):
    """Any length, level and rate; also of sounds that begin late."""
    audio = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    audio *= np.float32(10 ** (gain_db / 20))
    audio[:start] = 0
    meter = LoudnessMeter(rate, 1)
    meter.push(audio[:, None])
    assert loudness(audio, rate) == pytest.approx(meter.integrated(), abs=0.01)


def test_loudness_of_silence_is_the_floor():
    """As published."""
    assert loudness(np.zeros(16758, np.float32), 44100) == -70


@given(angle=st.floats(-np.pi, np.pi), n_samples=st.integers(1, 5000))
def test_phases_turn_by_the_angle(angle, n_samples):
    """A cosine comes out later by the angle, to its edges; half a turn is the opposite sign."""
    wave = np.cos(0.3 * np.arange(n_samples) + 0.7).astype(np.float32)
    shifted = phase_shifted(wave, angle)
    assert shifted.shape == wave.shape
    assert shifted.dtype == np.float32
    expected = np.cos(0.3 * np.arange(n_samples) + 0.7 + angle)
    inner = slice(500, n_samples - 500)
    assert np.abs(shifted[inner] - expected[inner]).max(initial=0) < 0.02
    assert phase_shifted(wave, np.pi) == pytest.approx(-wave, abs=1e-4)


def test_phase_shift_is_the_published_one():
    """An angle added to every bin of an STFT gives nearly the same, also near the edges."""
    noise = 0.1 * torch.randn(1, 16758, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(2048)
    bins = torch.stft(noise, 2048, 512, window=window, return_complex=True) * np.exp(0.8j)
    published = torch.istft(bins, 2048, 512, window=window, length=16758)[0].numpy()
    error = phase_shifted(noise[0].numpy(), 0.8) - published
    # what differs lies near 0 Hz, where a window of 2048 cannot tell phases apart
    assert np.sqrt(np.mean(error**2)) < 0.03 * 0.1


@given(n_samples=st.integers(1, 100_000))
def test_fast_lengths(n_samples):
    """At least as long, hardly longer, and a product of small factors."""
    length = fast_length(n_samples)
    assert n_samples <= length <= 1.35 * n_samples
    assert 60**17 % length == 0


def test_paths_may_be_anything(tmp_path: Path):
    """Spaces and other letters in names are no matter."""
    sf.write(tmp_path / "ä b=c.wav", np.full(RATE, 0.1), RATE)
    assert scan([f"x={tmp_path}"]).recordings[0].path.name == "ä b=c.wav"
