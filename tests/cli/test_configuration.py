"""Flags from YAML: shipped recipes, includes, and what is refused."""

import argbind
import pytest

from audiocodec.cli.configuration import SHIPPED, settings_of
from audiocodec.cli.train import GROUP, network, train
from audiocodec.errors import ArgumentError

ACTIONS = argbind.build_parser(GROUP)._actions
RECIPES = sorted(p.relative_to(SHIPPED).with_suffix("").as_posix() for p in SHIPPED.rglob("*.yml"))


def test_the_command_is_bound():
    """So that its flags are among those tested here."""
    assert train.__name__ == "train"
    assert {"data", "out", "mel_weight", "encoder_dim"} <= {action.dest for action in ACTIONS}


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipes_fit(name):
    """Every key is a flag, every value fits it, every network can be built."""
    values = settings_of(name, ACTIONS)
    with argbind.scope(values):
        config = network()
    assert config.n_codebooks == values["n_codebooks"]
    assert config.hop in (128, 320, 512, 768, 1024, 1536)


def test_published_recipes_have_the_published_bit_rates():
    """Nominal kbps of the four models."""
    kbps = {"dac_44khz": 7.75, "dac_44khz_16kbps": 15.5, "dac_24khz": 24.0, "dac_16khz": 6.0}
    for name, expected in kbps.items():
        with argbind.scope(settings_of(name, ACTIONS)):
            assert network().kbps == pytest.approx(expected, abs=0.01)


def test_names_may_have_a_folder_and_a_suffix():
    """conf/tiny_44khz.yml is the recipe tiny_44khz."""
    expected = settings_of("tiny_44khz", ACTIONS)
    assert settings_of("conf/tiny_44khz.yml", ACTIONS) == expected
    assert settings_of("tiny_44khz.yml", ACTIONS) == expected


def test_a_file_builds_on_another(tmp_path):
    """Later values win; a text that is a number is one."""
    (tmp_path / "a.yml").write_text("lr: 1e-4\nsteps: 5\nmuon: true\n")
    (tmp_path / "b.yml").write_text("$include: [a.yml]\nsteps: 6\n")
    assert settings_of(str(tmp_path / "b.yml"), ACTIONS) == {"lr": 1e-4, "steps": 6, "muon": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("setps: 3", "unknown settings setps"),
        ("steps: three", "steps is 'three'; it must be a int"),
        ("muon: 1", "muon is 1; it must be true or false"),
        ("steps: [1, 2]", "steps is"),
        ("- steps", "must map flags"),
        ("$include: x.yml", "includes are circular"),
        ("$include: other.yml", "not a readable"),
        ("steps: !!python/object/apply:os.getpid []", "not a readable"),
        ("steps: '", "not a readable"),
    ],
)
def test_mistakes_name_the_file(tmp_path, text, message):
    """And nothing in it is executed."""
    path = tmp_path / "x.yml"
    path.write_text(text + "\n")
    with pytest.raises(ArgumentError, match=message) as caught:
        settings_of(str(path), ACTIONS)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_lists_what_is(tmp_path):
    """Shipped recipes by name; paths out of the folder are not followed."""
    with pytest.raises(ArgumentError, match="ablations/relu"):
        settings_of("dac_48khz", ACTIONS)
    with pytest.raises(ArgumentError, match="no such configuration"):
        settings_of("../../../setup", ACTIONS)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    "text",
    [
        "$include: 5",
        "steps: 2001-99-99",
        "[" * 10_000,
        "steps: 1\n" * 200_000,
        LAUGHS + "steps: *a39",
    ],
)
def test_hostile_configurations_are_refused(tmp_path, text):
    """One line, bounded, soon: whatever YAML makes of it."""
    path = tmp_path / "a.yml"
    path.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        settings_of(str(path), ACTIONS)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
