"""What there is to turn into tokens: listed in a fixed order, opened one by one."""

import gzip
import io
import json
import math
import os
import tarfile
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from hypothesis import given

from audiocodec.audio.source import BLOCK_SAMPLES
from audiocodec.errors import AudioError
from audiocodec.recordings import open_recording, opening
from audiocodec.tokens.inputs import items_of
from audiocodec.tokens.shards import ShardHeader, column_types

RATE = 8000


def sound(n_samples=4000, channels=1, seed=0):
    """Seeded noise (n_samples, channels) that 16 bits hold exactly."""
    shape = (n_samples, channels)
    return np.random.default_rng(seed).integers(-9000, 9000, shape, np.int16)


def sound_bytes(samples, format="WAV"):
    """A sound file."""
    file = io.BytesIO()
    sf.write(file, samples, RATE, format=format)
    return file.getvalue()


def put(path, samples):
    """A sound file at a path, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, RATE)
    return path


def tar_of(path, *parts):
    """A tar of (name, content), packed if it is called so."""
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as tar:
        for name, content in parts:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def read(item):
    """All samples of an item, (n_samples, channels), and its blocks' lengths."""
    with open_recording(item) as audio:
        assert audio.sample_rate == RATE
        once = [block.copy() for block in audio.blocks()]
        again = [block.copy() for block in audio.blocks()]
    assert all(np.array_equal(*pair) for pair in zip(once, again, strict=True))
    assert all(len(block) == BLOCK_SAMPLES for block in once[:-1])
    return np.concatenate(once)


def is_sound(item, samples):
    """Whether an item's audio is just these 16-bit samples."""
    return np.array_equal(read(item), samples.astype(np.float32) / 2**15)


# Folders and files


def test_a_folder_with_its_subfolders(tmp_path):
    """Sound files by name, with ids relative to the folder; others are left out."""
    for name in ("b/2.wav", "b/1.flac", "a.wav"):
        put(tmp_path / name, sound())
    (tmp_path / "notes.txt").write_text("no sound")
    items = list(items_of([tmp_path]))
    assert [item.id for item in items] == ["a.wav", "b/1.flac", "b/2.wav"]
    assert items[1].source == str(tmp_path / "b/1.flac")
    assert all(is_sound(item, sound()) for item in items)


def test_ids_differ_and_are_the_same_each_time(tmp_path):
    """What comes again gets a number, in the order of the inputs."""
    paths = [tmp_path / "x", tmp_path / "y", tmp_path / "x", tmp_path / "x" / "a.wav"]
    put(tmp_path / "x" / "a.wav", sound())
    put(tmp_path / "x" / "a.wav#2.wav", sound())
    put(tmp_path / "y" / "a.wav", sound(seed=1))
    items = list(items_of(paths))
    assert [item.id for item in items] == [
        "a.wav",
        "a.wav#2.wav",
        "a.wav#2",
        "a.wav#3",
        "a.wav#2.wav#2",
        "a.wav#4",
    ]
    assert items == list(items_of(paths))


def test_names_that_are_no_unicode(tmp_path):
    """The id is text that can be written; the file is found all the same."""
    put(tmp_path / "a.wav", sound())
    name = os.fsdecode(b"\xff.wav")
    (tmp_path / "a.wav").rename(tmp_path / name)
    (item,) = items_of([tmp_path])
    assert item.id == "?.wav"
    assert is_sound(item, sound())


