"""Jobs: exact codes, bad files, restarts after any kind of end, and what is refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from audiocodec import Codec, files
from audiocodec.engine import BatchEncoder
from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.recordings import open_recording
from audiocodec.tokens import open_shards, tokenize
from audiocodec.tokens.inputs import items_of
from audiocodec.tokens.jobs import encoding, plan
from audiocodec.tokens.jobs.encoding import Ahead, reading_thread
from audiocodec.tokens.jobs.folder import JobError, locked
from audiocodec.tokens.tokenizing import TokenizeSettings

THREE = TokenizeSettings(device="cpu", shard_rows=3)
FORMATS = ("parquet", "webdataset", "safetensors")


def errors_of(folder):
    """The lines of errors.jsonl."""
    return [json.loads(line) for line in (folder / "errors.jsonl").read_text().splitlines()]


# What comes of it


@pytest.mark.parametrize("format", FORMATS)
def test_codes_are_those_of_each_item_alone(tmp_path, small, model, corpus, format):
    """Any rate, length and number of channels; excerpts, and sounds in a tar."""
    done = tokenize(corpus, tmp_path / "out", model=model, format=format, settings=THREE)
    shards = open_shards(tmp_path / "out")
    rows = {row.id: row for row in shards.rows()}
    items = {item.id: item for item in items_of(corpus)}
    failed = {error["id"] for error in errors_of(tmp_path / "out")}
    assert [*rows] == [id for id in items if id not in failed]
    assert (done.n_rows, done.n_errors, len(done.paths)) == (10, 3, 5)
    assert shards.fingerprint == small.fingerprint
    for id, row in rows.items():
        with open_recording(items[id]) as audio:
            samples = np.concatenate(list(audio.blocks()))
            rate = audio.sample_rate
        alone = small.compress(samples, sample_rate=rate)
        assert np.array_equal(row.codes, alone.codes)
        assert row.gain == alone.header.gain
        assert (row.n_samples, row.sample_rate) == (len(samples), rate)
        assert row.source == items[id].source
    assert rows["in/0.wav@0.5"].columns == {
        "text": "one",
        "n": 1,
        "start": 0.5,
        "duration": 0.25,
    }
    assert rows["some.tar/b.flac"].columns["text"] == "b"


def test_windows_of_several_items_side_by_side_make_the_same_shards(
    tmp_path, model, corpus, contents, monkeypatch
):
    """The way of a GPU, here on the CPU: batches of equal-shaped windows, the same rows."""
    tokenize(corpus, tmp_path / "alone", model=model)

    def encode_many(codec, signals, n_codebooks=None):
        together = BatchEncoder(codec.model, n_codebooks, window_frames=20)
        for wave in signals:
            yield from together.push(wave)
        yield from together.flush()

    monkeypatch.setattr(Codec, "encode_many", encode_many)
    monkeypatch.setattr(encoding, "_one_by_one", encoding._together)
    tokenize(corpus, tmp_path / "together", model=model)
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_files_are_those_of_compress(tmp_path, small, model, corpus):
    """Without a detour over samples: the codes and the gain of Codec.compress(path)."""
    tokenize(corpus[0], tmp_path / "out", model=model, n_codebooks=3)
    settings = TokenizeSettings(normalize=False)
    tokenize(corpus[0], tmp_path / "plain", model=model, settings=settings)
    for folder, changes in (("out", {"n_codebooks": 3}), ("plain", {"normalize": False})):
        for row in open_shards(tmp_path / folder).rows():
            dac = small.compress(corpus[0] / row.id, **changes)
            assert np.array_equal(row.codes, dac.codes)
            assert (row.gain, row.n_samples) == (dac.header.gain, dac.header.n_samples)


def test_bad_items_are_told_and_do_not_stop_the_others(tmp_path, model, corpus):
    """In their order, with one line each."""
    tokenize(corpus, tmp_path / "out", model=model, settings=THREE)
    found = errors_of(tmp_path / "out")
    assert [error["id"] for error in found] == ["bad.wav", "in/missing.wav", "in/2.wav@60.0"]
    assert found[0]["error"].startswith("cannot be read as audio")
    assert found[1]["error"] == "there is no such file"
    assert "ends before 60 s" in found[2]["error"]
    pieces = sorted((tmp_path / "out" / "errors").iterdir())
    joined = b"".join(path.read_bytes() for path in pieces)
    assert joined == (tmp_path / "out" / "errors.jsonl").read_bytes()


def test_parquet_needs_no_package_of_ours(tmp_path, model, corpus):
    """Carried columns have one type in all shards."""
    done = tokenize(corpus, tmp_path / "out", model=model, settings=THREE)
    tables = [pq.read_table(path) for path in done.paths]
    assert len({str(table.schema.remove_metadata()) for table in tables}) == 1
    assert {"id", "codes", "text", "n", "start"} <= set(tables[0].column_names)


def test_nothing_but_bad_items(tmp_path, model):
    """No shard, and nothing to do anew."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    for _ in range(2):
        calls = []
        done = tokenize(
            tmp_path / "in",
            tmp_path / "out",
            model=model,
            progress=lambda *told, calls=calls: calls.append(told),
        )
        assert (done.n_rows, done.n_errors, done.paths, done.kbps) == (0, 1, [], 0.0)
    assert calls == [(1, 1, 0.0)]


