"""The whole evaluation: every clip through every system, kept, gone on with, written down."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.lab.evaluate import measuring
from audiocodec.lab.evaluate import run as run_module
from audiocodec.lab.evaluate.clips import find_clips, make_reference
from audiocodec.lab.evaluate.report_data import Report
from audiocodec.lab.evaluate.run import EvaluationPlan, checked, evaluate
from audiocodec.lab.evaluate.store import Store
from audiocodec.lab.systems.catalogue import model_spec
from audiocodec.lab.systems.ours import Ours
from audiocodec.weights.store import save_model

RATE = 44100
SECONDS = 0.7  # under a second: nothing asks for ViSQOL, which takes long


@pytest.fixture(scope="module")
def model(small, tmp_path_factory) -> Path:
    """The small model, saved."""
    folder = tmp_path_factory.mktemp("model") / "small"
    save_model(small.model, folder, "small")
    return folder


@pytest.fixture
def clips(tmp_path) -> Path:
    """Two classes; a clip of silence and one that is no audio among them."""
    rng, folder = np.random.default_rng(0), tmp_path / "clips"
    time_s = np.arange(round(SECONDS * RATE)) / RATE
    sounds = {
        "music/a.wav": 0.2 * np.sin(2 * np.pi * (300 * time_s + 400 * time_s**2)),
        "music/b.wav": 0.05 * rng.standard_normal(len(time_s)) * np.sin(9 * time_s) ** 2,
        "noises/c.wav": 0.1 * rng.standard_normal(len(time_s)),
        "noises/silence.wav": 0 * time_s,
    }
    for name, sound in sounds.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(folder / name, sound.astype(np.float32), RATE)
    (folder / "noises" / "broken.wav").write_text("no audio")
    return folder


@pytest.fixture
def plan(clips, model, tmp_path) -> EvaluationPlan:
    """The model alone, in this process's children."""
    return EvaluationPlan(
        data=clips,
        out=tmp_path / "report",
        cache=tmp_path / "cache",
        model=str(model),
        codebooks=(1, 9),
        listen=1,
        jobs=2,
    )


def without_times(report: Report) -> list:
    """Rows but for how long things took."""
    return [(row.clip, row.label, row.kbps, row.figures, row.failures) for row in report.rows]


def test_every_clip_goes_through_every_setting_once(plan):
    """Figures or reasons; what cannot be read is told apart; a second run measures nothing."""
    told: list[str] = []
    first = evaluate(plan, told.append)
    assert [(row.clip, row.codebooks) for row in first.rows] == [
        (clip, n) for n in (1, 9) for clip in ("a.wav", "b.wav", "c.wav")
    ]
    assert [text.split(": ")[0].rpartition("/")[2] for text in first.failed] == [
        "broken.wav",
        "silence.wav",
    ]
    by_clip = {(row.clip, row.codebooks): row for row in first.rows}
    assert by_clip["a.wav", 9].failures["visqol"] == "shorter than 1 s"
    assert by_clip["a.wav", 9].nominal_kbps == pytest.approx(7.752, abs=0.01)
    assert by_clip["a.wav", 9].kbps > by_clip["a.wav", 9].nominal_kbps
    assert by_clip["a.wav", 9].tokens_per_s == pytest.approx(9 * 86.13, abs=0.1)

    usage = {(one.system, one.kind): one for one in first.usage}
    assert {kind for _, kind in usage} == {"all", "music", "noises"}
    n_frames = -(-round(SECONDS * RATE) // 512)
    assert usage["small", "music"].n_frames == 2 * n_frames
    assert len(usage["small", "all"].entropy) == 9

    [speed] = first.speed
    assert speed.setting == "9 codebooks"
    assert speed.encode_speed > 0
    assert 50 < speed.peak_mib < 4000
    assert [heard.clip for heard in first.heard] == ["a.wav", "c.wav"]
    assert all(condition.audio.exists() for h in first.heard for condition in h.conditions)

    again = evaluate(plan, told.append)
    assert without_times(again) == without_times(first)
    assert len([line for line in told if line.startswith("measuring")]) == 1


def test_baselines_that_cannot_run_are_told(plan):
    """With the reason, in the report too; the others go on."""
    told: list[str] = []
    report = evaluate(replace(plan, baselines="codec:nowhere/else/at/all"), told.append)
    [(name, reason)] = report.not_run.items()
    assert name == "codec:nowhere/else/at/all"
    assert any(reason in line for line in told)
    assert {row.system for row in report.rows} == {"small"}


def test_namesakes_are_refused(plan, small_16k, tmp_path):
    """Their lines could not be told apart."""
    save_model(small_16k.model, tmp_path / "other", "small")
    with pytest.raises(ArgumentError, match="called small"):
        evaluate(replace(plan, baselines=f"codec:{tmp_path / 'other'}"), lambda _: None)
    with pytest.raises(ArgumentError, match="called small; name it once"):
        evaluate(replace(plan, baselines=f"codec:{plan.model}"), lambda _: None)


def test_what_was_measured_of_other_models_is_shared(plan, tmp_path):
    """A new codebook count of the same model decodes that alone."""
    evaluate(plan, lambda _: None)
    before = len(list((plan.cache / "decoded").glob("*.flac")))
    evaluate(replace(plan, codebooks=(1, 3, 9), out=tmp_path / "other"), lambda _: None)
    assert len(list((plan.cache / "decoded").glob("*.flac"))) == before + 3


def test_without_a_clip_there_is_an_error(plan, clips):
    """That says what is wrong with the first."""
    with pytest.raises(AudioError, match=r"broken\.wav"):
        evaluate(replace(plan, data=clips / "noises" / "broken.wav"), lambda _: None)


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"jobs": -1}, {"listen": -1}, {"seconds": 0.0}, {"sample_rate": 10}]
)
def test_numbers_out_of_range_are_refused(plan, wrong):
    """By the name of their flag."""
    with pytest.raises(ArgumentError, match="--"):
        checked(replace(plan, **wrong))


