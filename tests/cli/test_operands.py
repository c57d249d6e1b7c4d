"""Which operands make which tasks, and outputs that are refused before anything is written."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec.cli import run
from audiocodec.errors import ArgumentError, CodecError


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def recordings(here, make_sound, small):
    """a.wav, b.wav and c.wav, x.dac and y.dac, and a folder with another a.wav."""
    for name in ("a.wav", "b.wav", "c.wav", "d/a.wav"):
        make_sound(name)
    for name in ("x.dac", "y.dac"):
        small.compress("a.wav", name)
    return here


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("encode a.wav c.wav", "to encode both, write `audiocodec encode a.wav c.wav --out FOLDER"),
        ("encode a.wav new.wav", r"call it new\.dac"),
        ("encode a.wav new.m4a", r"call it new\.dac"),
        ("encode a.wav tokens.parquet", r"call it tokens\.dac"),
        ("encode a.wav a.wav", "input and output at once"),
        ("encode x.dac", "`audiocodec decode x.dac` turns it into sound"),
        ("encode a.wav b.wav x.dac", "`audiocodec decode x.dac`"),
        ("encode a.wav b.wav d", "--out FOLDER"),
        ("encode a.wav b.wav new", "--out FOLDER"),
        ("encode a.wav b.wav new/", "--out FOLDER"),
        ("encode a.wav b.wav -", "--out FOLDER"),
        ("encode a.wav b.wav missing.wav", "missing.wav: no such file"),
        ("encode a.wav d/a.wav --out out", "would both become out/a.dac"),
        ("encode a.wav d --out out", "would both become out/a.dac"),
        ("encode a.wav a.wav --out out", "would both become out/a.dac"),
        ("encode a.wav --out out.dac", "is to be a folder, and .dac is the name of a file"),
        ("encode a.wav --out -", "--out - is not a folder"),
        ("encode - --out out", "`audiocodec encode - OUTPUT`"),
        ("decode x.dac y.dac", "to decode both, write `audiocodec decode x.dac y.dac --out"),
        ("decode x.dac new.dac", r"call it new\.wav"),
        ("decode x.dac new.dac --format wav", r"call it new\.wav"),
        ("decode a.wav", "`audiocodec encode a.wav` makes one"),
        ("decode a.wav new.wav", "`audiocodec encode a.wav` makes one"),
        ("decode x.dac new.flac --format wav", r"name it new\.wav"),
        ("decode x.dac new.mp4 --format wav", r"name it new\.wav"),
        ("decode x.dac new.opus --format ogg", r"name it new\.ogg"),
        ("crop x.dac c.wav", r"call it c\.dac"),
        ("crop x.dac new/c.wav", r"call it new/c\.dac"),
        ("splice x.dac y.dac c.wav", r"call it c\.dac"),
        ("concat x.dac y.dac --out c.wav", r"call it c\.dac"),
        ("truncate x.dac c.wav --codebooks 1", r"call it c\.dac"),
        ("truncate x.dac x.dac --codebooks 1", "input and output at once"),
        ("export {model} --out {model} ", "input and output at once"),
        ("export {model} --out new.onnx", "is to be a folder"),
        ("tokenize a.wav --out new.parquet", "is to be a folder"),
        ("evaluate a.wav --out new.html", "is to be a folder"),
        ("evaluate d --out d/report", "name another --out"),
        ("evaluate --ratings a.json --out d --codebooks 1", "--codebooks: without effect"),
        ("train --data d --out new.wav", "is to be a folder"),
    ],
)
def test_operands_that_contradict_each_other_are_refused(recordings, model, line, words):
    """In one line, with the way to do it; --overwrite changes nothing, and nothing is written."""
    before = contents(recordings)
    arguments = line.format(model=model).split()
    own = ["--overwrite"] if arguments[0] not in ("tokenize", "evaluate", "train") else []
    own += ["--model", model] if arguments[0] in ("encode", "decode") else []
    with pytest.raises(CodecError, match=words) as caught:
        run([*arguments, *own])
    assert "\n" not in str(caught.value)
    assert contents(recordings) == before


def test_several_inputs_go_beside_themselves_or_to_a_folder(recordings, model):
    """Files and folders, with flags anywhere."""
    assert run(["encode", "--model", model, "a.wav", "b.wav", "c.wav"]) == 0
    assert run(["encode", "a.wav", "b.wav", "--out", "two", "--model", model]) == 0
    assert run(["encode", "--out", "one", "a.wav", "--model", model]) == 0
    assert run(["encode", "d", "b.wav", "--out", "mixed/", "--model", model]) == 0
    made = {name for name in contents(recordings) if name.endswith(".dac")}
    assert made == {
        *("a.dac", "b.dac", "c.dac", "two/a.dac", "two/b.dac", "one/a.dac"),
        *("mixed/a.dac", "mixed/b.dac", "x.dac", "y.dac"),
    }
    assert (
        run(["decode", "x.dac", "y.dac", "--out", "out", "--format", "flac", "--model", model]) == 0
    )
    assert sorted(os.listdir("out")) == ["x.flac", "y.flac"]


def test_codes_under_the_name_of_sound_can_be_decoded(recordings, model):
    """As an older release wrote them over a recording."""
    Path("x.dac").rename("codes.wav")
    assert run(["decode", "codes.wav", "new.wav", "--model", model]) == 0
    assert soundfile.info("new.wav").frames == 3000
    with pytest.raises(ArgumentError, match="input and output at once"):
        run(["decode", "codes.wav", "--model", model, "--overwrite"])


def test_python_refuses_such_names_too(recordings, small):
    """Whatever is in their place stays."""
    before = contents(recordings)
    sound = np.zeros(3000)
    for call in (
        lambda: small.compress("a.wav", "c.wav", overwrite=True),
        lambda: small.compress(sound, "c.flac", sample_rate=44100, overwrite=True),
        lambda: small.compress(sound, sample_rate=44100).save("c.wav", overwrite=True),
        lambda: small.decompress("x.dac", "y.dac", overwrite=True),
        lambda: small.decompress("x.dac", "y.dac", format="wav", overwrite=True),
        lambda: small.decompress("x.dac", "c.wav", format="flac", overwrite=True),
    ):
        with pytest.raises(ArgumentError):
            call()
    assert contents(recordings) == before
    small.decompress("x.dac", "new.wav", format="rf64")
    small.decompress("x.dac", "new", format="flac")
    small.compress("a.wav", "no suffix")


def test_suggested_commands_can_be_pasted(recordings):
    """Names with spaces are quoted in them."""
    for name in ("one sound.wav", "other sound.wav"):
        soundfile.write(name, np.zeros(100), 44100)
    with pytest.raises(ArgumentError, match=r"encode 'one sound\.wav' 'other sound\.wav' --out"):
        run(["encode", "one sound.wav", "other sound.wav"])
