"""What there is to turn into tokens: listed in a fixed order, opened one by one."""

import json
import math
import os

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from audiocodec.errors import AudioError
from audiocodec.recordings import open_recording
from audiocodec.tokens.inputs import items_of
from audiocodec.tokens.shards import ShardHeader, column_types
from tests.recordings.samples import RATE, is_sound, manifest, put, sound, tar_of

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


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_manifests(tmp_path, suffix):
    """Paths are relative to the manifest; start and duration cut; further columns come along."""
    samples = sound()
    put(tmp_path / "s/a.wav", samples)
    items = list(items_of([manifest(tmp_path, suffix, ROWS)]))
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


def test_a_text_may_hold_what_unicode_takes_for_the_end_of_a_line(tmp_path):
    """Only line feeds end the rows of a JSONL."""
    manifest = tmp_path / "some.jsonl"
    rows = [{"path": "a.wav", "text": "one\u2028two\x85three"}, {"path": "b.wav", "text": "four"}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    manifest.write_text("\r\n".join(lines), encoding="utf-8")
    assert [item.columns["text"] for item in items_of([manifest])] == [row["text"] for row in rows]
