"""Every command refuses the same contradictory files, and recovery saves their sound."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import soundfile

from audiocodec.cli import run
from audiocodec.container import DacFile
from audiocodec.errors import ContainerError, ModelMismatch
from audiocodec.tokens.shards import open_shards
from tests.container.samples import EXAMPLE, HEADER, contradictory
from tests.tokens.shards.test_hostile import TOLD, tar_of

CONTRADICTORY = sorted(contradictory())
COMMANDS = {
    "concat": ["concat", "bad.dac", "good.dac", "--out", "out.dac"],
    "concat as the last": ["concat", "good.dac", "bad.dac", "--out", "out.dac"],
    "crop": ["crop", "bad.dac", "out.dac"],
    "crop of the first frame": ["crop", "bad.dac", "out.dac", "--frames", "--duration", "1"],
    "truncate": ["truncate", "bad.dac", "out.dac", "--codebooks", "1"],
    "splice": ["splice", "bad.dac", "good.dac", "out.dac"],
    "splice as the insert": ["splice", "good.dac", "bad.dac", "out.dac"],
    "a pipe into crop": ["crop", "-", "out.dac"],
    "a pipe into truncate": ["truncate", "-", "out.dac", "--codebooks", "1"],
    "decode": ["decode", "bad.dac", "out.wav", "--model", "model"],
    "decode of a part": ["decode", "bad.dac", "out.wav", "--model", "model", "--duration", "0.01"],
    "a pipe into decode": ["decode", "-", "out.wav", "--model", "model"],
}
# A part is read without the blocks behind it, whose damage does not matter to it.
OF_A_PART = ("crop of the first frame", "decode of a part")
DAMAGED_LATER = ("a block twice", "a gap between blocks")


@pytest.fixture(scope="module")
def bad(small_16k):
    """The bytes of each file, as of a model that can be loaded."""
    space = {"model": small_16k.name, "fingerprint": small_16k.fingerprint}
    files = contradictory(replace(HEADER, **space))
    return {"good": DacFile(replace(HEADER, **space), EXAMPLE.codes).to_bytes(), **files}


@pytest.fixture
def there(here, bad, small_16k):
    """The folder with the model and a good file."""
    small_16k.save_pretrained(here / "model")
    (here / "good.dac").write_bytes(bad["good"])
    return here


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_every_command_refuses_it(there, bad, name, monkeypatch, capsys):
    """With one line and no output, read from a file or from a pipe."""
    (there / "bad.dac").write_bytes(bad[name])
    for command, arguments in COMMANDS.items():
        if name in DAMAGED_LATER and command in OF_A_PART:
            continue
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(bad[name])))
        with pytest.raises(ContainerError) as caught:
            run(arguments)
        assert not isinstance(caught.value, ModelMismatch)
        assert "\n" not in str(caught.value), command
        assert not list(there.glob("out.*")), command
    assert run(["info", "bad.dac"]) == 1
    assert run(["compare", "bad.dac", "good.dac"]) == run(["compare", "good.dac", "bad.dac"]) == 2
    capsys.readouterr()
    shard = tar_of(there / "x.tar", ("a.dac", bad[name]), ("a.json", TOLD))
    with pytest.raises(ContainerError):
        list(open_shards(shard).rows())


def test_every_command_takes_the_good_one(there, bad, monkeypatch):
    """So that the refusals mean something."""
    (there / "bad.dac").write_bytes(bad["good"])
    for arguments in COMMANDS.values():
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(bad["good"])))
        assert run([*arguments, "--overwrite"]) == 0
    assert run(["info", "bad.dac"]) == run(["compare", "bad.dac", "good.dac"]) == 0


@pytest.mark.parametrize("name", ["no end", "a byte behind", "end of another length"])
def test_recovery_saves_the_sound_of_what_is_refused(there, bad, name, capsys):
    """All of it, where only the end is damaged."""
    (there / "bad.dac").write_bytes(bad[name])
    assert run(["decode", "bad.dac", "out.wav", "--model", "model", "--recover"]) == 0
    assert run(["decode", "good.dac", "good.wav", "--model", "model"]) == 0
    (found, _), (expected, _) = soundfile.read("out.wav"), soundfile.read("good.wav")
    assert (found == expected).all()
