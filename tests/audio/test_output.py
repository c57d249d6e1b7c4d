"""Writing: by extension, whole or not at all, clipped and never wrapped."""

import gc
import io
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile as sf

from audiocodec.audio import audio_output, file_rate, open_audio, output, write_audio
from audiocodec.audio.sndfile import ErrorTrackingFile
from audiocodec.errors import ArgumentError, OutputError, OutputExists
from tests.conftest import Trickle

RATE = 44100


def noise(n_samples, channels=2, peak=0.5):
    rng = np.random.default_rng(n_samples)
    return rng.uniform(-peak, peak, (n_samples, channels)).astype(np.float32)


def read_back(file):
    return sf.read(file, dtype="float32", always_2d=True)[0]


@pytest.mark.parametrize("kind", ["wav", "flac", "aiff", "aif", "w64", "rf64", "caf", "au"])
def test_pcm_of_16_bits_is_the_default(tmp_path, kind):
    """Plain formats come back to half a step, and keep 8 channels."""
    path, samples = tmp_path / f"a.{kind}", noise(70_000, 8)
    write_audio(path, samples, RATE)
    assert sf.info(path).subtype == "PCM_16"
    assert np.abs(read_back(path) - samples).max() < 2**-15


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("ogg", "VORBIS", RATE),
        ("oga", "VORBIS", 44101),
        ("mp3", "MPEG_LAYER_III", RATE),
        ("opus", "OPUS", 48000),
    ],
)
def test_lossy_formats_keep_the_length(tmp_path, kind, subtype, rate):
    """As many samples as were written, of the same sound."""
    t = np.arange(100_000) / rate
    samples = np.stack([np.sin(440 * 2 * np.pi * t), np.sin(880 * 2 * np.pi * t)], 1) * 0.5
    write_audio(tmp_path / f"a.{kind}", samples, rate)
    assert sf.info(tmp_path / f"a.{kind}").subtype == subtype
    back = read_back(tmp_path / f"a.{kind}")
    assert back.shape == samples.shape
    assert np.abs(back - samples)[5000:-5000].max() < 0.1


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("wav", "float"),
        ("wav", "PCM_24"),
        ("wav", "PCM_U8"),
        ("flac", "PCM_24"),
        ("ogg", "OPUS"),
        ("wav", "ULAW"),
    ],
)
def test_the_subtype_can_be_chosen(tmp_path, kind, subtype):
    """In capital letters or small ones."""
    write_audio(tmp_path / f"a.{kind}", noise(1000), 48000, subtype=subtype)
    assert sf.info(tmp_path / f"a.{kind}").subtype == subtype.upper()


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_32"), ("wav", "ULAW"), ("au", "ALAW"), ("flac", "PCM_24")],
)
def test_beyond_full_scale_is_clipped_not_wrapped(tmp_path, kind, subtype):
    """A sample of 1.5 becomes the loudest one, not a negative one."""
    samples = np.array([[1.5], [-1.5], [300.0], [-300.0]])
    write_audio(tmp_path / f"a.{kind}", samples, RATE, subtype=subtype)
    assert np.abs(read_back(tmp_path / f"a.{kind}") - np.sign(samples)).max() < 0.03


def test_float_keeps_what_is_beyond_full_scale(tmp_path):
    """Nothing is clipped where nothing must be."""
    write_audio(tmp_path / "a.wav", np.array([1.5, -3.0]), RATE, subtype="FLOAT")
    assert read_back(tmp_path / "a.wav").tolist() == [[1.5], [-3.0]]


def test_blocks_of_any_size_make_the_same_file(tmp_path):
    """One long write (which crashes Ogg Vorbis in libsndfile) or many short ones."""
    samples = noise(300_000)
    write_audio(tmp_path / "whole.flac", samples, RATE)
    with audio_output(tmp_path / "parts.flac", RATE, 2) as out:
        for part in np.array_split(samples, 7):
            out.write(part)
    assert np.array_equal(read_back(tmp_path / "whole.flac"), read_back(tmp_path / "parts.flac"))
    write_audio(tmp_path / "whole.ogg", noise(2_000_000, 1), RATE)
    assert sf.info(tmp_path / "whole.ogg").frames == 2_000_000


@pytest.mark.parametrize(
    ("kind", "n_samples"),
    [("wav", 0), ("aiff", 0), ("ogg", 0), ("wav", 1), ("flac", 1), ("ogg", 1), ("mp3", 1)],
)
def test_short_signals_are_files_too(tmp_path, kind, n_samples):
    """Nothing, and a single sample."""
    write_audio(tmp_path / f"a.{kind}", noise(n_samples), RATE)
    assert len(read_back(tmp_path / f"a.{kind}")) == n_samples