def test_progress_counts_items_and_seconds(tmp_path, model, corpus):
    """A restart begins with what is done, and counts the audio of this run only."""
    calls = []
    arguments = {"model": model, "settings": THREE}
    tokenize(corpus, tmp_path / "out", **arguments, progress=lambda *told: calls.append(told))
    assert [done for done, _, _ in calls] == [*range(14)]
    assert {total for _, total, _ in calls} == {13}
    assert calls[1][2] == pytest.approx(70_000 / 44100)
    (tmp_path / "out" / "tokens-00004.parquet").unlink()
    again = []
    tokenize(corpus, tmp_path / "out", **arguments, progress=lambda *told: again.append(told))
    assert again[0] == (12, 13, 0.0)
    assert again[-1][:2] == (13, 13)


def test_a_compressed_tar_is_read_anew_by_each_job(tmp_path, small, model):
    """Another tar may have taken its place; within a job it stays open from shard to shard."""
    packed = tmp_path / "some.tar.gz"
    settings = TokenizeSettings(device="cpu", shard_rows=1)
    for seed in range(2):
        sounds = []
        with tarfile.open(packed, "w:gz") as tar:
            for i in range(3):
                path = tmp_path / f"{i}.wav"
                sf.write(path, noise(3000, seed=10 * seed + i), 16000)
                tar.add(path, path.name)
                sounds.append(small.compress(path))
        tokenize(packed, tmp_path / f"out{seed}", model=model, settings=settings)
        for row, dac in zip(open_shards(tmp_path / f"out{seed}").rows(), sounds, strict=True):
            assert np.array_equal(row.codes, dac.codes)


def noise(n_samples, seed):
    """Seeded noise (n_samples,)."""
    return 0.1 * np.random.default_rng(seed).standard_normal(n_samples)


def test_long_items_make_shards_of_their_own(tmp_path, model, corpus, monkeypatch):
    """So that a few long recordings are work for several processes."""
    monkeypatch.setattr(plan, "SHARD_BYTES", 100_000)
    done = tokenize(corpus[0], tmp_path / "out", model=model)
    assert [len(open_shards(path)) for path in done.paths] == [1, 1, 4]


# Restarts


class Killed(BaseException):
    """In place of SIGKILL."""


def test_a_kill_between_any_two_files_changes_nothing(
    tmp_path, model, corpus, contents, monkeypatch
):
    """Before each file takes its name, and after it."""
    inputs = [corpus[0] / "2.wav", corpus[0] / "bad.wav", corpus[0] / "4.wav", corpus[1]]
    settings = TokenizeSettings(device="cpu", shard_rows=2)

    def run(folder):
        tokenize(inputs, folder, model=model, settings=settings)
        return contents(folder)

    wanted = run(tmp_path / "wanted")
    replace, moments = os.replace, 0

    def replace_once(source, target):
        nonlocal moments
        moments -= 1
        if moments == 0:
            raise Killed
        replace(source, target)
        moments -= 1
        if moments == 0:
            raise Killed

    monkeypatch.setattr(files.os, "replace", replace_once)
    for moment in range(1, 2 * len(wanted) + 1):
        moments = moment
        with pytest.raises(Killed):
            run(tmp_path / str(moment))
        assert run(tmp_path / str(moment)) == wanted


def test_errors_of_a_run_that_was_killed_are_not_kept(tmp_path, model, corpus, contents):
    """A file that could not be read for a while, and can be again; half-written files too."""
    for name in ("wanted", "out"):
        tokenize(corpus, tmp_path / name, model=model, settings=THREE)
    (tmp_path / "out" / "tokens-00000.parquet").unlink()
    (tmp_path / "out" / "errors" / "tokens-00000.jsonl").write_text('{"id": "0.wav"}\n')
    (tmp_path / "out" / ".tokens-00000.parquet.abc.part").write_text("half")
    (tmp_path / "out" / "errors" / ".tokens-00000.jsonl.abc.part").write_text("half")
    tokenize(corpus, tmp_path / "out", model=model, settings=THREE)
    assert contents(tmp_path / "out") == contents(tmp_path / "wanted")


