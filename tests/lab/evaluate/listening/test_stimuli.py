"""The anchor, and the folder of a listening test: blind, whole, the same for the same seed."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.lab.evaluate.listening.key import REFERENCE, Key, read_key
from audiocodec.lab.evaluate.listening.stimuli import (
    KEY,
    MAX_SYSTEMS,
    anchor_filter,
    low_pass,
    write_listening_test,
)
from audiocodec.lab.evaluate.report_data import Condition, HeardClip


def gain_db(sample_rate: int, frequencies: np.ndarray) -> np.ndarray:
    """Of the anchor's filter at frequencies in Hz."""
    taps = anchor_filter(sample_rate)
    phases = np.exp(-2j * np.pi * np.outer(frequencies / sample_rate, np.arange(len(taps))))
    return 20 * np.log10(np.abs(phases @ taps) + 1e-12)


@given(sample_rate=st.sampled_from([9000, 16000, 22050, 24000, 44100, 48000, 96000]))
def test_the_anchor_is_within_the_standard(sample_rate):
    """BS.1534-3: 0.1 dB to 3.5 kHz, 25 dB at 4 kHz, 50 dB at 4.5 kHz; here 50 dB at 4 kHz."""
    passed = gain_db(sample_rate, np.linspace(0, 3500, 200))
    stopped = gain_db(sample_rate, np.linspace(4000, sample_rate / 2, 200))
    assert np.abs(passed).max() < 0.1
    assert stopped.max() < -50


@given(n_samples=st.integers(1, 3000), seed=st.integers(0, 99))
def test_the_anchor_is_as_long_as_its_reference_and_not_delayed(n_samples, seed):
    """Filtering the reversed signal is reversing the filtered one: zero phase."""
    audio = np.random.default_rng(seed).standard_normal(n_samples)
    filtered = low_pass(audio, 44100)
    assert len(filtered) == n_samples
    np.testing.assert_allclose(low_pass(audio[::-1], 44100)[::-1], filtered, atol=1e-9)


def test_a_rate_too_low_for_the_anchor_is_refused():
    """At 8 kHz there is nothing above the anchor's band."""
    with pytest.raises(ArgumentError, match="8000 Hz: too low"):
        low_pass(np.zeros(10), 8000)


def script_data(path: Path) -> dict:
    """What a data script sets."""
    return json.loads(path.read_text().split(" = ", 1)[1].rstrip(";\n"))


def signals(path: Path) -> dict[str, np.ndarray]:
    """Audio of a trial's script: "reference" and conditions by id."""
    data = script_data(path)
    coded = {"reference": data["reference"], **data["conditions"]}
    return {
        name: sf.read(io.BytesIO(base64.b64decode(text)), dtype="int16")[0]
        for name, text in coded.items()
    }


def test_every_condition_is_what_the_key_says(listening_folder, clips):
    """Hidden reference and systems sample by sample, the anchor without the upper tone."""
    key = read_key(listening_folder / KEY)
    for number, (clip, trial) in enumerate(zip(clips, key.trials, strict=True), start=1):
        audio = signals(listening_folder / f"listening/trial_{number:02d}.js")
        reference, rate = sf.read(clip.reference, dtype="int16")
        paths = {made.row.label: made.audio for made in clip.conditions}
        assert audio.keys() == {"reference", *trial.conditions}
        assert all(len(signal) == len(reference) for signal in audio.values())
        for name, what in trial.conditions.items():
            if what.role == "anchor":
                expected = np.rint(low_pass(reference, rate)).astype(np.int16)
            else:
                path = clip.reference if what.role == REFERENCE else paths[what.system]
                expected = sf.read(path, dtype="int16")[0]
            assert np.array_equal(audio[name], expected)


def test_nothing_that_the_page_loads_tells_systems_clips_or_classes(listening_folder, clips):
    """The key does; no script, style or page names it or what it says."""
    loaded = [listening_folder / "listening_test.html", *(listening_folder / "listening").iterdir()]
    words = [KEY, "ourcodec", "opuslike", "kbps", *(clip.clip for clip in clips), "music", "speech"]
    for path in loaded:
        text = path.read_text()
        assert not [word for word in words if word in text], path.name


