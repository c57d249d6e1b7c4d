"""A plan with workers that only pretend: what is measured, what is missing, and why."""

import numpy as np
import pytest

from audiocodec.errors import ArgumentError, ModelError
from audiocodec.lab.speed.run import BenchmarkPlan, run
from audiocodec.lab.speed.worker import Turn, WorkerFailed
from audiocodec.lab.systems.base import Unavailable

SECONDS = {"ours": 1.0, "published": 2.5, "stand-in": 4.0, "encodec": 0.5}


class Pretender:
    """A worker that needs as long as SECONDS says; some cannot start, some fail in their turn."""

    setting = {"torch": "0", "threads": 1, "device_type": "cpu", "bfloat16": False}  # noqa: RUF012

    def __init__(self, spec):
        self.spec, self.is_alive, self.cell = spec, True, None

    def __enter__(self):
        if self.spec.system == "snac":
            raise Unavailable("the package snac cannot be used")
        return self

    def __exit__(self, *_):
        self.is_alive = False

    def prepare(self, cell):
        self.cell = cell

    def take_turn(self):
        if self.spec.system == "transformers":
            raise WorkerFailed("RuntimeError: no")
        return Turn(0.0, SECONDS.get(self.spec.system, 1.0), 100.0)

    def codes(self, samples):
        return np.array([[[1, 2, 3, 4 if self.spec.system == "ours" else 5]]])


def measured(*systems, **settings):
    """Results of the built-in model's configuration, and the lines that were said."""
    said = []
    plan = BenchmarkPlan(("tiny_44khz",), systems, **settings)
    return run(plan, said.append, Pretender), said


def test_ratios_of_a_fake_pair():
    """Theirs over ours, for each operation, length and batch; seconds for each second."""
    results, _ = measured("published", lengths_s=(2.0, 1.0), batches=(1, 4))
    rows = results.rows
    assert {row.ratio for row in rows} == {2.5}
    assert [(r.operation, r.batch, r.audio_s) for r in rows] == [
        (operation, batch, length)
        for operation in ("encode", "decode")
        for batch in (1, 4)
        for length in (1.0, 2.0)
    ]
    assert rows[3].ours_s == 1.0 / 8
    assert rows[3].theirs_s == 2.5 / 8
    assert rows[0].ours_mib == 100.0
    assert [one.share for one in results.agreements] == [0.75]


def test_what_fails_does_not_stop_the_others():
    """A missing package is said once, a failing system for each row; the rest is measured."""
    results, said = measured("snac", "transformers", "published", lengths_s=(1.0,))
    assert {row.system for row in results.rows} == {"published"}
    reasons = [one.reason for one in results.missing]
    assert reasons.count("the package snac cannot be used") == 1
    assert reasons.count("RuntimeError: no") == 2
    assert any("snac" in line for line in said)


def test_long_audio_is_for_files_only():
    """Tensors of more than a minute are left out, and that is said."""
    results, _ = measured("published", "stand-in", lengths_s=(1.0, 3600.0))
    assert {r.operation for r in results.rows if r.audio_s == 3600.0} == {"compress", "decompress"}
    assert "tensors over 60 s" in [one.what for one in results.missing]


def test_ours_alone():
    """No ratio, all four operations."""
    results, _ = measured("ours", lengths_s=(1.0,))
    assert [row.operation for row in results.rows] == ["encode", "decode", "compress", "decompress"]
    assert {(row.system, row.ratio, row.theirs_s) for row in results.rows} == {("", None, None)}


def test_rates_are_beside_the_matrix_product():
    """Share: operations for each second over those of the product in the same round."""
    results, _ = measured("published", lengths_s=(1.0,))
    product, encode, *_ = results.rates
    assert product.share is None
    assert encode.share == pytest.approx(encode.gflops / product.gflops)
    assert [rate.what for rate in results.rates[1:]] == [
        "encode",
        "convolutions of encode",
        "decode",
        "convolutions of decode",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"systems": ("mp3",)},
        {"systems": ()},
        {"lengths_s": (0.0,)},
        {"batches": (0,)},
        {"rounds": 0},
        {"precision": "double"},
    ],
)
def test_a_plan_that_cannot_be(wrong):
    """Is refused before anything starts."""
    with pytest.raises(ArgumentError):
        BenchmarkPlan(**{"models": ("tiny_44khz",), "systems": ("published",), **wrong})


def test_a_model_that_is_not_there(tmp_path):
    """Is an error, not an empty table."""
    with pytest.raises(ModelError):
        run(BenchmarkPlan((str(tmp_path / "none"),), ("published",)), lambda line: None, Pretender)


def test_a_device_that_is_not_there_is_said_once():
    """By the error, which has no name of a system before it; nothing is said beside it."""

    class Refuser(Pretender):
        def __enter__(self):
            raise WorkerFailed("device 'cuda' cannot be used here: none")

    said = []
    plan = BenchmarkPlan(("tiny_44khz",), ("published",), device="cuda")
    with pytest.raises(ArgumentError, match=r"^device 'cuda' cannot be used here: none$"):
        run(plan, said.append, Refuser)
    assert said == []
