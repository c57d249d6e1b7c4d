"""Reading: files, pipes and arrays give the same blocks, and hostile ones one clear line."""

import io
import os
import struct
import sys
import threading
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
import soundfile as sf
import torch

from audiocodec.audio import open_audio
from audiocodec.audio.sndfile import ErrorTrackingFile
from audiocodec.audio.source import BLOCK_SAMPLES
from audiocodec.errors import ArgumentError, AudioError

RATE = 44100


def noise(n_samples, channels=2, peak=0.5):
    rng = np.random.default_rng(n_samples)
    return rng.uniform(-peak, peak, (n_samples, channels)).astype(np.float32)


def read_all(source, sample_rate=None):
    with open_audio(source, sample_rate) as audio:
        return np.concatenate([np.empty((0, audio.channels), np.float32), *audio.blocks()])


def saved(path, samples, rate=RATE, **how):
    sf.write(path, samples, rate, **how)
    return path


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64", "rf64"])
def test_reads_what_soundfile_reads(tmp_path, kind):
    """Any format, in blocks, equals soundfile's own reading in one piece."""
    path = saved(tmp_path / f"a.{kind}", noise(150_000))
    assert np.array_equal(read_all(path), sf.read(path, dtype="float32", always_2d=True)[0])


def test_opus_is_read(tmp_path):
    """Ogg Opus, too."""
    path = saved(tmp_path / "a.ogg", noise(50_000), 48000, subtype="OPUS")
    assert read_all(path).shape == (50_000, 2)


def test_blocks_are_of_one_size_and_come_again(tmp_path):
    """All blocks but the last have BLOCK_SAMPLES, and a second reading is the first one."""
    with open_audio(saved(tmp_path / "a.flac", noise(2 * BLOCK_SAMPLES + 5))) as audio:
        first, second = list(audio.blocks()), list(audio.blocks())
    assert [len(block) for block in first] == [BLOCK_SAMPLES, BLOCK_SAMPLES, 5]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_reading_left_early_does_not_disturb_the_next(tmp_path):
    """A generator dropped after one block leaves the source usable from its start."""
    samples = noise(BLOCK_SAMPLES + 5)
    with open_audio(saved(tmp_path / "a.wav", samples, subtype="FLOAT")) as audio:
        next(audio.blocks())
        assert np.array_equal(np.concatenate(list(audio.blocks())), samples)


def test_a_file_object_is_read_from_its_start_and_left_open(tmp_path):
    """The caller's file object is neither closed nor read from where it happens to stand."""
    samples = noise(100)
    with open(saved(tmp_path / "a.wav", samples, subtype="FLOAT"), "rb") as file:
        file.seek(60)
        assert np.array_equal(read_all(file), samples)
        assert not file.closed


def test_a_pipe_can_be_read_twice(tmp_path):
    """A pipe is spooled, so loudness can be measured before encoding."""
    samples = noise(70_000)
    data = saved(tmp_path / "a.wav", samples, subtype="FLOAT").read_bytes()
    read_end, write_end = os.pipe()

    def feed():
        with os.fdopen(write_end, "wb") as sink:
            sink.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read_end, "rb") as pipe, open_audio(pipe) as audio:
        for _ in range(2):
            assert np.array_equal(np.concatenate(list(audio.blocks())), samples)
    feeder.join()


def test_a_named_pipe_can_be_read(tmp_path):
    """A path may be a pipe too, as in `encode <(another command)`."""
    samples = noise(1000)
    data = saved(tmp_path / "a.wav", samples, subtype="FLOAT").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    feeder.start()
    assert np.array_equal(read_all(tmp_path / "pipe"), samples)
    feeder.join()


def test_tags_come_with_the_file(tmp_path):
    """Title, artist and the like are copied, the name of the writing program is not."""
    with sf.SoundFile(tmp_path / "a.flac", "w", RATE, 1) as sound:
        sound.title, sound.artist, sound.software = "Ein Stück", "Jemand", "a program"
        sound.write(noise(10, 1))
    with open_audio(tmp_path / "a.flac") as audio:
        assert audio.tags == {"title": "Ein Stück", "artist": "Jemand"}


