"""Which input makes which output."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiocodec.cli.batch import FileTask, _without_collisions, dac_files, planned, renamed, run_all
from audiocodec.errors import ArgumentError, CodecError, ModelError
from audiocodec.recordings import UnusedFilesWarning, sound_files

STEMS = st.sampled_from(["a", "a.wav", "a.mp3", "b"])
NAMES = st.builds("".join, st.tuples(STEMS, st.sampled_from([".wav", ".mp3", ".dac"])))


def touched(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize(
    ("name", "suffix", "expected"),
    [
        ("speech.wav", ".dac", "speech.dac"),
        ("speech.dac", ".wav", "speech.wav"),
        ("speech.wav.dac", ".wav", "speech.wav"),
        ("speech.WAV.dac", ".wav", "speech.WAV"),
        ("speech.mp3.dac", ".wav", "speech.mp3.wav"),
        ("v1.2.flac", ".dac", "v1.2.dac"),
    ],
)
def test_a_name_gets_its_new_suffix(name, suffix, expected):
    """And what was two files in a folder finds back to its two names."""
    assert renamed(Path(name), suffix) == expected


@given(st.sets(NAMES, min_size=1), st.sampled_from([".dac", ".wav"]))
@example({"a.wav", "a.mp3", "a.wav.mp3"}, ".dac")
@example({"a.dac", "a.wav.dac"}, ".wav")
def test_no_two_files_become_one(names, suffix):
    """Whatever is in a folder, each file has an output of its own."""
    files = [Path("sub", name) for name in sorted(names)]
    targets = _without_collisions(files, suffix)
    assert len(set(targets)) == len(files)
    assert {target.parent for target in targets} == {Path("sub")}


def test_a_tree_is_made_again(here):
    """Sound files at every depth, whatever the case of their suffix; other files not."""
    touched("in/a.wav", "in/a.mp3", "in/deep/er/ü n.WAV", "in/notes.txt")
    jobs = planned("in", "out", sound_files, ".dac")
    assert {(job.source, job.target) for job in jobs} == {
        ("in/a.wav", "out/a.wav.dac"),
        ("in/a.mp3", "out/a.mp3.dac"),
        ("in/deep/er/ü n.WAV", "out/deep/er/ü n.dac"),
    }
    assert planned("in/deep", "", sound_files, ".dac") == [
        FileTask("in/deep/er/ü n.WAV", "in/deep/er/ü n.dac")
    ]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a.wav", "", "a.dac"),
        ("a.wav", "b.dac", "b.dac"),
        ("a.wav", "folder", "folder/a.dac"),
        ("a.wav", "new/", "new/a.dac"),
        ("a.wav", "-", "-"),
        ("-", "", "-"),
        ("-", "b.dac", "b.dac"),
    ],
)
def test_one_file_has_one_output(here, source, target, expected):
    """Beside the input, under a new name, in a folder, or in a pipe."""
    touched("a.wav", "folder/x")
    assert planned(source, target, sound_files, ".dac") == [FileTask(source, expected)]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("missing.wav", "", "no such file"),
        ("folder", "", "folder: holds no sound files"),
        ("folder", "a.wav", "must be a folder too"),
        ("folder", "-", "must be a folder too"),
    ],
)
def test_nothing_to_do_is_an_error(here, source, target, words):
    """The message says why."""
    touched("a.wav", "folder/x")
    with pytest.raises(CodecError, match=words):
        planned(source, target, sound_files, ".dac")


def test_one_bad_file_does_not_stop_the_others(here, capsys):
    """Known errors and defects are listed at the end, each with its file, one line each."""
    touched("a", "b", "c", "d")
    done = []

    def work(job: FileTask, label: str) -> None:
        if job.source == "a":
            raise CodecError("has\ntwo lines and \x1b[31m colour")
        if job.source == "c":
            raise ZeroDivisionError("oops")
        done.append((job.source, label))

    jobs = [FileTask(name, f"out/{name}") for name in "abcd"]
    assert run_all(jobs, work, n_processes=1, debug=False) == 1
    assert done == [("b", "2/4 b"), ("d", "4/4 d")]
    assert capsys.readouterr().err.splitlines() == [
        r"audiocodec: a: has two lines and \x1b[31m colour",
        "audiocodec: c: unexpected ZeroDivisionError: oops",
        "audiocodec: 2 of 4 files failed",
    ]


def test_a_model_that_cannot_be_had_stops_everything(here):
    """No other file would fare better."""
    touched("a", "b")
    tried = []

    def work(job: FileTask, label: str) -> None:
        tried.append(job.source)
        raise ModelError("no such model")

    with pytest.raises(ModelError):
        run_all([FileTask("a", "out/a"), FileTask("b", "out/b")], work, n_processes=1, debug=False)
    assert tried == ["a"]


def test_input_and_output_must_differ(here):
    """By whatever names the one file goes."""
    touched("a.wav")
    Path("link.wav").symlink_to("a.wav")
    with pytest.raises(ArgumentError, match="input and output at once"):
        run_all(
            [FileTask("a.wav", "link.wav")], lambda job, label: None, n_processes=1, debug=False
        )


@pytest.mark.parametrize(("lister", "words"), [(sound_files, "no sound"), (dac_files, r"no \.dac")])
def test_a_named_pipe_in_a_folder_is_no_input(here, lister, words):
    """It would wait for ever; what is not used is told, and nothing else is there."""
    Path("in").mkdir()
    os.mkfifo("in/a.wav")
    os.mkfifo("in/a.dac")
    with (
        pytest.warns(UnusedFilesWarning, match=r"in: not used: 1 .* \(not an ordinary file: a\."),
        pytest.raises(CodecError, match=f"in: holds {words} files"),
    ):
        planned("in", "out", lister, ".dac")