@pytest.mark.parametrize("kind", ["flac", "mp3", "opus"])
def test_an_empty_signal_is_refused_where_the_file_would_be_unreadable(tmp_path, kind):
    """libsndfile would leave a file of 0 bytes, or one that it calls malformed."""
    with pytest.raises(OutputError, match=f"{kind.upper()} cannot hold an empty signal"):
        write_audio(tmp_path / f"a.{kind}", noise(0), 48000)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_not_changed():
    """Clipping does not reach the caller's array."""
    samples = noise(10, peak=3.0)
    write_audio(io.BytesIO(), samples, RATE)
    assert np.array_equal(samples, noise(10, peak=3.0))


def test_a_file_object_gets_wav_unless_told():
    """There is no extension to go by."""
    for format, expected in [(None, "WAV"), ("flac", "FLAC"), ("OGG", "OGG")]:
        file = io.BytesIO()
        write_audio(file, noise(1000), RATE, format=format)
        file.seek(0)
        assert sf.info(file).format == expected


def test_a_pipe_gets_the_whole_file():
    """Formats that go back to their header are made in a temporary file first."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as pipe:
        write_audio(pipe, noise(1000), RATE)
    with os.fdopen(read_end, "rb") as pipe:
        assert len(read_back(io.BytesIO(pipe.read()))) == 1000


def test_a_closed_pipe_is_an_output_error():
    """The reader went away."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with (
        pytest.raises(OutputError, match="cannot be written: Broken pipe"),
        os.fdopen(write_end, "wb", buffering=0) as pipe,
    ):
        write_audio(pipe, noise(1000), RATE)


def test_targets_that_cannot_be_written_are_named_before_the_work(tmp_path):
    """Opened for reading, closed, text, no file at all: nothing is decoded in vain."""
    (tmp_path / "a.wav").write_bytes(b"")
    with open(tmp_path / "a.wav", "rb") as file, pytest.raises(OutputError) as caught:
        write_and_fail(file)
    assert str(caught.value) == f"{tmp_path / 'a.wav'}: cannot be written: not opened for writing"
    with open(tmp_path / "a.wav", "wb") as file:
        pass
    with pytest.raises(OutputError, match=r"a\.wav: cannot be written: .*closed file"):
        write_and_fail(file)
    with pytest.raises(ArgumentError, match="<StringIO>: opened as text; open it in binary"):
        write_and_fail(io.StringIO())
    for target in (None, b"a.wav", 7):
        with pytest.raises(ArgumentError, match=f"type {type(target).__name__}; give a path"):
            write_and_fail(target)


def write_and_fail(target):
    with audio_output(target, RATE, 2, overwrite=True) as out:
        out.write(noise(1000))
        raise ZeroDivisionError