@pytest.mark.parametrize("channels", [1, 8])
def test_one_sample_is_enough(tmp_path, channels):
    """A file of a single sample is a file."""
    path = saved(tmp_path / "a.wav", noise(1, channels), subtype="FLOAT")
    assert np.array_equal(read_all(path), noise(1, channels))


def test_no_samples_are_no_blocks(tmp_path):
    """An empty signal yields nothing; the caller decides what that means."""
    assert len(read_all(saved(tmp_path / "a.wav", noise(0)))) == 0
    assert len(read_all(noise(0), RATE)) == 0


def test_an_odd_rate_is_kept(tmp_path):
    """Any rate in bounds is taken as it is."""
    with open_audio(saved(tmp_path / "a.wav", noise(10), 44101)) as audio:
        assert audio.sample_rate == 44101


@pytest.mark.parametrize(
    "array",
    [
        noise(70_000)[:, 0],
        noise(70_000),
        noise(140_000)[::2],
        np.asfortranarray(noise(100)),
        noise(100).astype(np.float64),
        noise(100).astype(">f4"),
    ],
)
def test_arrays_of_floats_are_taken_as_they_are(array):
    """One or two dimensions, any memory layout, any width of float."""
    assert np.array_equal(read_all(array, RATE), array.reshape(len(array), -1))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_whole_numbers_are_scaled_as_in_a_file(tmp_path, kind):
    """An array of integers sounds like the wav file that holds the same integers."""
    info = np.iinfo(kind)
    array = np.array([info.min, info.min + 1, info.max // 3, info.max], kind)
    subtype = {np.uint8: "PCM_U8", np.int16: "PCM_16", np.int32: "PCM_32"}[kind]
    shifted = (array.astype(np.int16) - 128) * 256 if kind == np.uint8 else array
    path = saved(
        tmp_path / "a.wav", shifted.astype(np.int16 if kind == np.uint8 else kind), subtype=subtype
    )
    assert np.array_equal(read_all(array, RATE), read_all(path))


@pytest.mark.parametrize("kind", ["i2", "i4", "f2", "f4", "f8"])
def test_numbers_of_any_byte_order_are_taken(kind):
    """As files of other machines have them."""
    array = (noise(100) * 1000).astype(f"<{kind}")
    assert np.array_equal(read_all(array.astype(f">{kind}"), RATE), read_all(array, RATE))


def test_tensors_are_taken_as_arrays():
    """With a gradient, too; what numpy cannot hold is refused in one line."""
    tensor = torch.from_numpy(noise(100)).requires_grad_()
    assert np.array_equal(read_all(tensor, RATE), noise(100))
    assert tensor.requires_grad
    for tensor in (torch.zeros(5, dtype=torch.bfloat16), torch.zeros(5, device="meta")):
        with pytest.raises(ArgumentError, match="nor an array of samples") as caught:
            open_audio(tensor, RATE)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [None, b"RIFF", bytearray(4)])
@pytest.mark.parametrize("rate", [None, RATE])
def test_what_is_neither_file_nor_samples_is_said(source, rate):
    """With what to give instead."""
    message = f"type {type(source).__name__}; give a path, a binary file object"
    with pytest.raises(ArgumentError, match=message):
        open_audio(source, rate)


def test_blocks_of_an_array_are_copies():
    """What is done to a block does not reach the caller's array."""
    array = noise(10)
    with open_audio(array, RATE) as audio:
        next(audio.blocks())[:] = 7
    assert np.array_equal(array, noise(10))


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_what_is_not_a_number_is_named_with_its_position(tmp_path, value, word):
    """File, sample, time and channel are in the message."""
    samples = noise(100_000)
    samples[88_200, 1] = value
    path = saved(tmp_path / "bad.wav", samples, subtype="FLOAT")
    message = rf"bad\.wav: {word} at sample 88200 \(2\.000 s\), channel 2 of 2"
    with pytest.raises(AudioError, match=message):
        read_all(path)


def test_a_double_beyond_all_floats_is_infinity():
    """What float32 cannot hold is reported, not warned about."""
    with pytest.raises(AudioError, match="infinity at sample 1 "):
        read_all(np.array([0.0, 1e300]), RATE)


def test_far_beyond_full_scale_is_allowed(tmp_path):
    """A float file may exceed full scale by any factor."""
    path = saved(tmp_path / "a.wav", noise(10) * 1e6, subtype="FLOAT")
    assert np.array_equal(read_all(path), noise(10) * np.float32(1e6))


@pytest.mark.parametrize(
    ("array", "rate", "message"),
    [
        (np.float32(1), RATE, r"shape \(\)"),
        (np.zeros((2, 3, 4)), RATE, r"\(n_samples, channels\)"),
        (np.zeros((2, 500)), RATE, "500 channels.*transpose"),
        (np.zeros((50, 9)), RATE, "9 channels"),
        (np.zeros((50, 0)), RATE, "0 channels"),
        (np.zeros(5, complex), RATE, "complex128"),
        (np.zeros(5, bool), RATE, "bool"),
        (np.zeros(5, np.int64), RATE, "int64"),
        (np.array(["a"]), RATE, "type <U1"),
        (object(), RATE, "object"),
        (np.zeros(5), None, "sample rate"),
        (np.zeros(5), 999, "999"),
        (np.zeros(5), 44100.5, r"44100\.5"),
        (np.zeros(5), 10**6, "1000000"),
    ],
)
def test_arrays_that_cannot_be_samples_are_refused(array, rate, message):
    """The message names what was found."""
    with pytest.raises(ArgumentError, match=message):
        open_audio(array, rate)


def test_a_file_takes_no_sample_rate(tmp_path):
    """A rate given for a file would be either redundant or wrong."""
    with pytest.raises(ArgumentError, match="its own sample rate"):
        open_audio(saved(tmp_path / "a.wav", noise(5)), RATE)


def test_a_text_file_object_is_refused(tmp_path):
    """Opened without 'b'."""
    path = saved(tmp_path / "a.wav", noise(5))
    with open(path, encoding="latin-1") as file, pytest.raises(ArgumentError, match="binary"):
        open_audio(file)


def test_text_in_other_file_objects_is_refused(tmp_path):
    """In memory, and in a wrapper that says nothing of itself."""
    with NamedTemporaryFile("w+", dir=tmp_path) as file:
        for text in (io.StringIO("RIFF"), file):
            with pytest.raises(ArgumentError, match="opened as text; open it in binary mode"):
                open_audio(text)


def test_file_objects_that_cannot_be_read_are_named(tmp_path):
    """Opened for writing, and closed."""
    message = r"a\.wav: cannot be read: not opened for reading"
    with open(tmp_path / "a.wav", "wb") as file, pytest.raises(AudioError, match=message):
        open_audio(file)
    with open(tmp_path / "a.wav", "rb") as file:
        pass
    with pytest.raises(AudioError, match=r"a\.wav: cannot be read: .*closed file"):
        open_audio(file)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.au", "a.raw", "a.gsm", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"only text\n" * 99, b"\x80\x02}q\x00." * 99])
