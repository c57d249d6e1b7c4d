"""What libsndfile does not read, through PyAV: as ffmpeg decodes it, to the sample, and safely."""

import io
import struct
import subprocess
import sys
import tracemalloc
import warnings
from contextlib import suppress

import numpy as np
import pytest
import soundfile as sf

from audiocodec.audio import CutAudioWarning, open_audio
from audiocodec.audio import formats as formats_module
from audiocodec.audio import open as open_module
from audiocodec.audio.pyav import DECODERS
from audiocodec.audio.pyav_reader import open_pyav
from audiocodec.errors import ArgumentError, AudioError

N_SAMPLES = 100_003
# name, what makes it, its rate, and samples beyond those that went in: padding that nothing tells
FILES = [
    ("a.m4a", ["-c:a", "aac"], 44100, 0),
    ("alac.m4a", ["-c:a", "alac"], 44100, 0),
    ("flac.mp4", ["-c:a", "flac", "-strict", "-2"], 44100, 0),
    ("opus.mp4", ["-c:a", "libopus", "-strict", "-2"], 48000, 0),
    ("a.mov", ["-c:a", "pcm_s24be"], 44100, 0),
    ("fragments.mp4", ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"], 44100, 1024),
    ("a.aac", ["-c:a", "aac"], 44100, 1373),
    ("a.webm", ["-c:a", "libopus"], 48000, 0),
    ("vorbis.webm", ["-c:a", "libvorbis"], 44100, 93),
    ("a.mka", ["-c:a", "aac"], 44100, 1373),
    ("flac.mka", ["-c:a", "flac"], 44100, 0),
    ("a.wma", ["-c:a", "wmav2"], 44100, None),
    ("flac.ogg", ["-c:a", "flac"], 44100, 0),
    ("a.ac3", ["-c:a", "ac3"], 44100, 1373),
    ("a.flv", ["-c:a", "aac"], 44100, 1373),
    ("a.avi", ["-c:a", "pcm_s16le"], 44100, 0),
    ("a.wv", ["-c:a", "wavpack"], 44100, 0),
    ("a.tta", ["-c:a", "tta"], 44100, 0),
    ("a.ts", ["-c:a", "aac", "-f", "mpegts"], 44100, 1373),
]
RATES = {name: rate for name, _, rate, _ in FILES}
INPUT = ["ffmpeg", "-v", "error", "-y"]


def sweep(n_samples, rate):
    """Two channels: a rising tone, and noise."""
    t = np.arange(n_samples) / rate
    noise = np.random.default_rng(0).normal(0, 0.05, n_samples)
    return np.stack([0.4 * np.sin(2 * np.pi * (200 + 150 * t) * t), noise], 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the sound that is encoded, at both rates."""
    path = tmp_path_factory.mktemp("pyav")
    for rate in (44100, 48000):
        sf.write(path / f"{rate}.wav", sweep(N_SAMPLES, rate), rate)
        sf.write(path / f"long{rate}.wav", sweep(12 * rate + 77, rate), rate)
    return path


@pytest.fixture(scope="module")
def encoded(folder):
    """Encode the sound by ffmpeg; gives the path. Once for each name."""

    def made(name, options, rate, long=False, source=()):
        path = folder / f"{'long-' if long else ''}{name}"
        wav = folder / f"{'long' if long else ''}{rate}.wav"
        if not path.exists():
            subprocess.run([*INPUT, "-i", wav, *source, *options, path], check=True)
        return path

    return made


def by_ffmpeg(path, track=0):
    """Samples as `ffmpeg -i` gives them."""
    channels = 2
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", f"0:a:{track}", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.float32).reshape(-1, channels)


def samples_of(audio, *span):
    blocks = list(audio.blocks(*span))
    return np.concatenate(blocks) if blocks else np.zeros((0, audio.channels), np.float32)


def read(source, **how):
    with open_audio(source, **how) as audio:
        return samples_of(audio)


@pytest.mark.parametrize(("name", "options", "rate", "padding"), FILES)
def test_the_samples_are_those_of_ffmpeg(encoded, name, options, rate, padding):
    """Without the delay and the padding of the encoder, as far as the file tells them."""
    path = encoded(name, options, rate)
    with open_audio(path) as audio:
        assert (audio.sample_rate, audio.channels) == (rate, 2)
        assert audio.speakers in ((), ("FL", "FR"))
        samples = samples_of(audio)
    expected = by_ffmpeg(path)
    assert len(samples) == (len(expected) if padding is None else N_SAMPLES + padding)
    assert 0 <= len(expected) - len(samples) < 2048
    np.testing.assert_allclose(samples, expected[: len(samples)], atol=1e-6, rtol=0)


def test_an_edit_list_says_where_the_sound_begins_and_ends(encoded):
    """As players have it: from 0.5 s, 1 s of it; whole units of the movie's clock, 1/44100 s."""
    cut = ["-c:a", "aac", "-movie_timescale", "44100"]
    path = encoded("edited.m4a", cut, 44100, source=["-t", "1.00001"])
    assert len(read(path)) == 44100
    raw = bytearray(path.read_bytes())
    place = raw.index(b"elst") + 12  # of its only entry: duration, start
    duration, start = struct.unpack_from(">II", raw, place)
    struct.pack_into(">II", raw, place, 22_050, start + 11_025)
    edited = read(io.BytesIO(raw))
    assert duration == 44100
    assert len(edited) == 22_050
    np.testing.assert_allclose(edited, read(path)[11_025:33_075], atol=1e-6, rtol=0)


SEEKABLE = [
    "a.m4a",
    "alac.m4a",
    "opus.mp4",
    "fragments.mp4",
    "a.webm",
    "a.mka",
    "flac.mka",
    "a.flv",
]


@pytest.mark.parametrize("name", [*SEEKABLE, "flac.ogg", "vorbis.webm", "a.aac"])
def test_a_part_is_the_same_part_of_the_whole(encoded, name, monkeypatch):
    """To the sample, wherever it begins; containers with an index are not decoded up to it."""
    options = [*next(made for other, made, *_ in FILES if other == name), "-b:a", "160k"]
    if "aac" in options:
        options += ["-aac_pns", "0"]  # the decoder would fill in other noise
    path = encoded(name, options, RATES[name], long=True)
    with open_audio(path) as audio:
        whole, rate = samples_of(audio), audio.sample_rate
        for start in (0, 1, rate, 6 * rate + 123, len(whole) - 3000, len(whole) - 1):
            part = samples_of(audio, start, start + 2500)
            np.testing.assert_allclose(part, whole[start : start + 2500], atol=1e-5, rtol=0)
        for start in (len(whole), len(whole) + 10**6):
            assert len(samples_of(audio, start)) == 0
        if name in SEEKABLE:
            monkeypatch.setattr(audio._read, "_pieces", decoding_little(audio._read._pieces))
            assert len(samples_of(audio, 9 * rate, 9 * rate + 10)) == 10


def decoding_little(pieces):
    """Fails where more than half a second is decoded ahead of what is wanted."""

    def watched(track, frames, position, damage):
        assert position > 8 * 44100
        return pieces(track, frames, position, damage)

    return watched


def test_file_objects_and_pipes_are_read_too(encoded):
    """From their start, and again; the caller's stays open."""
    path = encoded(*FILES[0][:3])
    with open(path, "rb") as file:
        file.seek(1000)
        with open_audio(file) as audio:
            assert len(samples_of(audio)) == len(samples_of(audio)) == N_SAMPLES
        assert not file.closed
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
        assert np.array_equal(read(cat.stdout), read(path))


def test_tags_are_read(encoded):
    """By the names that other formats have them under."""
    tags = ["-metadata", "title=Überfahrt", "-metadata", "artist=someone", "-metadata", "track=3"]
    for name in ("tagged.m4a", "tagged.mka"):
        with open_audio(encoded(name, ["-c:a", "aac", *tags], 44100)) as audio:
            expected = {"title": "Überfahrt", "artist": "someone", "tracknumber": "3"}
            assert audio.tags == expected


def test_the_first_audio_track_of_a_video_or_another(folder):
    """Counted from 1; what is not there is named."""
    path = folder / "video.mp4"
    command = [*INPUT, "-f", "lavfi", "-i", "testsrc=d=2:s=64x64:r=10", "-i", folder / "44100.wav"]
    command += ["-f", "lavfi", "-i", "sine=440:d=1:r=44100", "-map", "0:v", "-map", "1:a"]
    subprocess.run([*command, "-map", "2:a", "-ac", "2", "-c:a", "aac", path], check=True)
    for track in (None, 1, 2):
        samples = read(path, track=track)
        expected = by_ffmpeg(path, (track or 1) - 1)[: len(samples)]
        assert len(samples) == (44100 if track == 2 else N_SAMPLES)
        np.testing.assert_allclose(samples, expected, atol=1e-6, rtol=0)
    with pytest.raises(AudioError, match=r"video\.mp4: has 2 audio track\(s\), no number 3"):
        open_audio(path, track=3)
    with pytest.raises(AudioError, match=r"44100\.wav: has 1 audio track\(s\), no number 2"):
        open_audio(folder / "44100.wav", track=2)
    with pytest.raises(ArgumentError, match="track 0"):
        open_audio(path, track=0)
    silent = folder / "silent.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=10"]
    subprocess.run([*INPUT, *source, silent], check=True)
    with pytest.raises(AudioError, match="has no audio track"):
        open_audio(silent)


def test_channels_come_in_the_order_of_wave(folder):
    """FFmpeg's own; AAC has the centre first."""
    hertz = [300, 500, 700, 60, 1100, 1300]
    t = np.arange(48_000) / 48000
    tones = np.stack([0.3 * np.sin(2 * np.pi * f * t) for f in hertz], 1)
    sf.write(folder / "six.wav", tones, 48000)
    path = folder / "six.m4a"
    layout = ["-channel_layout", "5.1", "-i", folder / "six.wav"]
    subprocess.run([*INPUT, *layout, "-c:a", "aac", path], check=True)
    with open_audio(path) as audio:
        assert audio.speakers == ("FL", "FR", "FC", "LFE", "BL", "BR")
        spectra = np.abs(np.fft.rfft(samples_of(audio)[:48_000], axis=0))
    assert np.allclose(spectra.argmax(axis=0), hertz, atol=2)


# Sound that is missing


@pytest.mark.parametrize("name", ["a.webm", "flac.mka", "a.wv"])
def test_a_file_that_is_cut_is_read_as_far_as_it_goes_and_told(encoded, name):
    """Once, however often it is read."""
    options, rate = next((made, rate) for other, made, rate, _ in FILES if other == name)
    raw = encoded(name, options, rate).read_bytes()
    audio = open_audio(io.BytesIO(raw[: len(raw) // 2]))
    with pytest.warns(CutAudioWarning, match=r"missing at the end; what is there is used"):
        n_samples = len(samples_of(audio))
    assert 0.3 * N_SAMPLES < n_samples < 0.7 * N_SAMPLES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(samples_of(audio)) == n_samples


def test_a_flac_in_ogg_that_is_cut_between_two_pages_is_told(encoded):
    """Its header need not say how long it is; the last page says that it is the last."""
    options = ["-c:a", "flac", "-page_duration", "100000"]
    whole = encoded("cut.oga", options, 44100).read_bytes()
    with pytest.warns(CutAudioWarning, match="is cut off: the last page is not there"):
        samples = read(io.BytesIO(whole[: whole.rindex(b"OggS")]))
    assert 0 < len(samples) < len(read(io.BytesIO(whole)))


@pytest.mark.parametrize("codec", ["pcm_s16le", "mp3"])
def test_a_cut_avi_is_told(encoded, codec):
    """FFmpeg's length shrinks with the file; its RIFF chunk still has the whole one."""
    whole = encoded(f"{codec}.avi", ["-c:a", codec], 44100).read_bytes()
    n_left = len(whole) // 2
    with pytest.warns(CutAudioWarning, match=f"is cut off: {len(whole) - n_left} bytes are miss"):
        samples = read(io.BytesIO(whole[:n_left]))
    assert 0.3 * N_SAMPLES < len(samples) < 0.7 * N_SAMPLES


@pytest.mark.parametrize("size", [bytes(4), b"\xff\xff\xff\xff"])
def test_an_avi_without_length_is_not_called_cut(encoded, size):
    """As ffmpeg writes it to a pipe."""
    whole = encoded(*next(one for one in FILES if one[0] == "a.avi")[:3]).read_bytes()
    assert len(read(io.BytesIO(whole[:4] + size + whole[8:]))) == N_SAMPLES


def test_an_mp4_without_its_end_says_so(encoded):
    """What tells where the sound is comes last, unless the file is made for streaming."""
    raw = encoded(*FILES[0][:3]).read_bytes()
    with pytest.raises(AudioError, match=r"cut short: its index \(moov\)"):
        open_audio(io.BytesIO(raw[: len(raw) // 2]))
    quick = encoded("quick.m4a", ["-c:a", "aac", "-movflags", "faststart"], 44100).read_bytes()
    with pytest.warns(CutAudioWarning, match=r"1\.\d s missing at the end"):
        assert 0 < len(read(io.BytesIO(quick[: len(quick) // 2]))) < N_SAMPLES


def test_a_hole_in_the_middle_is_told(encoded):
    """Where it is not filled, what follows moves up."""
    raw = encoded(*next(one for one in FILES if one[0] == "a.webm")[:3], long=True).read_bytes()
    third = len(raw) // 3
    with pytest.warns(CutAudioWarning, match=r"\d\.\d+ s missing in 1 places"):
        n_samples = len(read(io.BytesIO(raw[:third] + bytes(third) + raw[2 * third :])))
    assert 0 < n_samples < 12 * 48000


# Files made to do harm


def test_nothing_is_opened_that_a_file_names(folder):
    """Playlists and their like are no sound files, whatever they are called."""
    victim = folder / "44100.wav"
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{victim}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {victim}\n",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
        f"<?xml version='1.0'?><MPD><BaseURL>file://{victim}</BaseURL></MPD>",
    ]
    for text in lists:
        for name in ("list.m3u8", "list.m4a", "list.wav"):
            path = folder / name
            path.write_text(text)
            with pytest.raises(AudioError, match="cannot be read as audio"):
                open_audio(path)


def box(kind, content):
    return struct.pack(">I4s", len(content) + 8, kind) + content


def movie(table):
    """An MP4 file with one table of samples."""
    stbl = box(b"stbl", table)
    track = box(b"trak", box(b"mdia", box(b"minf", stbl)))
    return box(b"ftyp", b"M4A \0\0\0\0") + box(b"moov", track)


@pytest.mark.parametrize(
    "table",
    [
        box(b"stsz", struct.pack(">III", 0, 1, 500_000_000)),
        box(b"stts", struct.pack(">IIII", 0, 1, 500_000_000, 1)),
    ],
)
def test_samples_that_a_file_only_declares_take_no_memory(table):
    """FFmpeg would make an entry for each."""
    with pytest.raises(AudioError, match=r"declares 500000000 packets but has only \d+ bytes"):
        open_audio(io.BytesIO(movie(table)))


def caf(speakers, n_samples=5000):
    """A file that names the speaker of each channel."""
    n = len(speakers)
    pcm = np.arange(n * n_samples, dtype=">i2").tobytes()
    head = struct.pack(">d4sIIIII", 44100.0, b"lpcm", 0, 2 * n, 1, n, 16)
    named = b"".join(struct.pack(">II12x", speaker, 0) for speaker in speakers)
    chunks = [(b"desc", head), (b"chan", struct.pack(">III", 0, 0, n) + named)]
    chunks.append((b"data", bytes(4) + pcm))
    return b"caff\0\1\0\0" + b"".join(
        kind + struct.pack(">q", len(content)) + content for kind, content in chunks
    )


def test_speakers_in_any_order_do_not_crash_the_process(tmp_path, run_twice):
    """PyAV 18 frees such a list twice."""
    for speakers in ([2, 1], [2, 1, 3, 3]):
        (tmp_path / "a.caf").write_bytes(caf(speakers))
        assert run_twice(tmp_path / "a.caf") == f"{len(speakers)} 5000\n"


@pytest.fixture
def run_twice():
    """Read a file by PyAV in a process of its own; gives channels and samples."""
    script = """
import gc, sys
from audiocodec.audio.pyav_reader import open_pyav
for _ in range(2):
    with open(sys.argv[1], "rb") as file:
        audio = open_pyav(file, "a")
        n_samples = sum(len(block) for block in audio.blocks())
    gc.collect()
print(audio.channels, n_samples)
"""

    def ran(path):
        command = [sys.executable, "-c", script, path]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return ran


@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.aac", "a.ts", "flac.mka", "fragments.mp4"])
def test_damaged_files_give_sound_or_an_error(encoded, name, capfd):
    """Bytes changed, cut out and added at random; FFmpeg says nothing on standard error."""
    raw = encoded(*next(one for one in FILES if one[0] == name)[:3]).read_bytes()
    rng = np.random.default_rng(len(name))
    for _ in range(15):
        damaged = bytearray(raw)
        for place in rng.integers(0, len(raw), rng.choice([1, 5, 50])):
            damaged[place] = rng.integers(256)
        start = int(rng.integers(len(raw)))
        del damaged[start : start + int(rng.choice([0, 1000]))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CutAudioWarning)
            with suppress(AudioError):
                assert read(io.BytesIO(damaged)).shape[1] in range(1, 9)
    assert capfd.readouterr() == ("", "")


def test_other_files_are_not_taken_for_sound():
    """Noise, text, pictures: FFmpeg would find some sound in almost anything."""
    rng = np.random.default_rng(0)
    others = [rng.bytes(n) for n in (0, 1, 100, 5000, 100_000)]
    others += [b"Once upon a time. " * 500, b"\x89PNG\r\n\x1a\n" + rng.bytes(2000), bytes(10_000)]
    for content in others:
        with pytest.raises(AudioError):
            open_audio(io.BytesIO(content))


def test_only_decoders_of_sound_are_used():
    """FFmpeg has hundreds of others, which nothing here needs."""
    import av

    assert all(av.Codec(name, "r").type == "audio" for name in DECODERS.split(","))


def test_reading_takes_the_same_memory_however_long_the_file_is(encoded):
    """A minute as much as ten seconds, and a jump into it too."""
    peaks = []
    for n_loops in ("0", "5"):
        options = ["-c:a", "aac", "-b:a", "64k"]
        path = encoded(f"loop{n_loops}.m4a", options, 44100, source=["-af", f"aloop={n_loops}:1e6"])
        tracemalloc.start()
        with open_audio(path) as audio:
            for _ in audio.blocks():
                pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 1e6


# Without the extra


def test_without_pyav_both_ways_out_are_named(encoded, monkeypatch):
    """The extra, or ffmpeg and a pipe."""
    path = encoded(*FILES[0][:3])
    for module in (formats_module, open_module):
        monkeypatch.setattr(module, "has_ffmpeg", lambda: False)
    monkeypatch.setattr("audiocodec.audio.pyav_reader.has_ffmpeg", lambda: False)
    with pytest.raises(AudioError) as caught:
        open_audio(path)
    assert "a.m4a: cannot be read as audio" in str(caught.value)
    assert "pip install 'audiocodec[av]'" in str(caught.value)
    assert "ffmpeg -i IN -f wav - | audiocodec encode - OUT.dac" in str(caught.value)
    assert formats_module.readable_suffixes() == formats_module.LIBSNDFILE_SUFFIXES


def test_pyav_is_imported_only_when_it_is_needed(folder):
    """A wav file costs nothing more; nor does a library that has it installed."""
    script = (
        "import sys; from audiocodec.audio import open_audio; "
        "open_audio(sys.argv[1]).close(); print('av' in sys.modules)"
    )
    command = [sys.executable, "-c", script, folder / "44100.wav"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def test_what_looks_like_sound_or_video():
    """By the suffix, in capital letters or small ones; all of it can be read with PyAV."""
    assert all(map(formats_module.looks_like_media, ["a.m4a", "b/C.WEBM", "d.wav", "e.mp2"]))
    assert not any(map(formats_module.looks_like_media, ["a.txt", "wav", "a.ts", "b.py"]))
    assert formats_module.readable_suffixes() == formats_module.MEDIA_SUFFIXES
    assert len(set(formats_module.MEDIA_SUFFIXES)) == len(formats_module.MEDIA_SUFFIXES)


def test_a_reader_of_its_own_gives_the_same(folder):
    """Where libsndfile reads a file as well, both agree to the bit."""
    with open(folder / "44100.wav", "rb") as file:
        assert np.array_equal(samples_of(open_pyav(file, "a")), read(folder / "44100.wav"))


class InterruptedFile(io.BytesIO):
    """Raises KeyboardInterrupt at one of the calls that reading makes."""

    n_calls, at = 0, -1

    def _count(self):
        self.n_calls += 1
        if self.n_calls - 1 == self.at:
            raise KeyboardInterrupt

    def read(self, size=-1):
        self._count()
        return super().read(size)

    def seek(self, offset, whence=0):
        self._count()
        return super().seek(offset, whence)


def test_ctrl_c_during_a_jump_gets_out(encoded):
    """FFmpeg would take it for a failed jump, and the reading would go on from the start."""
    rate = 48000
    raw = encoded("a.webm", ["-c:a", "libopus"], rate, long=True).read_bytes()
    whole = InterruptedFile(raw)
    with open_audio(whole) as audio:
        list(audio.blocks(10 * rate))
    for at in range(whole.n_calls):
        file = InterruptedFile(raw)
        file.at = at
        with pytest.raises(KeyboardInterrupt), open_audio(file) as audio:
            list(audio.blocks(10 * rate))