def started(*arguments, **settings):
    """The command, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "audiocodec", "tokenize", *map(str, arguments)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **settings,
    )


def children_of(pid):
    """The processes that a process has started."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, check=True, text=True)
    pairs = [map(int, line.split()) for line in shown.stdout.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def is_over(pid):
    """Whether a process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition, process, timeout_s=60):
    """Until something is so while the process runs."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def n_shards(folder):
    """Shards that are there."""
    return len(list(folder.glob("tokens-*")))


def killed_and_continued(folder, wanted_folder, arguments, n_kills, contents, seed):
    """Kill the command at random moments, each after one shard more or soon; then let it end."""
    chance = random.Random(seed)
    wanted = contents(wanted_folder)
    for _ in range(n_kills):
        process = started(*arguments, "--out", folder)
        before = n_shards(folder)
        wait_until(lambda before=before: n_shards(folder) > before, process)
        time.sleep(chance.uniform(0, 0.1))
        workers = children_of(process.pid)
        os.kill(process.pid, signal.SIGKILL)  # the workers must notice by themselves
        process.communicate()
        end = time.monotonic() + 60
        while not all(is_over(pid) for pid in workers):
            assert time.monotonic() < end
            time.sleep(0.02)
    assert n_shards(folder) >= min(n_kills, n_shards(wanted_folder))
    process = started(*arguments, "--out", folder)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert contents(folder) == wanted
    return out


def test_sigkill(tmp_path, model, long_corpus, contents):
    """The command is killed and started again; what is there then is as if nothing had been."""
    settings = TokenizeSettings(device="cpu", shard_rows=2)
    tokenize(long_corpus, tmp_path / "wanted", model=model, settings=settings)
    arguments = (long_corpus, "--model", model, "--shard-rows", 2, "--workers", 1)
    out = killed_and_continued(tmp_path / "out", tmp_path / "wanted", arguments, 1, contents, 1)
    assert ": 14 rows in 8 shards, 0.016 hours of audio" in out


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_sigkill_at_random_moments_with_two_workers(
    tmp_path, model, long_corpus, corpus, contents, format
):
    """All formats and inputs; no worker outlives the command."""
    inputs = [long_corpus, *corpus]
    settings = TokenizeSettings(device="cpu", shard_rows=1)
    tokenize(inputs, tmp_path / "wanted", model=model, format=format, settings=settings)
    arguments = (*inputs, "--model", model, "--shard-rows", 1, "--workers", 2, "--format", format)
    killed_and_continued(
        tmp_path / "out", tmp_path / "wanted", arguments, 4, contents, seed=len(format)
    )


@pytest.mark.slow
def test_a_worker_that_dies_and_an_interrupt_are_told(tmp_path, model, long_corpus, contents):
    """In one line each; no process is left, and the same command goes on."""
    settings = TokenizeSettings(device="cpu", shard_rows=1)
    tokenize(long_corpus, tmp_path / "wanted", model=model, settings=settings)
    out = tmp_path / "out"
    arguments = (long_corpus, "--model", model, "--shard-rows", 1, "--workers", 2, "--out", out)
    process = started(*arguments)
    wait_until(lambda: n_shards(out) > 0, process)
    workers = [pid for pid in children_of(process.pid) if "spawn_main" in command_of(pid)]
    os.kill(workers[0], signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.count("\n") == 1
    assert "a worker process died (out of memory?)" in told
    assert n_shards(out) < n_shards(tmp_path / "wanted")

    before = n_shards(out)
    process = started(*arguments)
    wait_until(lambda: n_shards(out) > before, process)
    children = children_of(process.pid)
    workers += [pid for pid in children if "spawn_main" in command_of(pid)]
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == "audiocodec: interrupted; nothing half-written is left\n"
    assert not list(out.rglob(".*.part"))
    assert all(is_over(pid) for pid in workers)
    end = time.monotonic() + 60  # Python's own tracker of resources ends when it sees that we have
    while not all(is_over(pid) for pid in children):
        assert time.monotonic() < end
        time.sleep(0.01)

    tokenize(long_corpus, out, model=model, settings=settings)
    assert contents(out) == contents(tmp_path / "wanted")


def command_of(pid):
    """The command line of a process."""
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


# What is refused


def test_another_job_in_the_folder_is_refused(tmp_path, small_16k, model, corpus):
    """With what differs."""
    inputs = tmp_path / "in"
    shutil.copytree(corpus[0], inputs)
    out = tmp_path / "out"
    small_16k.save_pretrained(tmp_path / "other")
    tokenize(inputs, out, model=model)

    def told(inputs=inputs, **changes):
        with pytest.raises(JobError) as caught:
            tokenize(inputs, out, **{"model": model} | changes)
        return str(caught.value)

    end = "; give the same as before, or name another folder"
    assert told(format="webdataset") == (
        f"{out}: was begun with format parquet, not webdataset{end}"
    )
    assert "with n_codebooks 9, not 3;" in told(n_codebooks=3)
    assert "shard_rows 128, not 3;" in told(settings=THREE)
    assert "with model small, not small_16k;" in told(model=tmp_path / "other")
    assert "item 1 of its inputs was" in told(inputs=corpus[0])
    assert "have a new item 8" in told(inputs=[inputs, corpus[1]])
    sf.write(inputs / "3.wav", np.zeros(50), 8000)
    assert f"{inputs / '3.wav'} has changed since the job was begun" in told()
    (inputs / "silence.flac").unlink()
    shutil.copy(corpus[0] / "3.wav", inputs / "3.wav")
    assert f"item 7 of its inputs, {inputs / 'silence.flac'}, is no longer there" in told()


def test_two_runs_in_a_folder_are_refused(tmp_path, model, corpus):
    """And shards that are of no job."""
    out = tmp_path / "out"
    with locked(out), pytest.raises(JobError, match="another run is writing there"):
        tokenize(corpus, out, model=model)
    (out / "tokens-00000.tar").write_text("")
    with pytest.raises(JobError, match=r"holds tokens-00000.tar, but no job.json"):
        tokenize(corpus, out, model=model)
    (out / "job.json").write_text("[]")
    with pytest.raises(JobError, match=r"job.json: cannot be used"):
        tokenize(corpus, out, model=model)


def test_wrong_arguments_are_refused(tmp_path, model, corpus):
    """Before anything is written."""
    for changes, told in (
        ({"format": "pickle"}, "'pickle' is none of parquet"),
        ({"workers": -1}, "-1 workers"),
        ({"n_codebooks": 10}, "1 to 9"),
        ({"inputs": []}, "no inputs"),
    ):
        with pytest.raises(ArgumentError, match=told):
            tokenize(**{"inputs": corpus, "out": tmp_path / "out", "model": model} | changes)
    for changes in ({"engine": "dask"}, {"address": "auto"}, {"shard_rows": 0}):
        with pytest.raises(ArgumentError):
            TokenizeSettings(**changes)
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty.csv").write_text("path\n")
    with pytest.raises(AudioError, match="holds nothing to encode"):
        tokenize(tmp_path / "empty.csv", tmp_path / "out", model=model)
    with pytest.raises(AudioError, match="there is no such file"):
        tokenize(tmp_path / "none", tmp_path / "out", model=model)


def test_a_full_disk_stops_the_job_which_goes_on_later(
    tmp_path, model, corpus, contents, monkeypatch
):
    """It is no item's fault."""

    def full(*_):
        raise OutputError("no space left on the disk")

    tokenize(corpus, tmp_path / "wanted", model=model, settings=THREE)
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "measure", full)  # as a spool of a compressed tar would
        with pytest.raises(OutputError, match="no space left"):
            tokenize(corpus, tmp_path / "out", model=model, settings=THREE)
    (tmp_path / "out" / "errors").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be removed: Not a directory"):
        tokenize(corpus, tmp_path / "out", model=model, settings=THREE)
    (tmp_path / "out" / "errors").unlink()
    tokenize(corpus, tmp_path / "out", model=model, settings=THREE)
    assert contents(tmp_path / "out") == contents(tmp_path / "wanted")


# Reading ahead


def test_pieces_are_made_ahead_and_no_further():
    """In order; the thread ends when nobody wants more, and what it raises comes out."""
    made = []

    def pieces(n):
        for i in range(n):
            made.append(i)
            yield i
        raise KeyError("made")

    with reading_thread() as thread:
        ahead = Ahead(2, thread)
        taken = ahead.of(pieces(100))
        assert [next(taken), next(taken)] == [0, 1]
        time.sleep(0.05)
        assert len(made) <= 5
        ahead.close()
        assert len(made) <= 6
        with pytest.raises(KeyError, match="made"):
            list(Ahead(2, thread).of(pieces(5)))


def test_a_package_that_is_missing_is_told_before_anything_is_encoded(
    tmp_path, model, corpus, monkeypatch
):
    """With the extra to install; no job is begun."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArgumentError, match=r"pip install 'audiocodec\[tokens\]'"):
        tokenize(corpus, tmp_path / "out", model=model)
    assert not (tmp_path / "out").exists()
