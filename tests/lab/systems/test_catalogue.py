"""Systems by name, as the command is given them."""

import pickle

import pytest

from audiocodec.errors import ArgumentError
from audiocodec.lab.systems.catalogue import (
    SYSTEMS,
    TIMED,
    SystemSpec,
    class_of,
    make_specs,
    matched_opus,
    model_spec,
)
from audiocodec.lab.systems.dac_transformers import DacTransformers
from audiocodec.lab.systems.snac import Snac


def test_texts_become_specifications_that_travel():
    """Names, arguments and spaces; equal after a process boundary; printed as they were given."""
    specs = make_specs("opus, mp3:16/32,encodec:owner/name,")
    assert specs == [
        SystemSpec("opus"),
        SystemSpec("mp3", "16/32"),
        SystemSpec("encodec", "owner/name"),
    ]
    assert pickle.loads(pickle.dumps(specs)) == specs  # noqa: S301 - our own bytes
    assert ",".join(map(str, specs)) == "opus,mp3:16/32,encodec:owner/name"
    assert make_specs("") == []


def test_unknown_names_are_refused_with_those_that_there_are():
    """A typing mistake costs no run."""
    with pytest.raises(ArgumentError, match=r"no system 'opsu'; there are opus, .*codec"):
        make_specs("mp3,opsu:6/8")
    with pytest.raises(ArgumentError, match="opus:6 is asked for twice"):
        make_specs("opus:6,opus:6")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("opus", ["6 kbps", "8 kbps", "10 kbps", "12 kbps", "16 kbps", "20 kbps", "24 kbps"]),
        ("opus:12/6.5", ["6.5 kbps", "12 kbps"]),
        ("opus-at:7.9", ["at 7.9 kbps"]),
        ("mp3", ["8 kbps", "16 kbps", "24 kbps", "32 kbps"]),
        ("aac:24", ["24 kbps"]),
        ("codec:tiny_44khz", ["1 codebook", "3 codebooks", "6 codebooks", "9 codebooks"]),
        ("codec:tiny_44khz@2/4", ["2 codebooks", "4 codebooks"]),
    ],
)
def test_specifications_make_systems(programs, text, labels):
    """With the settings that were asked for, or the system's own."""
    [spec] = make_specs(text)
    assert [setting.label for setting in spec.make().settings] == labels


@pytest.mark.parametrize("text", ["opus:loud", "mp3:16/", "opus:3", "codec", "opus-at", "aac:17"])
def test_wrong_arguments_are_refused(programs, text):
    """When the system is made."""
    [spec] = make_specs(text)
    with pytest.raises(ArgumentError):
        spec.make()


def test_folders_and_counts_reach_the_systems(monkeypatch):
    """An @ in a folder's name is no count."""
    calls = []
    for system in (DacTransformers, Snac):
        monkeypatch.setattr(system, "pretrained", lambda *arguments: calls.append(arguments))
    for spec in make_specs("dac,dac:a@b/c,dac:a/b@1/9,dac:@2,snac,snac:x"):
        spec.make()
    usual = "descript/dac_44khz"
    assert calls == [
        (usual, ()),
        ("a@b/c", ()),
        ("a/b", (1, 9)),
        (usual, (2,)),
        (),
        ("x",),
    ]


def test_every_entry_is_one_class_that_does_what_it_is_listed_for():
    """Names are unique; evaluated ones run, timed ones prepare and have a title."""
    names = [entry.evaluated_as for entry in SYSTEMS] + [entry.timed_as for entry in SYSTEMS]
    assert len(SYSTEMS) == len({entry.home for entry in SYSTEMS})
    for name in ("opus", "encodec", "snac", "codec"):
        assert names.count(name) in (1, 2)
    for entry in SYSTEMS:
        made = class_of(entry)
        assert not entry.evaluated_as or (callable(made.from_argument) and callable(made.run))
        assert not entry.timed_as or (callable(made.for_timing) and callable(made.prepare))
    assert len({class_of(entry).timed_title for entry in TIMED.values()}) == len(TIMED)


def test_the_model_and_opus_at_its_rates():
    """What the evaluation itself asks for."""
    assert model_spec("tiny_44khz") == SystemSpec("codec", "tiny_44khz")
    assert str(model_spec("a/b", (1, 9))) == "codec:a/b@1/9"
    assert matched_opus([0.9, 7.93, 5.4, 6.04]) == SystemSpec("opus-at", "6/7.9")
    assert matched_opus([0.9]) is None