def test_tags_of_a_file_do_not_reach_the_page(tmp_path, clips):
    """FLAC is made anew: a title that names the system stays behind."""
    source, tagged = clips[0].conditions[0].audio, tmp_path / "tagged.flac"
    audio, rate = sf.read(source, dtype="int16")
    with sf.SoundFile(tagged, "w", rate, 1, "PCM_16", format="FLAC") as file:
        file.title = "made by ourcodec"
        file.write(audio)
    clip = replace(clips[0], conditions=(Condition(clips[0].conditions[0].row, tagged),))
    write_listening_test(tmp_path, "t", [clip])
    data = script_data(tmp_path / "listening/trial_01.js")
    assert b"ourcodec" in tagged.read_bytes()
    for coded in [data["reference"], *data["conditions"].values()]:
        assert b"ourcodec" not in base64.b64decode(coded)


def key_of(folder: Path, clips: list[HeardClip], seed: int) -> Key:
    """Write a test and read its key."""
    write_listening_test(folder, "t", clips, seed=seed)
    return read_key(folder / KEY)


def test_ids_and_orders_follow_from_the_seed(tmp_path, clips):
    """The same seed gives the same test, another one other ids and another test id."""
    first, page = key_of(tmp_path, clips, 1), (tmp_path / "listening/test.js").read_text()
    again, page_again = key_of(tmp_path, clips, 1), (tmp_path / "listening/test.js").read_text()
    other = key_of(tmp_path, clips, 2)
    assert (first, page) == (again, page_again)
    assert first.test != other.test
    ids = [{trial.trial, *trial.conditions} for key in (first, other) for trial in key.trials]
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_the_order_of_conditions_does_not_tell_the_hidden_reference(tmp_path, clips):
    """Over seeds, it comes at every place."""
    places = set()
    for seed in range(12):
        trial = key_of(tmp_path, clips[:1], seed).trials[0]
        order = list(script_data(tmp_path / "listening/trial_01.js")["conditions"])
        places |= {order.index(name) for name in order if trial.conditions[name].role == REFERENCE}
    assert places == {0, 1, 2, 3}


def test_trials_of_an_older_test_go(tmp_path, clips):
    """A folder holds one test, also where the older one had more trials."""
    key_of(tmp_path, clips, 0)
    key_of(tmp_path, clips[:1], 0)
    assert [path.name for path in tmp_path.glob("listening/trial_*")] == ["trial_01.js"]


def test_a_condition_of_another_length_or_rate_is_refused(tmp_path, clips):
    """Switching at the same position needs equal lengths; the file is named."""
    path = tmp_path / "short.flac"
    clip = replace(clips[0], conditions=(Condition(clips[0].conditions[0].row, path),))
    for length, rate in ((100, 16000), (32000, 44100)):
        sf.write(path, np.zeros(length), rate, subtype="PCM_16")
        with pytest.raises(AudioError, match=r"short\.flac.*of one length"):
            write_listening_test(tmp_path, "t", [clip])


def test_stereo_empty_and_missing_files_are_refused(tmp_path, clips):
    """Each by name."""
    path = tmp_path / "odd.flac"
    clip = replace(clips[0], reference=path)
    with pytest.raises(AudioError, match=r"odd\.flac"):
        write_listening_test(tmp_path, "t", [clip])
    sf.write(path, np.zeros((100, 2)), 16000)
    with pytest.raises(AudioError, match="2 channels"):
        write_listening_test(tmp_path, "t", [clip])


def test_a_test_has_clips_and_a_trial_has_conditions_to_rate(tmp_path, clips):
    """None, or more than BS.1534-3 advises, is refused."""
    crowd = clips[0].conditions[:1] * (MAX_SYSTEMS + 1)
    with pytest.raises(ArgumentError, match="at least one clip"):
        write_listening_test(tmp_path, "t", [])
    for conditions in ((), crowd):
        with pytest.raises(ArgumentError, match=r"violin: .* 1 to 10"):
            write_listening_test(tmp_path, "t", [replace(clips[0], conditions=conditions)])
