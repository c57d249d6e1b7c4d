"""The kit that trains the built-in model on a rented card, in miniature on the CPU.

From a pack to a model that loads: resumed, stopped, brought back in parts, undone if it diverges.
"""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from audiocodec import Codec, ModelConfig
from audiocodec.errors import AudioError, CodecError, ModelError
from audiocodec.lab.train import checkpoints, excerpts
from audiocodec.lab.train.discriminators import DiscriminatorConfig, Discriminators
from audiocodec.model.network import DAC
from audiocodec.weights.store import load_model, save_model

KIT = Path(__file__).parents[1] / "examples" / "train_embedded" / "gpu"
sys.path.insert(0, str(KIT))

import join  # noqa: E402
import material  # noqa: E402
import pack  # noqa: E402
import parts  # noqa: E402
import session  # noqa: E402
import step as steps  # noqa: E402
import train  # noqa: E402

RATE = 44100
CONFIG = ModelConfig(encoder_dim=2, decoder_dim=16, n_codebooks=2, codebook_size=16)


def sound(seconds: float, seed: int) -> np.ndarray:
    """A tone in noise that comes and goes, mono."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    noise = 0.1 * rng.standard_normal(len(t)) * np.sin(3 * t) ** 2
    return (noise + 0.2 * np.sin(2 * np.pi * (200 + 90 * seed) * t)).astype("f4")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """What fetch.py leaves: 3 recordings of each class, one of them very short, and held-out."""
    folder, rows = tmp_path_factory.mktemp("data"), []
    for n, kind in enumerate(("speech", "music", "environment") * 3):
        seconds = 0.2 if n == 4 else 1.5
        sf.write(folder / f"{n}.flac", sound(seconds, n), RATE)
        row = {"path": f"{n}.flac", "class": kind, "package": f"p{n % 2}", "source": f"s{n}"}
        full = "yes" if n > 3 else "no"
        row |= {"seconds": f"{seconds}", "source_rate": "44100", "full_band": full}
        rows.append(row)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    sf.write(folder / "held.flac", sound(3, 99), RATE)
    (folder / "held_out.csv").write_text("file,class\nheld.flac,speech\n")
    return folder


@pytest.fixture(scope="session")
def packed(data, tmp_path_factory):
    """Its pack."""
    out = tmp_path_factory.mktemp("pack")
    command = ["pack.py", str(data / "manifest.csv"), "--out", str(out), "--workers", "1"]
    command += ["--held-out", str(data / "held_out.csv"), "--excerpts", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        assert pack.main() == 0
    return out


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A micro model to start from."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start") / "micro"
    save_model(DAC(CONFIG), folder, "micro")
    return folder


def arguments(packed: Path, start: Path, folder: Path, **changed: object) -> Namespace:
    """Those of train.py, for two steps against a small adversary."""
    values = {"pack": packed, "state": folder / "state", "out": folder / "out", "seconds": 300.0}
    values |= {"of": 300.0, "steps": 2, "start": str(start), "device": "cpu", "batch": 2}
    values |= {"lr": 1e-3, "period_width": 1, "band_width": 1, "adversary_from": 0.0, "seed": 0}
    return Namespace(**values | {"report_every": 1e9, "no_graph": False} | changed)


@pytest.fixture(autouse=True)
def small_adversary(monkeypatch):
    """Two discriminators, of one band and few channels, and short excerpts."""
    monkeypatch.setattr(session, "EXCERPT_S", 0.1)
    config = DiscriminatorConfig((2,), (512,), bands=((0, 1),), period_width=1, band_width=2)
    monkeypatch.setattr(session, "discriminators", lambda *_: Discriminators(config))


def begun(*args: Path, **changed: object) -> session.Session:
    """A session that did not step yet, its time far away."""
    return session.Session(arguments(*args, **changed), session.monotonic())


def test_packages_give_evenly_and_no_more_than_they_have():
    """What a small one lacks, the others give."""
    assert pack.evenly({"a": 1, "b": 10, "c": 10}, 9) == {"a": 1, "b": 4, "c": 4}
    assert pack.evenly({"a": 1, "b": 2}, 9) == {"a": 1, "b": 2}


def test_speech_is_half_where_there_is_enough():
    """By seconds, in an order that the seed decides; recordings are cut, not exceeded."""
    kinds = ("speech", "music", "environment")
    rows = [{"class": k, "package": "p", "seconds": "100", "path": f"{k}{i}"} for k in kinds
            for i in range(40)]  # fmt: skip
    taken = pack.chosen(rows, hours=1.0, seed=1)
    total = {k: sum(s for row, s in taken if row["class"] == k) for k in kinds}
    assert total == pytest.approx({"speech": 1800, "music": 1080, "environment": 720})
    assert taken == pack.chosen(rows, hours=1.0, seed=1) != pack.chosen(rows, hours=1.0, seed=2)


def test_held_out_packages_are_never_packed(data, tmp_path, capsys, monkeypatch):
    """They are named, and nothing is written."""
    text = (data / "manifest.csv").read_text().replace("p1", "hedgewars-data")
    (tmp_path / "manifest.csv").write_text(text)
    command = ["pack.py", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "pack")]
    monkeypatch.setattr(sys, "argv", command)
    assert pack.main() == 1
    assert "hedgewars-data" in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()


def test_a_pack_decodes_to_its_recordings(data, packed):
    """Each where the index says, at its peak; the short one with silence behind it."""
    audio, places, held_out = material.load(packed)
    assert audio.dtype == torch.int16
    assert held_out.shape == (1, 1, material.HELD_OUT_SAMPLES)
    assert len(places) == 9
    assert sorted(place.n_samples for place in places)[:2] == [17640, 66150]
    assert sum(place.n_samples for place in places) == len(audio)
    assert {place.kind for place in places} == {"speech", "music", "environment"}
    originals = {kind: [] for kind in ("speech", "music", "environment")}
    for n in range(9):
        x = sf.read(data / f"{n}.flac", dtype="float32")[0]
        originals[("speech", "music", "environment")[n % 3]].append(x / np.abs(x).max() * 0.9)
    for place in places:
        part = audio[place.start : place.start + place.n_samples].numpy() / 32768
        errors = [np.abs(part[: len(x)] - x).mean() if len(x) <= len(part) else 1
                  for x in originals[place.kind]]  # fmt: skip
        assert min(errors) < 0.05  # a third of the noise, which no lossy codec keeps


def test_pieces_are_no_larger_than_asked_for(tmp_path):
    """And each has the index of its own streams; wheels lie in the first."""
    pieces = pack.Pieces(tmp_path, 2_500_000, {"wheels/a.whl": b"w" * 500_000})
    for n in range(3):
        pieces.add(f"{n}.ogg", bytes(900_000), [pack.Taken("s", "speech", "p", True, 0, 9)])
    pieces.close()
    assert max(pieces.sizes) <= 2_500_000
    assert len(pieces.sizes) == 3
    with tarfile.open(tmp_path / "piece_1.tar") as tar:
        assert tar.getnames() == ["index.json", "wheels/a.whl", "0.ogg"]
    with tarfile.open(tmp_path / "piece_2.tar") as tar:
        assert list(json.load(tar.extractfile("index.json"))) == ["1.ogg"]


def test_what_a_pack_carries_is_imported_where_it_is_missing(tmp_path, monkeypatch):
    """From the wheels of its first piece, unpacked beside it; not where soundfile is installed."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("carried_by_the_pack.py", "VALUE = 1")
    pieces = pack.Pieces(tmp_path, 2_500_000, {"wheels/carried-1-py3.whl": wheel.getvalue()})
    pieces.close()
    monkeypatch.setattr(sys, "path", [*sys.path])
    train.provide_wheels(tmp_path)
    assert find_spec("carried_by_the_pack") is None
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    train.provide_wheels(tmp_path)
    assert find_spec("carried_by_the_pack") is not None