def test_what_is_not_audio_is_refused_whatever_its_name(tmp_path, name, content):
    """Text does not turn into noise because of an extension."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=rf"{name}: cannot be read as audio .*formats that work"):
        open_audio(tmp_path / name)


def test_a_cut_flac_is_damaged(tmp_path):
    """A FLAC states its length, so an early end is an error that says where."""
    path = saved(tmp_path / "a.flac", noise(200_000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"a\.flac: cannot be read to its end.* s \(sample"):
        read_all(path)


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    """Encoders that write to a pipe leave the length 0."""
    data = bytearray(saved(tmp_path / "a.flac", noise(100_000)).read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert read_all(io.BytesIO(data)).shape == (100_000, 2)


def test_a_wav_with_a_lying_length_gives_what_is_there(tmp_path):
    """A header that promises more (as one written to a pipe does) is not believed."""
    path = saved(tmp_path / "a.wav", noise(1000))
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read_all(path)) == 1000


@pytest.mark.parametrize(
    ("offset", "form", "value", "message"),
    [
        (22, "<H", 9, "9 channels"),
        (22, "<H", 65535, "cannot be read|channels"),
        (24, "<I", 999, "999 Hz"),
        (24, "<I", 2**31 - 1, "2147483647 Hz"),
    ],
)
def test_absurd_headers_are_refused(tmp_path, offset, form, value, message):
    """Channels and rates out of bounds are named."""
    path = saved(tmp_path / "a.wav", noise(1000))
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, value)
    path.write_bytes(data)
    with pytest.raises(AudioError, match=message):
        read_all(path)


def test_files_that_cannot_be_opened_are_named(tmp_path):
    """Missing, and a folder."""
    with pytest.raises(AudioError, match=r"none\.wav: cannot be read: No such file"):
        open_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="cannot be read: Is a directory"):
        open_audio(tmp_path)
    with pytest.raises(AudioError, match="cannot be read"):
        open_audio("nul\0byte.wav")


class FailingFile(io.BytesIO):
    """A disk that fails after some reads."""

    name = "failing.wav"
    reads_left = 12
    failure: type[BaseException] = OSError

    def read(self, size=-1):
        self.reads_left -= 1
        if self.reads_left < 0:
            raise self.failure("no more")
        return super().read(size)


def test_a_failing_disk_is_not_an_early_end(tmp_path):
    """soundfile would print the error and end the audio there."""
    path = saved(tmp_path / "a.wav", noise(900_000))
    with pytest.raises(AudioError, match=r"failing\.wav: .*no more"):
        read_all(FailingFile(path.read_bytes()))


def test_ctrl_c_while_reading_gets_out(tmp_path):
    """An interrupt inside of libsndfile's callback stays an interrupt."""
    file = FailingFile(saved(tmp_path / "a.wav", noise(900_000)).read_bytes())
    file.failure = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        read_all(file)