def test_missing_packages_are_named_before_any_work(plan, monkeypatch):
    """With the extra that brings them."""
    monkeypatch.setattr(run_module, "PACKAGES", ("numpy", "no_such_package"))
    with pytest.raises(ArgumentError, match=r"needs no_such_package: pip install .*\[eval\]"):
        checked(plan)


def test_a_store_that_cannot_be_written_ends_the_run(plan, monkeypatch):
    """A full disk is no fault of a clip."""

    def full(*_):
        raise OutputError("no space left on the disk")

    monkeypatch.setattr(measuring, "_row", full)
    with pytest.raises(OutputError, match="no space"):
        measuring.measured(Store(plan.cache), None)


def command(clips: Path, model: Path, out: Path, *flags: str) -> list[str]:
    """`audiocodec evaluate` as a shell runs it."""
    call = [sys.executable, "-m", "audiocodec", "evaluate", str(clips), "--model", str(model)]
    call += ["--codebooks", "1", "9", "--jobs", "2", "--listen", "1", "--out", str(out)]
    return [*call, *flags]


def figures(out: Path) -> list[dict[str, str]]:
    """Rows of results.csv, but for how long things took."""
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["encode_speed"], row["decode_speed"]
    return rows


def test_a_killed_run_goes_on(clips, model, tmp_path):
    """SIGKILL in the middle; the same command ends with what an undisturbed one gives."""
    flags = ["--baselines", ""]
    undisturbed = command(clips, model, tmp_path / "one", *flags)
    subprocess.run(undisturbed, check=True, capture_output=True)

    disturbed = command(clips, model, tmp_path / "two", *flags)
    process = subprocess.Popen(disturbed, stderr=subprocess.PIPE, start_new_session=True)
    records = tmp_path / "two" / "cache" / "records"
    while not list(records.glob("*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "two" / "results.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in records.glob("*.json")}
    done = subprocess.run(disturbed, check=True, capture_output=True, text=True)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert figures(tmp_path / "two") == figures(tmp_path / "one")
    assert "index.html" in done.stderr


def check_ratings(out: Path) -> None:
    """What the listening test saves is understood: here the reference is heard, always."""
    key = json.loads((out / "listening_key.json").read_text(encoding="utf-8"))
    trials = [
        {
            "trial": trial["trial"],
            "order": order,
            "seconds": 30,
            "comment": "",
            "ratings": [
                {"condition": name, "score": 100 if what["role"] == "reference" else 40, "plays": 1}
                for name, what in trial["conditions"].items()
            ],
        }
        for order, trial in enumerate(key["trials"], 1)
    ]
    when = "2026-11-24T12:00:00Z"
    listener = {"listener": "a b", "started": when, "finished": when, "remarks": ""}
    about = {"format": "audiocodec listening ratings 1", "test": key["test"]}
    (out / "a b.json").write_text(json.dumps(about | listener | {"trials": trials}))
    call = [sys.executable, "-m", "audiocodec", "evaluate", "--ratings", str(out / "a b.json")]
    run = subprocess.run([*call, "--out", str(out)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "small, 9 codebooks" in run.stdout
    assert (out / "ratings.csv").exists()


def test_the_command_writes_the_report(clips, model, tmp_path):
    """Tables on standard output, files in the folder; what is wrong is one line."""
    out = tmp_path / "report"
    run = subprocess.run(
        command(clips, model, out, "--baselines", ""), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "small, 9 codebooks" in run.stdout
    assert len(figures(out)) == 6
    assert {"index.html", "listening_test.html", "results.parquet", "summary.md"} <= {
        path.name for path in out.iterdir()
    }
    about = json.loads((out / "about.json").read_text(encoding="utf-8"))
    assert "2 music, 1 noises" in json.dumps(about)
    check_ratings(out)
    wrong = subprocess.run(
        command(clips, model, out, "--baselines", "flute"), capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "flute" in wrong.stderr


def test_a_system_that_fails_on_a_clip_costs_that_clip(plan, monkeypatch, small):
    """The line says which clip, system and setting."""
    system = Ours(small, (9,))
    monkeypatch.setattr(system, "run", lambda *_: 1 / 0)
    monkeypatch.setattr(measuring, "system_of", lambda spec: system)
    store = Store(plan.cache)
    clip = find_clips(plan.data / "music")[0]
    reference = make_reference(clip, store.references, RATE, 10)
    setting = system.settings[0]
    candidate = measuring.Candidate(model_spec("small"), "small", "identity", setting, 1024)
    outcome = measuring.measured(store, measuring.Task(reference, candidate))
    assert outcome.startswith("a.wav, small, 9 codebooks: ZeroDivisionError")