def test_a_piece_that_is_cut_off_is_named(packed, tmp_path):
    """As is a folder without any."""
    with pytest.raises(AudioError, match="no piece"):
        material.load(tmp_path)
    content = (packed / "piece_1.tar").read_bytes()
    (tmp_path / "piece_1.tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"piece_1\.tar: not a whole piece"):
        material.load(tmp_path)


@given(st.integers(0, 1000), st.floats(0.001, 0.5), st.sampled_from([16896, 22050, 66150]))
def test_loudness_and_phase_are_those_of_the_library(seed, gain, n_samples):
    """On the card as `audiocodec train` computes them."""
    x = (gain * sound(n_samples / RATE, seed % 20)).astype("f4")
    batch = torch.from_numpy(x)[None]
    assert float(material.loudness(batch)[0]) == pytest.approx(excerpts.loudness(x, RATE), abs=0.01)
    shifted = material.phase_shifted(batch, torch.tensor([seed / 100]))
    expected = excerpts.phase_shifted(x, seed / 100)
    assert np.abs(shifted[0].numpy() - expected).max() < 1e-5


def test_excerpts_are_audible_whole_and_of_the_class_asked_for(packed):
    """Inside one recording; the same for the same seed and step; at -16 LUFS or full scale."""
    audio, places, _ = material.load(packed)
    corpus = material.Corpus(audio, places, 16896, torch.device("cpu"))
    for kind, full_band in (("speech", False), ("music", True)):
        plan = [(kind, full_band)] * 40
        for start in corpus.places(plan, 3, 0):
            found = [p for p in places if p.start <= start <= p.start + p.n_samples - 16896]
            assert [p.kind for p in found] == [kind]
            assert found[0].full_band or not full_band
    batch = corpus.batch(plan, 3, 1)
    assert torch.equal(batch, corpus.batch(plan, 3, 1))
    assert not torch.equal(batch, corpus.batch(plan, 3, 2))
    at_level = (material.loudness(batch[:, 0]) + 16).abs() < 0.7  # turned phases change it a little
    at_peak = batch.abs().amax(dim=(1, 2)) > 0.999
    assert bool((at_level | at_peak).all())


def test_silence_is_never_drawn():
    """Where half a recording is silent, excerpts begin in the other half."""
    audio = torch.from_numpy((32767 * sound(4, 1)).astype(np.int16))
    audio[: 2 * RATE] = 0
    places = [material.Place("speech", False, 0, len(audio))]
    corpus = material.Corpus(audio, places, 16896, torch.device("cpu"))
    assert corpus.places([("speech", False)] * 50, 0, 0).min() > 2 * RATE - 16896


def test_a_training_hands_back_a_model_and_goes_on(packed, start, tmp_path, monkeypatch):
    """Stopped and resumed, from its folder and from the parts; the model loads and evaluates."""
    first = begun(packed, start, tmp_path, steps=3)
    first.run()
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [0, 3]
    assert {"held_out_mel", "held_out_si_sdr", "steps_s", "excerpts_s", "feature"} <= set(log[1])
    found = list((tmp_path / "out").glob("*.part"))
    assert found
    assert all(path.stat().st_size <= 16 * 2**20 for path in found)
    second = begun(packed, start, tmp_path)
    assert (second.trainer.step, second.before_s) == (3, first.trainer.seconds)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "state").mkdir(parents=True)
    for path in found:
        (elsewhere / "state" / path.name).write_bytes(path.read_bytes())
    third = begun(packed, start, elsewhere, steps=1)
    for a, b in zip(first.trainer.model.parameters(), third.trainer.model.parameters()):
        assert torch.equal(a, b)
    third.run()
    assert third.trainer.step == 4
    target = tmp_path / "made"
    command = ["join.py", str(elsewhere / "out"), "--to", str(target)]
    monkeypatch.setattr(sys, "argv", command)
    assert join.main() == 0
    made = load_model(target)[0].state_dict()
    average = third.trainer.average.model.state_dict()
    assert all(torch.equal(made[name], average[name]) for name in average)
    codes = Codec.from_pretrained(target).encode(torch.zeros(1, 1, 4096))
    assert codes.shape[1] == CONFIG.n_codebooks


