"""`audiocodec crop`, `concat`, `splice`, `truncate` and `compare`, as a shell uses them."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from audiocodec import DacFile, Header
from audiocodec.cli import run
from audiocodec.errors import ArgumentError, CodecError, OutputError, OutputExists
from audiocodec.tokens.shards import ShardHeader, TokenRow, open_shards, shard_name, write_shard

HEADER = Header(
    model="some model",
    fingerprint="0123456789abcdef" * 2,
    model_rate=44100,
    hop=441,  # 10 ms
    sample_rate=44100,
    channels=1,
    n_samples=44000,
    n_codebooks=9,
    codebook_size=1024,
)


@pytest.fixture
def codes(here):
    """Codes of a.dac, whose last frame is not full."""
    codes = np.arange(9 * 100).reshape(1, 9, 100) % 1000
    DacFile(HEADER, codes.astype(np.uint16)).save(here / "a.dac")
    return codes


def loaded(name: str) -> tuple[list[int], int]:
    """The codes of the first codebook, and the length in samples."""
    file = DacFile.load(name)
    return file.codes[0, 0].tolist(), file.header.n_samples


def test_crop_counts_in_seconds_or_in_frames(codes, capsys):
    """Up to the end by default; nothing is printed."""
    assert run(["crop", "a.dac", "b.dac", "--start", "0.201", "--duration", "0.3"]) == 0
    assert loaded("b.dac") == (list(range(20, 50)), 30 * 441)
    assert run(["crop", "a.dac", "c.dac", "--frames", "--start", "20", "--duration", "30"]) == 0
    assert run(["compare", "b.dac", "c.dac"]) == 0
    capsys.readouterr()
    assert run(["crop", "a.dac", "d.dac", "--start", "0.9"]) == 0
    assert loaded("d.dac") == (list(range(90, 100)), 44000 - 90 * 441)
    assert capsys.readouterr() == ("", "")


def test_concat_takes_many_files(codes):
    """Also one file, and one twice; the parts make the whole again."""
    assert run(["crop", "a.dac", "b.dac", "--duration", "0.5"]) == 0
    assert run(["crop", "a.dac", "c.dac", "--start", "0.5"]) == 0
    assert run(["concat", "b.dac", "c.dac", "--out", "d.dac"]) == 0
    assert run(["compare", "a.dac", "d.dac"]) == 0
    assert run(["concat", "--out", "e.dac", "b.dac", "c.dac", "c.dac"]) == 0
    assert loaded("e.dac") == ([*range(100), *range(50, 100)], 44000 + 50 * 441)
    assert run(["concat", "a.dac", "--out", "f.dac"]) == 0
    assert loaded("f.dac") == loaded("a.dac")


def test_splice_inserts_or_replaces(codes):
    """A range of one file, in seconds or frames."""
    assert run(["splice", "a.dac", "a.dac", "b.dac", "--start", "0.2"]) == 0
    assert loaded("b.dac") == ([*range(20), *range(100), *range(20, 100)], 44000 + 44100)
    flags = ["--start", "10", "--duration", "5", "--insert-start", "90", "--insert-duration", "2"]
    assert run(["splice", "a.dac", "a.dac", "c.dac", "--frames", *flags]) == 0
    assert loaded("c.dac") == ([*range(10), 90, 91, *range(15, 100)], 44000 - 3 * 441)
    assert run(["splice", "a.dac", "a.dac", "d.dac", "--start", "0.2", "--duration", "inf"]) == 0
    assert loaded("d.dac") == ([*range(20), *range(100)], 44000 + 20 * 441)


def test_truncate_does_a_folder(codes, here, capsys):
    """With a bad file in it, which does not stop the others."""
    (here / "in" / "sub").mkdir(parents=True)
    for name in ("in/a.dac", "in/sub/b.dac"):
        (here / name).write_bytes((here / "a.dac").read_bytes())
    assert run(["truncate", "in", "out", "--codebooks", "4"]) == 0
    assert np.array_equal(DacFile.load("out/sub/b.dac").codes, codes[:, :4])
    (here / "in" / "bad.dac").write_text("no tokens")
    assert run(["truncate", "in", "more", "--codebooks", "4"]) == 1
    assert DacFile.load("more/a.dac").header.n_codebooks == 4
    assert "in/bad.dac: is not a .dac file" in capsys.readouterr().err


def test_a_truncated_file_decodes_as_with_fewer_codebooks(here, model, make_sound):
    """`decode` gives the same file as `decode --codebooks`."""
    make_sound("a.wav", 30_000)
    assert run(["encode", "a.wav", "--model", model]) == 0
    assert run(["truncate", "a.dac", "b.dac", "--codebooks", "4"]) == 0
    assert run(["decode", "a.dac", "a4.wav", "--model", model, "--codebooks", "4"]) == 0
    assert run(["decode", "b.dac", "b4.wav", "--model", model]) == 0
    a4, b4 = (soundfile.read(name, dtype="int16")[0] for name in ("a4.wav", "b4.wav"))
    assert len(a4) == 30_000
    assert np.array_equal(a4, b4)


def test_pipes_work_and_no_torch_is_imported(codes, here):
    """All five commands, from standard input to standard output."""
    code = """
