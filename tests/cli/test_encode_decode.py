"""`audiocodec encode` and `decode`, run in this process."""

import io
import json
import os
import resource
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audiocodec import DacFile
from audiocodec.cli import run
from audiocodec.cli.loading import loaded
from audiocodec.errors import ArgumentError, CodecError, ModelError, OutputError, OutputExists


def names_below(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_there_and_back(here, model, make_sound, capsys):
    """Names follow the input; the sound has its length and rate; nothing is printed."""
    make_sound("my söng.wav", 5000)
    assert run(["encode", "my söng.wav", "--model", model]) == 0
    assert run(["decode", "--model", model, "my söng.dac", "out.flac", "--subtype", "PCM_24"]) == 0
    assert soundfile.info("out.flac").frames == 5000
    assert soundfile.info("out.flac").subtype == "PCM_24"
    assert names_below(here) == {"my söng.wav", "my söng.dac", "out.flac"}
    assert capsys.readouterr() == ("", "")


def test_a_recording_that_is_cut_is_encoded_and_told_of(here, model, make_sound, capsys):
    """In one line; what is there is used."""
    path = make_sound("cut.wav", 44100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert run(["encode", "cut.wav", "--model", model]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cut.wav: its header promises 1.0 s, there are 0.5 s" in said


def test_names_that_begin_with_a_dash(here, model, make_sound):
    """Come after two dashes."""
    make_sound("-a.wav")
    assert run(["encode", "--model", model, "--", "-a.wav"]) == 0
    assert run(["decode", "--model", model, "--", "-a.dac", "-b.wav"]) == 0
    assert names_below(here) == {"-a.wav", "-a.dac", "-b.wav"}


def test_flags_reach_the_codec(here, model, make_sound, capsys):
    """Codebooks, bit rate, level, part of the time, format."""
    make_sound("a.wav", 44100)
    for name, *flags in (
        ("c.dac", "--codebooks", "3"),
        ("b.dac", "--bitrate", "2"),
        ("n.dac", "--no-normalize"),
        ("all.dac", "--bitrate", "inf"),
    ):
        assert run(["encode", "a.wav", name, "--model", model, *flags]) == 0
    facts = {}
    for name in ("c", "b", "n", "all"):
        assert run(["info", "--json", f"{name}.dac"]) == 0
        facts[name] = json.loads(capsys.readouterr().out)
    assert [facts[name]["n_codebooks"] for name in ("c", "b", "n", "all")] == [3, 2, 9, 9]
    assert facts["n"]["gain_db"] == 0.0 != facts["c"]["gain_db"]
    part = ["--start", "0.25", "--duration", "0.5", "--codebooks", "1", "--format", "w64"]
    assert run(["decode", "c.dac", "--model", model, *part]) == 0
    assert soundfile.info("c.w64").frames == 22050


def test_decode_writes_at_another_rate(here, model, make_sound):
    """As requested; Opus, which has no 44.1 kHz, by itself."""
    make_sound("a.wav", 4410)
    assert run(["encode", "a.wav", "--model", model]) == 0
    for output, *flags in (("a.opus",), ("a.mp3", "--rate", "32000"), ("b.wav", "--rate", "8000")):
        assert run(["decode", "a.dac", output, "--model", model, *flags]) == 0
    assert soundfile.info("a.opus").samplerate == 48000
    assert soundfile.info("a.mp3").samplerate == 32000
    assert soundfile.info("b.wav").frames == 800
    with pytest.raises(ArgumentError, match="sample rate 7"):
        run(["decode", "a.dac", "c.wav", "--model", model, "--rate", "7"])


def test_a_folder_with_a_bad_file(here, model, make_sound, capsys):
    """The others are done, names that would collide are kept apart, and lead back."""
    make_sound("in/a.wav")
    make_sound("in/a.flac")
    make_sound("in/sub/b.ogg")
    (here / "in" / "bad.wav").write_text("no audio")
    assert run(["encode", "in", "dac", "--model", model]) == 1
    assert names_below(here / "dac") == {"a.wav.dac", "a.flac.dac", "sub/b.dac"}
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("audiocodec: in/bad.wav: ")
    assert last == "audiocodec: 1 of 4 files failed"
    assert run(["decode", "dac", "out", "--model", model]) == 0
    assert names_below(here / "out") == {"a.wav", "a.flac.wav", "sub/b.wav"}


def test_nothing_is_overwritten_unless_asked(here, model, make_sound):
    """Not the output, and never the input."""
    make_sound("a.wav")
    (here / "a.dac").write_text("precious")
    with pytest.raises(OutputExists, match="--overwrite"):
        run(["encode", "a.wav", "--model", model])
    assert (here / "a.dac").read_text() == "precious"
    assert run(["encode", "a.wav", "--model", model, "--overwrite"]) == 0
    with pytest.raises(ArgumentError, match="input and output at once"):
        run(["encode", "a.wav", "./a.wav", "--model", model, "--overwrite"])
    assert run(["info", "a.dac"]) == 0


def test_a_damaged_file_is_recovered_when_asked(here, model, make_sound, capsys):
    """Silence replaces what is lost, which is reported; without --recover it is an error."""
    make_sound("a.wav", 60 * 1024 * 10)
    assert run(["encode", "a.wav", "--model", model]) == 0
    raw = bytearray((here / "a.dac").read_bytes())
    raw[len(raw) // 2] ^= 1
    (here / "a.dac").write_bytes(raw)
    with pytest.raises(CodecError, match="--recover"):
        run(["decode", "a.dac", "out.wav", "--model", model])
    assert names_below(here) == {"a.wav", "a.dac"}
    assert run(["decode", "a.dac", "out.wav", "--model", model, "--recover"]) == 0
    assert "is lost; silence stands in its place" in capsys.readouterr().err
    sound, _ = soundfile.read("out.wav")
    assert len(sound) == 60 * 1024 * 10
    assert (np.abs(sound[len(sound) // 2 :][:1000]) == 0).all()


def test_a_file_must_say_its_model_or_the_user(here, model, make_sound, data):
    """A file's word alone fetches nothing that has no name here."""
    make_sound("a.wav")
    assert run(["encode", "a.wav", "--model", model]) == 0
    with pytest.raises(CodecError, match="made with model 'small', which is not a known name"):
        run(["decode", "a.dac", "out.wav"])
    with pytest.raises(CodecError, match="published files do not say which model made them"):
        run(["decode", str(data / "published" / "dac_44khz_small_short.dac"), "out.wav"])


def test_a_wrong_model_or_device_stops_a_folder_at_once(here, model, make_sound):
    """Instead of failing for every file."""
    make_sound("in/a.wav")
    make_sound("in/b.wav")
    with pytest.raises(ModelError, match="no-such-model"):
        run(["encode", "in", "--model", "no-such-model"])
    with pytest.raises(ModelError, match="gpu"):
        run(["encode", "in", "--model", model, "--device", "gpu"])


@pytest.mark.parametrize(
    "flags",
    [
        ["--codebooks", "10"],
        ["--codebooks", "-1"],
        ["--bitrate", "0.5"],
        ["--bitrate", "nan"],
        ["--codebooks", "2", "--bitrate", "4"],
        ["--jobs", "0"],
        ["--model", ""],
        ["--revision", "main"],
        ["--revision", "main", "--model", "tiny_44khz"],
    ],
)
def test_wrong_values_are_refused(here, model, make_sound, flags):
    """And leave nothing behind."""
    make_sound("a.wav")
    with pytest.raises(CodecError):
        run(["encode", "a.wav", "--model", model, *flags])
    assert names_below(here) == {"a.wav"}


def test_settings_without_effect_are_refused(here, model, make_sound):
    """More codebooks than a file has; the revision of a model that has none."""
    make_sound("a.wav")
    assert run(["encode", "a.wav", "--model", model, "--codebooks", "3"]) == 0
    with pytest.raises(ArgumentError, match="4 codebooks; the file has 1 to 3"):
        run(["decode", "a.dac", "b.wav", "--model", model, "--codebooks", "4"])
    with pytest.raises(ArgumentError, match="only models on the hub have revisions"):
        run(["decode", "a.dac", "b.wav", "--model", model, "--revision", "main"])
    file = DacFile.load("a.dac")
    DacFile(replace(file.header, model="tiny_44khz"), file.codes).save("c.dac")
    with pytest.raises(ArgumentError, match="tiny_44khz is built in; only models on the hub"):
        run(["decode", "c.dac", "b.wav", "--revision", "main"])
    assert names_below(here) == {"a.wav", "a.dac", "c.dac"}


def test_a_named_pipe_is_written_and_stays(here, model, make_sound):
    """Sound and codes, without --overwrite too; a link leads on to its file."""
    make_sound("a.wav")
    (here / "a.dac").symlink_to("real.dac")
    assert run(["encode", "a.wav", "--model", model]) == 0
    for command, name in (("encode", "a.wav"), ("decode", "a.dac")):
        pipe = here / f"pipe.{'dac' if command == 'encode' else 'wav'}"
        os.mkfifo(pipe)
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            assert run([command, name, str(pipe), "--model", model]) == 0
            content, _ = reader.communicate(timeout=60)
        assert pipe.is_fifo()
        if command == "encode":
            assert content == (here / "real.dac").read_bytes()
        else:
            assert soundfile.info(io.BytesIO(content)).frames == 3000


def test_places_that_cannot_be_written(here, model, make_sound):
    """A file where a folder should be; a disk that is full."""
    make_sound("a.wav", 200_000)
    with pytest.raises(OutputError, match=r"a\.wav.*cannot be made"):
        run(["encode", "a.wav", "a.wav/sub/a.dac", "--model", model])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"a\.dac: cannot be written"):
            run(["encode", "a.wav", "--model", model])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names_below(here) == {"a.wav"}


def test_the_model_is_loaded_once(here, model, make_sound):
    """However many files follow."""
    make_sound("in/a.wav")
    make_sound("in/b.wav")
    before = loaded.cache_info().misses
    assert run(["encode", "in", "--model", model, "--fast"]) == 0
    assert loaded.cache_info().misses == before + 1


def test_a_track_of_a_video_is_encoded(here, model, capsys):
    """Its first one, or that which is asked for; the tags go along."""
    sound = ["-f", "lavfi", "-i", "sine=440:d=1:r=44100", "-f", "lavfi", "-i", "sine=880:d=0.5"]
    maps = ["-map", "0:a", "-map", "1:a", "-metadata", "title=Überfahrt"]
    subprocess.run(["ffmpeg", "-v", "error", *sound, *maps, "a.mkv"], check=True)
    for track, n_samples in (("0", 45056), ("1", 45056), ("2", 23552)):
        flags = ["--track", track, "--overwrite"]
        assert run(["encode", "a.mkv", "a.dac", "--model", model, *flags]) == 0
        header = DacFile.load("a.dac").header
        assert abs(header.n_samples - n_samples) < 2048
        assert header.tags == {"title": "Überfahrt"}
    with pytest.raises(CodecError, match=r"a\.mkv: has 2 audio track\(s\), no number 3"):
        run(["encode", "a.mkv", "b.dac", "--model", model, "--track", "3"])
    assert capsys.readouterr() == ("", "")