def test_too_little_time_for_a_step_is_told(packed, start, tmp_path):
    """Once the state it starts from is saved, and without measuring that again."""
    with pytest.raises(CodecError, match=r"no time for a step: .* --seconds 1 is left"):
        begun(packed, start, tmp_path, seconds=1.0).run()
    log = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [0]


def test_a_machine_without_a_card_is_told(packed, start, tmp_path, monkeypatch):
    """By a line that says how to rehearse, not by an error of torch's."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CodecError, match="no CUDA device here; --device cpu"):
        begun(packed, start, tmp_path, device="cuda")


def test_the_schedule_follows_the_time_of_all_calls(packed, start, tmp_path, monkeypatch):
    """Warm-up, adversary and decay by the share of the time that is over, not by steps."""
    one = begun(packed, start, tmp_path, of=1000.0, adversary_from=0.5)
    monkeypatch.setattr(one.trainer, "train_step", lambda: None)
    monkeypatch.setattr(one, "_look", lambda: None)
    monkeypatch.setattr(session, "time_shares", lambda trainer: {})
    rates = []
    for used in (0.0, 20.0, 499.0, 501.0, 1000.0):
        one.before_s, one.start = used, session.monotonic()
        one._step()
        rates.append(one.trainer.optimizers.lr_at("networks", one.trainer.position))
        assert one.trainer.adversary_plays == (used > 500)
    assert rates[0] < rates[1] / 50
    assert rates[2] == pytest.approx(5e-4, rel=0.01)
    assert rates[4] < 1e-6


def test_a_loss_that_is_not_finite_is_undone(packed, start, tmp_path, capsys):
    """Weights, averages and optimisers are those of the last good state; the rate is halved."""
    one = begun(packed, start, tmp_path)
    one.trainer.train_step()
    one.good.keep()
    before = {name: value.clone() for name, value in one.good._values().items()}
    with torch.no_grad():
        next(one.trainer.model.parameters()).fill_(float("nan"))
    one.trainer.train_step()
    one._look()
    assert "not finite: back to the last good state, at 0.5 of --lr" in capsys.readouterr().out
    after = one.good._values()
    assert all(torch.equal(before[name], after[name]) for name in before)
    one.trainer.train_step()
    assert steps.is_finite(one.trainer.figures())
    assert one.trainer.optimizers.by_name["networks"].param_groups[0]["lr"] == pytest.approx(
        0.5 * one.trainer.optimizers.lr_at("networks", one.trainer.position)
    )


def test_a_run_that_diverges_again_and_again_ends(packed, start, tmp_path):
    """With a line that names the loss."""
    one = begun(packed, start, tmp_path)
    one.trainer._values = {"mel": torch.tensor(float("nan"))}
    for _ in range(session.MOST_RETREATS):
        one._look()
    with pytest.raises(session.CodecError, match="mel not finite again"):
        one._look()


def test_the_layout_of_the_discriminators_is_measured(packed, start, tmp_path):
    """Both ways; their values stay, and no gradient is left."""
    critics = begun(packed, start, tmp_path).trainer.discriminators
    before = {name: value.clone() for name, value in critics.state_dict().items()}
    found = steps.with_faster_layout(critics, 4608, 1)
    assert "channels_last" in found
    assert "contiguous_format" in found
    after = critics.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(p.grad is None for p in critics.parameters())


class Watched(TorchDispatchMode):
    """Refuses what makes the CPU wait for the card or moves data between them."""

    REFUSED = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.REFUSED, f"{name} cannot be in a CUDA graph"
        return func(*args, **kwargs or {})


def test_what_is_recorded_asks_the_card_for_nothing(packed, start, tmp_path):
    """No value is read, and weights and states of optimisers stay where they are in memory.

    Rates are tensors then, as on CUDA. The optimisers' own kernels for CUDA are not seen here.
    """
    one = begun(packed, start, tmp_path)
    trainer = one.trainer
    trainer.train_step()
    places = {name: value.data_ptr() for name, value in one.good._values().items()}
    audio, n_active = trainer.inputs()
    adamw = [o for o in trainer.optimizers.by_name.values() if isinstance(o, torch.optim.AdamW)]
    for optimiser in adamw:
        optimiser.step = lambda: None
    for group in trainer.optimizers.by_name["matrices"].param_groups:
        group["lr"] = torch.tensor(1e-3)
    with Watched():
        trainer._learn(audio, n_active)
    assert places == {name: value.data_ptr() for name, value in one.good._values().items()}


def test_what_is_too_large_to_bring_back_is_left_out(packed, start, tmp_path):
    """The optimiser of the discriminators first; what is left resumes; too little is refused."""
    one = begun(packed, start, tmp_path)
    one.run()
    assert not parts.hand_back(one.checkpoint, tmp_path / "all")
    size = sum(path.stat().st_size for path in (tmp_path / "all").iterdir())
    left_out = parts.hand_back(one.checkpoint, tmp_path / "small", size - 1)
    assert left_out == ["the optimiser of the discriminators"]
    state = checkpoints.read(parts.whole(tmp_path / "small", tmp_path / "whole.pt"))
    assert "discriminators" not in state["optimizers"]
    checkpoints.load(one.trainer, tmp_path / "whole.pt")
    with pytest.raises(ModelError, match="the model alone"):
        parts.hand_back(one.checkpoint, tmp_path / "none", 1000)


def test_parts_that_lack_one_are_refused(tmp_path):
    """By name."""
    content = io.BytesIO()
    torch.save({"format": checkpoints.FORMAT, "x": torch.zeros(10)}, content)
    for n in (1, 3):
        (tmp_path / f"state_{n}_of_3.part").write_bytes(content.getvalue())
    with pytest.raises(ModelError, match="state_3_of_3"):
        parts.whole(tmp_path, tmp_path / "x.pt")


def test_a_terminated_run_hands_back(packed, start, tmp_path):
    """By the command: it ends well after the step, and the parts are whole."""
    command = [sys.executable, str(KIT / "train.py"), "--pack", str(packed), "--device", "cpu"]
    command += ["--state", str(tmp_path / "state"), "--out", str(tmp_path / "out")]
    command += ["--start", str(start), "--batch", "2", "--period-width", "1", "--band-width", "1"]
    command += ["--seconds", "300", "--adversary-from", "0.9", "--report-every", "0.1"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout:
            if "steps_s" in line:
                process.send_signal(signal.SIGTERM)
                break
        process.stdout.read()
    assert process.returncode == 0
    state = checkpoints.read(parts.whole(tmp_path / "out", tmp_path / "whole.pt"))
    assert state["step"] >= 1