@pytest.mark.parametrize("reads", [0, 12])
def test_ctrl_c_in_the_middle_of_a_callback_gets_out(tmp_path, monkeypatch, reads):
    """It may come in soundfile's own lines, before ours are called; soundfile would print it."""
    path = saved(tmp_path / "a.wav", noise(900_000))
    left, read, before = [reads], ErrorTrackingFile.read, sys.unraisablehook

    def interrupted(self, n_bytes):
        left[0] -= 1
        if left[0] == -1:
            raise KeyboardInterrupt
        return read(self, n_bytes)

    monkeypatch.setattr(ErrorTrackingFile, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_all(path)
    assert sys.unraisablehook is before


def test_the_name_of_a_path_is_the_path():
    """Messages call things what the caller called them."""
    path = Path(__file__).parents[1] / "data" / "golden_training" / "reference.wav"
    with open_audio(path) as audio:
        assert (audio.name, audio.sample_rate, audio.channels) == (str(path), 44100, 1)


class ShortReads(io.RawIOBase):
    """A raw file that hands out a little at a time, as a network file system may."""

    def __init__(self, raw, n_most):
        self._file, self._n_most = io.BytesIO(raw), n_most

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def readinto(self, buffer):
        return self._file.readinto(memoryview(buffer)[: self._n_most])


@pytest.mark.parametrize("n_most", [1, 1460, 4096])
@pytest.mark.parametrize(
    ("kind", "subtype"), [("wav", "PCM_24"), ("flac", "PCM_24"), ("ogg", "VORBIS"), ("mp3", None)]
)
def test_short_reads_are_read_on(tmp_path, n_most, kind, subtype):
    """A read may give fewer bytes than were asked for; more follow."""
    path = saved(tmp_path / f"a.{kind}", noise(3000), subtype=subtype)
    assert np.array_equal(read_all(ShortReads(path.read_bytes(), n_most)), read_all(path))


@pytest.mark.parametrize("given", [None, np.zeros(4, np.uint8), 7])
@pytest.mark.parametrize("is_pipe", [True, False])
def test_a_read_that_gives_no_bytes_is_said(given, is_pipe):
    """In a line, for a pipe and for a file that can be sought."""

    class Odd(io.BytesIO):
        name = "odd"

        def seekable(self):
            return not is_pipe

        def read(self, n_bytes=-1):
            return given

    with pytest.raises(AudioError, match=r"^odd: cannot be read: its read\(\) gives .*, not bytes"):
        read_all(Odd())


@pytest.mark.parametrize(
    "behind", [b"x", b"TAG" + bytes(125), bytes(10_000), b"\xff\xf8" * 50], ids=range(4)
)
@pytest.mark.parametrize("kind", ["flac", "wav", "aiff", "caf"])
def test_what_lies_behind_the_last_sample_does_no_harm(tmp_path, kind, behind):
    """All the sound that was promised is there."""
    path = saved(tmp_path / f"a.{kind}", noise(100_000))
    expected = read_all(path)
    path.write_bytes(path.read_bytes() + behind)
    samples = read_all(path)
    assert np.array_equal(samples, expected)


@pytest.mark.parametrize("kind", ["WAV", "W64", "AU", "AIFF"])
def test_lengths_of_2_to_the_63_are_not_sought(tmp_path, kind):
    """As ffmpeg writes them to a pipe."""
    raw = bytearray(saved(tmp_path / "a", noise(100_000), format=kind).read_bytes())
    size, n_bytes, order = {
        "WAV": (40, 4, "little"),
        "W64": (96, 8, "little"),
        "AU": (8, 4, "big"),
        "AIFF": (42, 4, "big"),
    }[kind]
    assert int.from_bytes(raw[size : size + n_bytes], order) in range(400_000, 400_100)
    raw[size : size + n_bytes] = b"\xff" * n_bytes
    assert len(read_all(io.BytesIO(raw))) == 100_000


@pytest.mark.parametrize("kind", ["wav", "flac", "aiff", "au", "caf", "w64", "rf64"])
def test_any_part_is_that_part_of_the_whole(tmp_path, kind):
    """From any sample to any other, in blocks of the usual size."""
    path = saved(tmp_path / f"a.{kind}", noise(150_000))
    whole = read_all(path)
    with open_audio(path) as audio:
        assert audio.n_samples == 150_000
        for start, stop in [(0, 0), (5, 5), (9, 3), (1, 70_000), (149_999, 10**9), (150_000, None)]:
            blocks = list(audio.blocks(start, stop))
            assert np.array_equal(np.concatenate([whole[:0], *blocks]), whole[start:stop])
            assert all(len(block) == BLOCK_SAMPLES for block in blocks[:-1])
        with pytest.raises(ArgumentError, match="no sample -1; the first one is 0"):
            next(audio.blocks(-1))


def test_parts_of_an_array_and_of_a_flac_of_unknown_length(tmp_path):
    """The one is cut, the other decoded from its start."""
    data = bytearray(saved(tmp_path / "a.flac", noise(100_000)).read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    whole = read_all(tmp_path / "a.flac")
    for source, rate, n_samples in ((io.BytesIO(data), None, None), (whole, RATE, 100_000)):
        with open_audio(source, rate) as audio:
            assert audio.n_samples == n_samples
            assert audio.length() == 100_000
            part = np.concatenate(list(audio.blocks(70_001, 99_000)))
            assert np.array_equal(part, whole[70_001:99_000])


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Stück".encode(), "Stück"),
        ("Stück für Élise".encode("latin-1"), "Stück für Élise"),
        ("Ärzte".encode("latin-1"), "Ärzte"),
        (b"Don\x92t", "Don\u2019t"),
        ("宇多田ヒカル 初恋".encode("cp932"), "宇多田ヒカル 初恋"),
    ],
)
def test_tags_need_not_be_utf_8(tmp_path, raw, text):
    """Those of WAV files, for instance, whose encoding nobody states."""
    raw += bytes(2 - len(raw) % 2)
    title = b"INFOINAM" + struct.pack("<I", len(raw)) + raw
    data = saved(tmp_path / "a.wav", noise(10)).read_bytes()
    data += b"LIST" + struct.pack("<I", len(title)) + title
    (tmp_path / "a.wav").write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    with open_audio(tmp_path / "a.wav") as audio:
        assert audio.tags == {"title": text}