import sys
from audiocodec.cli import run
status = run(sys.argv[1:])
slow = [name for name in ("torch", "soundfile", "pyarrow") if name in sys.modules]
sys.exit(f"{slow} were imported" if slow else status)
"""
    whole = (here / "a.dac").read_bytes()

    def piped(*arguments: str, status: int = 0) -> bytes:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, input=whole, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (status, b"")
        return done.stdout

    cropped = DacFile.from_bytes(piped("crop", "-", "-", "--duration", "0.1"))
    assert cropped.codes.shape[-1] == 10
    assert DacFile.from_bytes(piped("truncate", "-", "-", "--codebooks", "1")).codes.shape[1] == 1
    assert DacFile.from_bytes(piped("concat", "-", "a.dac", "--out", "-")).codes.shape[-1] == 200
    assert DacFile.from_bytes(piped("splice", "-", "a.dac", "-")).codes.shape[-1] == 200
    assert piped("compare", "-", "a.dac").startswith(b"files ")


def test_compare_tells_what_differs(codes, here, capsys):
    """For people, and as one JSON object; the exit status is that of cmp."""
    header, changed = DacFile.load("a.dac").header, codes.astype(np.uint16)
    changed[0, 2, 17] = 5
    DacFile(header, changed).save("b.dac")
    assert run(["compare", "a.dac", "a.dac"]) == 0
    equal = capsys.readouterr().out.splitlines()
    assert equal[1] == "result     equal"
    assert equal[-2] == "first      none"
    assert run(["compare", "a.dac", "b.dac"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "files      a.dac, b.dac",
        "result     different: codes",
        f"model      some model, fingerprint {HEADER.fingerprint}",
        "length     100 frames, 44000 samples",
        "codebooks  9",
        "equal      100.0% 100.0% 99.0%" + " 100.0%" * 6,
        "first      frame 17 (0.170 s), channel 0, codebook 2: 217 | 5",
        "distance   1 of 100 frames differ",
    ]
    run(["crop", "b.dac", "c.dac", "--duration", "0.5"])
    assert run(["compare", "--json", "a.dac", "c.dac"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["equal"], facts["same_model"]) == (False, True)
    assert facts["differing"] == ["n_samples", "n_frames", "codes"]
    assert facts["equal_shares"][2] == 49 / 50
    assert facts["first_difference"]["codes"] == [217, 5]
    assert facts["distance_frames"] == 51
    assert (facts["first"]["n_frames"], facts["second"]["n_frames"]) == (100, 50)


def test_compare_has_a_status_for_trouble(codes, here, capsys):
    """2, after one line: neither equal nor different can be told."""
    (here / "text.dac").write_text("hello")
    for name in ("text.dac", "missing.dac"):
        assert run(["compare", "a.dac", name]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert name in captured.err
    assert run(["compare", "a.dac", "text.dac", "--debug"]) == 2
    assert capsys.readouterr().err.startswith("Traceback")


def test_shards_are_truncated_and_compared(codes, here, capsys):
    """A folder of them, shard by shard; not shards with a .dac file."""
    file = DacFile.load("a.dac")
    (here / "in").mkdir()
    rows = [TokenRow.of_dac(file, name, name) for name in ("x", "y\n", "z")]
    for i, row in enumerate(rows):
        write_shard(here / "in" / shard_name(i, "parquet"), [row], ShardHeader.of(file.header))
    assert run(["truncate", "in", "out", "--codebooks", "4"]) == 0
    assert [row.codes.shape[1] for row in open_shards("out").rows()] == [4, 4, 4]
    assert run(["truncate", "in/tokens-00000.parquet", "one.tar", "--codebooks", "9"]) == 0
    assert run(["compare", "in/tokens-00000.parquet", "one.tar"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "result     equal"
    assert run(["compare", "in", "out"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "shards     in, out",
        "result     different",
        "model      one",
        "rows       3, 3 in both",
        "different  3 of the rows in both",
        "equal      100.0% 100.0% 100.0% 100.0%",
        "distance   0 frames differ or are in one only",
        "first      row x: n_codebooks",
    ]
    assert run(["compare", "in", "in/tokens-00001.parquet", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["n_rows"], facts["first_alone"], facts["n_different"]) == ([3, 1], "x", 0)
    assert run(["compare", "in/tokens-00001.parquet", "one.tar"]) == 1
    assert "row y\\n is the first in one only" in capsys.readouterr().out
    assert run(["compare", "in", "a.dac"]) == 2
    assert "compare two of a kind" in capsys.readouterr().err
    with pytest.raises(OutputExists):
        run(["truncate", "in/tokens-00000.parquet", "out", "--codebooks", "4"])


def test_levels_can_be_chosen(codes, capsys):
    """--gain-db goes through; without it files of different gains are refused."""
    file = DacFile.load("a.dac")
    DacFile(Header(**{**vars(file.header), "gain": 2.0}), file.codes).save("b.dac")
    for command in (["concat", "a.dac", "b.dac", "--out"], ["splice", "a.dac", "b.dac"]):
        with pytest.raises(CodecError, match=r"b\.dac.*\+6.02 dB.*--gain-db"):
            run([*command, "c.dac"])
        assert run([*command, "c.dac", "--gain-db", "0", "--overwrite"]) == 0
        assert DacFile.load("c.dac").header.gain == 1.0


def test_folders_are_made_and_names_may_hold_anything(codes, here):
    """As by encode and decode; a name that ends in a slash is no file's."""
    (here / "a.dac").rename("new\nline.dac")
    assert run(["concat", "new\nline.dac", "new\nline.dac", "--out", "1/2/b.dac"]) == 0
    assert run(["crop", "1/2/b.dac", "3/c.dac", "--duration", "0.1"]) == 0
    assert run(["splice", "1/2/b.dac", "3/c.dac", "4/d.dac"]) == 0
    assert DacFile.load("4/d.dac").codes.shape[-1] == 210
    for command in (["concat", "3/c.dac", "--out"], ["crop", "3/c.dac"]):
        with pytest.raises(OutputError, match="5/6/: names a folder"):
            run([*command, "5/6/"])
    assert not (here / "5").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["crop", "a.dac"], "TARGET is missing"),
        (["truncate", "a.dac", "b.dac"], "--codebooks"),
        (["truncate", "a.dac", "b.dac", "--codebooks", "10"], "has 1 to 9"),
        (["truncate", "a.dac", "a.dac", "--codebooks", "1", "--overwrite"], "input and output"),
        (["concat", "a.dac", "a.dac"], "--out"),
        (["concat", "--out", "b.dac"], "INPUTS is missing"),
        (["concat", "-", "-", "--out", "b.dac"], "once"),
        (["splice", "-", "-", "b.dac"], "once"),
        (["compare", "-", "-"], "once"),
        (["crop", "a.dac", "b.dac", "--start", "2"], "beyond its end"),
        (["crop", "a.dac", "b.dac", "--start", "-1"], "0 or later"),
        (["crop", "a.dac", "b.dac", "--frames", "--start", "1.5"], "whole numbers"),
        (["crop", "a.dac", "b.dac", "--frames", "--start", "inf"], "whole numbers"),
        (["crop", "a.dac", "b.dac", "c.dac"], "one operand too many"),
    ],
)
def test_what_cannot_be_done_is_told(codes, here, arguments, words):
    """And nothing is written."""
    with pytest.raises(ArgumentError, match=words):
        run(arguments)
    assert [path.name for path in here.iterdir()] == ["a.dac"]


def test_nothing_is_overwritten_unless_asked(codes, here):
    """By any of the commands."""
    (here / "b.dac").write_text("precious")
    for arguments in (
        ["crop", "a.dac", "b.dac"],
        ["truncate", "a.dac", "b.dac", "--codebooks", "2"],
        ["concat", "a.dac", "--out", "b.dac"],
        ["splice", "a.dac", "a.dac", "b.dac"],
    ):
        with pytest.raises(OutputExists, match="--overwrite"):
            run(arguments)
        assert (here / "b.dac").read_text() == "precious"
        assert run([*arguments, "--overwrite"]) == 0
        assert DacFile.load("b.dac").header.model == "some model"
        (here / "b.dac").write_text("precious")
