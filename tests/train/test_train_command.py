"""The training command: configuration files, flags, a whole tiny run."""

import numpy as np
import pytest
import soundfile as sf

from audiocodec.errors import ArgumentError
from audiocodec.train.__main__ import CONF, main, parsed, parsed_shares
from audiocodec.weights.store import load_model


def test_shipped_configurations_are_understood():
    """Every key is a flag, and flags beside the file win."""
    for path in CONF.glob("*.yml"):
        args = parsed(["--args.load", path.stem, "--steps", "3"])
        assert args["steps"] == 3
        assert args["encoder_dim"] == 16


def test_misspelt_settings_are_refused(tmp_path, capsys):
    """In a file with an ArgumentError, on the command line by argparse."""
    (tmp_path / "a.yml").write_text("setps: 3\n")
    with pytest.raises(ArgumentError, match="setps"):
        parsed(["--args.load", str(tmp_path / "a.yml")])
    with pytest.raises(SystemExit):
        parsed(["--setps", "3"])
    assert "--setps" in capsys.readouterr().err


def test_nothing_in_a_configuration_is_executed(tmp_path):
    """Python tags of YAML are refused."""
    (tmp_path / "a.yml").write_text("steps: !!python/object/apply:os.getpid []\n")
    with pytest.raises(ArgumentError, match="not a readable configuration"):
        parsed(["--args.load", str(tmp_path / "a.yml")])


def test_shares_are_numbers_by_class():
    """Anything else is an error that shows how."""
    assert parsed_shares("speech=3 music=2.5") == {"speech": 3.0, "music": 2.5}
    with pytest.raises(ArgumentError, match="speech=3"):
        parsed_shares("speech")


def test_the_command_trains_and_writes_a_model(tmp_path):
    """From a manifest to a folder that loads."""
    sf.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 8000)
    (tmp_path / "m.csv").write_text("path,class\na.wav,music\n")
    flags = "--sample_rate 8000 --encoder_dim 4 --decoder_dim 16 --strides 4_8 --n_codebooks 2"
    flags += " --steps 2 --excerpt_frames 64 --batch_size 2 --shares music=1 --device cpu --out"
    argv = [flag.replace("_8", " 8") for flag in flags.split()]
    assert main([*argv, str(tmp_path / "run"), "--data", str(tmp_path / "m.csv")]) == 0
    model, name = load_model(tmp_path / "run" / "model")
    assert name == "run"
    assert model.config.hop == 32


def test_mistakes_are_one_line(capsys):
    """Without data there is nothing to do."""
    assert main([]) == 1
    assert "--data" in capsys.readouterr().err