def test_nothing_appears_when_the_work_fails(tmp_path):
    """Neither a half file nor a temporary one; a file that was there stays."""
    (tmp_path / "old.wav").write_bytes(b"old")
    for name in ("new.wav", "old.wav", "new.ogg"):
        with pytest.raises(ZeroDivisionError):
            write_and_fail(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.wav"]
    assert (tmp_path / "old.wav").read_bytes() == b"old"


def test_a_file_object_gets_nothing_when_the_work_fails():
    """Whole or not at all holds for pipes too."""
    file = io.BytesIO()
    with pytest.raises(ZeroDivisionError):
        write_and_fail(file)
    assert file.getvalue() == b""


def test_no_file_is_overwritten_unless_asked(tmp_path):
    """The one that is there wins."""
    write_audio(tmp_path / "a.wav", noise(10), RATE)
    with pytest.raises(OutputExists):
        write_audio(tmp_path / "a.wav", noise(20), RATE)
    write_audio(tmp_path / "a.wav", noise(20), RATE, overwrite=True)
    assert sf.info(tmp_path / "a.wav").frames == 20


@pytest.mark.parametrize(
    ("name", "rate", "channels", "how", "message"),
    [
        ("a.xyz", RATE, 1, {}, "unknown sound format 'xyz'; use one of wav, flac"),
        ("a", RATE, 1, {}, "unknown sound format ''"),
        ("a.wav", RATE, 1, {"format": "avi"}, "unknown sound format 'avi'"),
        ("a.wav", RATE, 1, {"subtype": "VORBIS"}, "WAV has no subtype VORBIS; use .*PCM_24"),
        ("a.flac", RATE, 1, {"subtype": "FLOAT"}, "FLAC has no subtype FLOAT; use .*PCM_24"),
        ("a.opus", RATE, 1, {}, "OPUS cannot hold 1 channel.* 44100 Hz: .*48000"),
        ("a.mp3", 44101, 1, {}, "cannot hold 1 channel.* at 44101 Hz"),
        ("a.mp3", RATE, 8, {}, "cannot hold 8 channel"),
        ("a.flac", 768_000, 1, {}, "cannot hold 1 channel.* 768000 Hz"),
        ("a.ogg", 200_001, 1, {}, "Vorbis takes up to 200000 Hz"),
        ("a.wav", RATE, 9, {}, "9 channels"),
        ("a.wav", RATE, 0, {}, "0 channels"),
        ("a.wav", 0, 1, {}, "sample rate 0"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, name, rate, channels, how, message):
    """Found against allowed, before anything is left on the disk."""
    with (
        pytest.raises(ArgumentError, match=message),
        audio_output(tmp_path / name, rate, channels, **how),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("block", [np.zeros(5), np.zeros((5, 3)), np.zeros((5, 2), np.int16)])
def test_blocks_of_another_shape_are_refused(tmp_path, block):
    """One dimension, other channels, whole numbers."""
    with (
        pytest.raises(ArgumentError, match=r"not of floats \(n_samples, 2\)"),
        audio_output(tmp_path / "a.wav", RATE, 2) as out,
    ):
        out.write(block)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """So that it can be made."""
    with pytest.raises(OutputError, match="does not exist"):
        write_audio(tmp_path / "none" / "a.wav", noise(5), RATE)


def test_a_long_wav_is_written_as_rf64_when_its_length_is_known(tmp_path, monkeypatch):
    """Wav sizes have 32 bits; readers of wav know RF64."""
    monkeypatch.setattr(output, "MAX_BYTES", 4000)
    for n_samples, expected in [(1000, "WAV"), (1001, "RF64")]:
        path = tmp_path / f"{n_samples}.wav"
        write_audio(path, noise(n_samples), RATE)
        assert sf.info(path).format == expected
        assert len(read_back(path)) == n_samples


def test_a_wav_that_grows_too_long_is_an_error(tmp_path, monkeypatch):
    """Not a file with a wrapped length."""
    monkeypatch.setattr(output, "MAX_BYTES", 4000)
    with (
        pytest.raises(OutputError, match="ends at 4 GiB"),
        audio_output(tmp_path / "a.wav", RATE, 2) as out,
    ):
        out.write(noise(1001))
    assert list(tmp_path.iterdir()) == []


TAGGED = {"title": "Überfahrt 海", "artist": "someone", "date": "2021", "comment": "two\nlines"}


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3", "rf64", "caf"])
def test_tags_are_written_where_the_format_holds_them(tmp_path, kind):
    """In UTF-8, and beside all of the sound."""
    with audio_output(tmp_path / f"a.{kind}", 48000, 2, tags=TAGGED | {"mood": "calm"}) as out:
        out.write(noise(50_000))
    with open_audio(tmp_path / f"a.{kind}") as audio:
        assert audio.tags == TAGGED
        assert sum(len(block) for block in audio.blocks()) == 50_000


@pytest.mark.parametrize("kind", ["w64", "au", "aiff"])
def test_formats_that_hold_fewer_tags_are_written_all_the_same(tmp_path, kind):
    """Without those that they cannot hold."""
    with audio_output(tmp_path / f"a.{kind}", 48000, 2, tags=TAGGED) as out:
        out.write(noise(1000))
    with open_audio(tmp_path / f"a.{kind}") as audio:
        assert audio.tags.items() <= TAGGED.items()
    assert len(read_back(tmp_path / f"a.{kind}")) == 1000


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3"])
def test_tags_that_do_not_fit_are_left_out(tmp_path, kind):
    """A comment of 60 kB would make an Opus file that libsndfile cannot read."""
    tags = {"title": "a\0b", "comment": "x" * 60_000}
    with audio_output(tmp_path / f"a.{kind}", 48000, 2, tags=tags) as out:
        out.write(noise(1000))
    with open_audio(tmp_path / f"a.{kind}") as audio:
        assert audio.tags == {"title": "a b"}


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("channels", range(1, 9))
def test_ogg_files_get_their_own_order_of_channels(tmp_path, subtype, channels):
    """A reader that knows the order, as FFmpeg does, gives back that of WAVE."""
    t = np.arange(24_000) / 48000
    hertz = [60 if i == 3 and channels > 5 else 300 + 200 * i for i in range(channels)]  # 3: LFE
    samples = np.stack([0.3 * np.sin(2 * np.pi * f * t) for f in hertz], 1)
    write_audio(tmp_path / "a.ogg", samples, 48000, subtype=subtype)
    back = decoded_by_ffmpeg(tmp_path / "a.ogg", channels)
    spectra = np.abs(np.fft.rfft(back[:24_000], axis=0))
    assert np.allclose(spectra.argmax(axis=0) * 2, hertz, atol=4)


def decoded_by_ffmpeg(path, channels):
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.float32).reshape(-1, channels)


@pytest.mark.parametrize(
    ("name", "how", "rate", "expected"),
    [
        ("a.opus", {}, 44100, 48000),
        ("a.opus", {}, 96000, 48000),
        ("a.opus", {}, 16000, 16000),
        ("a.ogg", {"subtype": "opus"}, 22050, 48000),
        ("a.ogg", {}, 44100, 44100),
        ("a.wav", {}, 96000, 96000),
        (io.BytesIO(), {"format": "opus"}, 44100, 48000),
    ],
)
def test_opus_has_a_rate_of_its_own(name, how, rate, expected):
    """Unless it has that of the sound; other formats take what there is."""
    assert file_rate(name, rate, **{"subtype": None, "format": None} | how) == expected


def test_a_raw_file_that_takes_a_part_at_a_time_gets_all():
    """What is left is written again; what takes nothing is an error."""
    whole, trickle = io.BytesIO(), Trickle()
    for target in (whole, trickle):
        write_audio(target, noise(10_000), RATE)
    assert trickle.taken == whole.getvalue()
    with pytest.raises(OutputError, match="takes no more bytes; 20044 were left"):
        write_audio(Trickle(0), noise(10_000, 1), RATE)


def test_a_file_object_needs_only_write():
    """flush() is called where there is one."""

    class Sink:
        taken = b""

        def write(self, data):
            self.taken += data
            return len(data)

    whole, sink = io.BytesIO(), Sink()
    for target in (whole, sink):
        write_audio(target, noise(1000), RATE)
    assert sink.taken == whole.getvalue()


FULL_DISK = """
    import resource, sys
    import numpy as np
    from audiocodec.audio import audio_output
    from audiocodec.errors import OutputError
    path, limit = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (44100, 1))
    try:
        with audio_output(path, 44100, 1) as out:
            for _ in range(3):
                out.write(block)
    except OutputError as error:
        sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "caf"])
def test_a_full_disk_is_never_a_shorter_file(tmp_path, kind):
    """Early in the file, and in the last bytes, which libsndfile loses without a word."""
    path = tmp_path / f"a.{kind}"
    script = [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path)]
    subprocess.run([*script, str(2**30)], check=True)
    size = path.stat().st_size
    path.unlink()
    for limit in (size // 3, size - 1):
        done = subprocess.run([*script, str(limit)], capture_output=True, text=True, check=False)
        assert done.stderr.startswith(f"refused: {path}: cannot be written"), done.stderr
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize(("at", "once"), [(0, False), (1, True), (-1, True)])
def test_ctrl_c_in_the_middle_of_a_callback_gets_out(tmp_path, monkeypatch, name, once, at):
    """At whichever write it comes. No file is left, nor is one still open for Python to close."""
    n_calls, interrupted_at, write = 0, -1, ErrorTrackingFile.write

    def counted(self, data):
        nonlocal n_calls
        n_calls += 1
        if 0 <= interrupted_at < n_calls and (not once or n_calls == interrupted_at + 1):
            raise KeyboardInterrupt
        return write(self, data)

    def written():
        with audio_output(tmp_path / name, 8000, 1) as output:
            output.write(noise(100_000, 1))

    monkeypatch.setattr(ErrorTrackingFile, "write", counted)
    written()
    (tmp_path / name).unlink()
    n_calls, interrupted_at = 0, at % n_calls
    with pytest.raises(KeyboardInterrupt):
        written()
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_takes_little_at_a_time_gets_all():
    """A raw file may; nothing is lost between its answers."""

    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(data[:1460])

    slow, whole = Slow(), io.BytesIO()
    samples = np.linspace(-1, 1, 5000)
    for target in (slow, whole):
        write_audio(target, samples, 8000)
    assert slow.getvalue() == whole.getvalue()