def test_inputs_that_hold_nothing(tmp_path):
    """Each is refused with its name."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.docx").write_bytes(b"")
    (tmp_path / "broken.jsonl").write_text("{")
    (tmp_path / "pathless.jsonl").write_text('{"start": 1}')
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"start": [1.0]}), tmp_path / "pathless.parquet")
    tar_of(tmp_path / "none.tar", ("a.txt", b""))
    names = [*(path.name for path in tmp_path.iterdir()), "nowhere.wav"]
    assert len(names) == 8
    for name in names:
        with pytest.raises(AudioError, match=name) as caught:
            list(items_of([tmp_path / name]))
        assert "\n" not in str(caught.value)


# Manifests

ROWS = [
    {"path": "s/a.wav", "text": "one", "speaker": 7},
    {"path": "s/a.wav", "start": 0.25, "duration": 0.1, "text": "two", "speaker": None},
    {"path": "s/a.wav", "start": 0.25, "text": "three", "speaker": 9},
    {"path": "s/a.wav", "start": 0.0, "duration": 0.125, "text": None, "speaker": 9},
]


def manifest(folder, suffix, rows=ROWS):
    """A manifest of rows."""
    path = folder / f"m{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".parquet":
        schema = pa.Table.from_pylist([rows[1] | {"speaker": 1}]).schema
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
    else:
        names = list(rows[1])
        lines = [
            ",".join("" if row.get(name) is None else str(row[name]) for name in names)
            for row in rows
        ]
        path.write_text("\n".join([",".join(names), *lines]))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_manifests(tmp_path, suffix):
    """Paths are relative to the manifest; start and duration cut; further columns come along."""
    samples = sound()
    put(tmp_path / "s/a.wav", samples)
    items = list(items_of([manifest(tmp_path, suffix)]))
    assert [item.id for item in items] == [
        "s/a.wav",
        "s/a.wav@0.25",
        "s/a.wav@0.25#2",
        "s/a.wav@0.0",
    ]
    assert {item.source for item in items} == {"s/a.wav"}
    cuts = [samples, samples[2000:2800], samples[2000:], samples[:1000]]
    assert all(is_sound(*pair) for pair in zip(items, cuts, strict=True))
    assert items[1].columns["text"] == "two"
    assert (items[1].columns["start"], items[1].columns["duration"]) == (0.25, 0.1)
    assert items[2].columns["speaker"] == ("9" if suffix == ".csv" else 9)


@pytest.mark.parametrize("bad", [-1, "x", math.inf, math.nan, "nan", True, [1]])
@pytest.mark.parametrize("key", ["start", "duration"])
def test_a_bad_row_does_not_stop_the_others(tmp_path, bad, key):
    """What is wrong is told when the item is opened."""
    put(tmp_path / "a.wav", sound())
    rows = [{"path": "a.wav", key: bad}, {"path": "a.wav"}, {"path": "a.wav", "duration": 0}]
    items = list(items_of([manifest(tmp_path, ".jsonl", rows)]))
    assert is_sound(items[1], sound())
    for item in (items[0], items[2]):
        with pytest.raises(AudioError, match=r"a\.wav: .*m\.jsonl: its"), open_recording(item):
            pass


def test_times_are_told_as_they_are_wrong(tmp_path):
    """Too early, or no time at all."""
    rows = [{"path": "a.wav", "start": start} for start in (-1, "-0.5", math.nan, "soon")]
    problems = [item.problem for item in items_of([manifest(tmp_path, ".jsonl", rows)])]
    assert [problem.partition(": its ")[2] for problem in problems] == [
        "start is -1 s; it must be 0 or more",
        "start is -0.5 s; it must be 0 or more",
        "start is 'nan', not a number of seconds",
        "start is 'soon', not a number of seconds",
    ]


def test_what_is_missing_in_parquet_may_be_nan(tmp_path):
    """pandas writes it so."""
    put(tmp_path / "a.wav", sound())
    times = pa.array([math.nan, 0.25], pa.float64())
    table = pa.table({"path": ["a.wav", "a.wav"], "start": times, "duration": times})
    pq.write_table(table, tmp_path / "m.parquet")
    whole, part = items_of([tmp_path / "m.parquet"])
    assert is_sound(whole, sound())
    assert is_sound(part, sound()[2000:4000])


def test_a_csv_row_with_too_many_cells(tmp_path):
    """It is told, not guessed."""
    (tmp_path / "m.csv").write_text("path,text\na.wav,one,two\n")
    (item,) = items_of([tmp_path / "m.csv"])
    assert "more cells" in item.problem


def test_columns_of_any_kind(tmp_path):
    """Lists become JSON, what is not finite is missing, names of our own columns are kept apart."""
    row = {
        "path": "a.wav",
        "list": [1, {"x": None}],
        "nan": math.nan,
        "codes": 1,
        "": 2,
        "sur\ud800": "\ud800",
    }
    (item,) = items_of([manifest(tmp_path, ".jsonl", [row])])
    assert item.columns == {
        "list": '[1, {"x": null}]',
        "nan": None,
        "input_codes": 1,
        "input_column": 2,
        "sur?": "?",
    }
    header = ShardHeader("m", "0" * 32, RATE, 4, 8, columns=column_types([item.columns]))
    assert header.fitted(item.columns) == item.columns


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda deeper: st.one_of(st.lists(deeper), st.dictionaries(st.text(), deeper)),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(st.text(), JSON), max_size=3))
def test_any_manifest_can_be_carried(tmp_path_factory, rows):
    """Whatever JSON a row holds, it is an item, and its columns fit a header."""
    rows = [row | {"path": "a.wav"} for row in rows]
    folder = tmp_path_factory.mktemp("any")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "m.jsonl").write_text(text)
    items = list(items_of([folder / "m.jsonl"]))
    assert len({item.id for item in items}) == len(rows)
    types = column_types(item.columns for item in items)
    header = ShardHeader("m", "0" * 32, RATE, 4, 8, columns=types)
    for item in items:
        assert header.fitted(item.columns).keys() == types.keys()


def test_a_parquet_manifest_of_bytes_and_dates(tmp_path):
    """Dates become text; bytes cannot be carried."""
    date = pa.array([0], pa.date32())
    pq.write_table(pa.table({"path": ["a.wav"], "day": date}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"path": ["a.wav"], "raw": [b"x"]}), tmp_path / "b.parquet")
    dated, raw = items_of([tmp_path / "d.parquet", tmp_path / "b.parquet"])
    assert dated.columns == {"day": "1970-01-01"}
    assert "column raw holds bytes" in raw.problem


# Excerpts


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_excerpt_is_that_part_of_the_whole(tmp_path, suffix, channels):
    """Sought or read up to there: to the sample, in whole blocks, and up to the end."""
    samples = sound(3 * BLOCK_SAMPLES + 500, channels)
    put(tmp_path / f"a{suffix}", samples)
    (item,) = items_of([tmp_path])
    whole = read(item)
    for first, n in ((0, 70_000), (1, 1), (65_535, 140_000), (131_072, 65_536), (196_000, 10**6)):
        part = read(replace(item, start=first / RATE, duration=n / RATE))
        assert np.array_equal(part, whole[first : first + n])
    assert np.array_equal(read(replace(item, start=100_000 / RATE)), whole[100_000:])


def test_an_excerpt_behind_the_end(tmp_path):
    """It is told, not empty."""
    put(tmp_path / "a.wav", sound())
    (item,) = items_of([tmp_path])
    for start in (0.5, 1e9, 1e300):
        with pytest.raises(AudioError, match=r"ends before"):
            read(replace(item, start=start))


def test_an_excerpt_of_a_damaged_file(tmp_path):
    """A FLAC that is cut is refused where the cut is reached."""
    put(tmp_path / "a.flac", sound(300_000))
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
    (item,) = items_of([tmp_path])
    assert len(read(replace(item, start=1.0, duration=2.0))) == 2 * RATE
    for start in (15.0, 30.0):
        with pytest.raises(AudioError, match=r"a\.flac"):
            read(replace(item, start=start))


def test_what_is_no_file(tmp_path):
    """Missing files, folders, and named pipes, which would wait for ever."""
    os.mkfifo(tmp_path / "pipe.wav")
    rows = [{"path": "pipe.wav"}, {"path": "no.wav"}, {"path": "."}, {"path": "\0"}]
    for item in items_of([manifest(tmp_path, ".jsonl", rows)]):
        with pytest.raises(AudioError), open_recording(item):
            pass


# Tars

PARTS = [
    ("s/one.flac", sound_bytes(sound(seed=1), "FLAC")),
    ("s/one.json", b'{"text": "eins", "n": 1}'),
    ("s/two.json", b'{"text": "zwei", "codes": 2}'),
    ("s/two.wav", sound_bytes(sound(seed=2))),
    ("readme.txt", b"no sound"),
    ("../../three.wav", sound_bytes(sound(seed=3))),
]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_tars(tmp_path, suffix):
    """Sound files in their order, in whatever order they are opened; JSON beside comes along."""
    path = tar_of(tmp_path / f"x{suffix}", *PARTS)
    items = list(items_of([path]))
    names = ["s/one.flac", "s/two.wav", "../../three.wav"]
    assert [item.member for item in items] == names
    assert [item.id for item in items] == [f"x{suffix}/{name}" for name in names]
    assert [dict(item.columns) for item in items] == [
        {"text": "eins", "n": 1},
        {"text": "zwei", "input_codes": 2},
        {},
    ]
    for i in (0, 1, 2, 1, 0):
        assert is_sound(items[i], sound(seed=i + 1))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_two_packed_tars_in_turn(tmp_path):
    """Only one is kept open."""
    items = [
        next(items_of([tar_of(tmp_path / f"{n}.tar.gz", *PARTS[2 * n : 2 * n + 4])]))
        for n in range(2)
    ]
    for n in (0, 1, 0, 1):
        assert is_sound(items[n], sound(seed=n + 1))


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_tar_that_is_cut(tmp_path_factory, suffix, cut):
    """What is whole is listed, and an item says what is wrong with the rest."""
    path = tar_of(tmp_path_factory.mktemp("cut") / f"x{suffix}", *PARTS[:4])
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content.rstrip(b"\0")))])
    try:
        items = list(items_of([path]))
    except AudioError:
        return
    for item in items:
        if item.member is None:
            with pytest.raises(AudioError, match="tar"):
                read(item)
            continue
        try:
            assert is_sound(item, sound(seed=1 + (item.member == "s/two.wav")))
        except AudioError:
            assert suffix != ".tar" or items[-1].problem


@pytest.mark.parametrize("sidecar", [b"{", b"[1]", b"[" * 100_000, b" " * (2**20 + 1), b"\xff"])
def test_json_that_cannot_be_used(tmp_path, sidecar):
    """The sound beside it is not taken without it."""
    path = tar_of(tmp_path / "x.tar", ("a.json", sidecar), ("a.wav", PARTS[3][1]), PARTS[0])
    bad, good = items_of([path])
    with pytest.raises(AudioError, match=r"a\.json"):
        read(bad)
    assert is_sound(good, sound(seed=1))


def test_a_packed_tar_that_is_damaged_after_it_was_listed(tmp_path):
    """One line, too."""
    path = tar_of(tmp_path / "x.tar.gz", *PARTS[:4])
    items = list(items_of([path]))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(AudioError, match="damaged"):
        read(items[1])


def test_a_member_that_is_too_large(tmp_path, monkeypatch):
    """It is not unpacked."""
    monkeypatch.setattr(opening, "MAX_MEMBER_BYTES", 1000)
    (item,) = items_of([tar_of(tmp_path / "x.tar.gz", PARTS[0])])
    with pytest.raises(AudioError, match="at most 1000"):
        read(item)


def test_links_in_a_tar(tmp_path):
    """They lead nowhere."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        link = tarfile.TarInfo("a.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(AudioError, match="no sound files"):
        list(items_of([tmp_path / "x.tar"]))


def test_what_is_not_packed(tmp_path):
    """A .tar.gz of something else."""
    (tmp_path / "x.tar.gz").write_bytes(b"no tar")
    (tmp_path / "y.tar.gz").write_bytes(gzip.compress(b"no tar" * 1000))
    for name in "xy":
        (item,) = items_of([tmp_path / f"{name}.tar.gz"])
        with pytest.raises(AudioError, match="as a tar"):
            read(item)


def test_a_text_may_hold_what_unicode_takes_for_the_end_of_a_line(tmp_path):
    """Only line feeds end the rows of a JSONL."""
    manifest = tmp_path / "some.jsonl"
    rows = [{"path": "a.wav", "text": "one\u2028two\x85three"}, {"path": "b.wav", "text": "four"}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    manifest.write_text("\r\n".join(lines), encoding="utf-8")
    assert [item.columns["text"] for item in items_of([manifest])] == [row["text"] for row in rows]
