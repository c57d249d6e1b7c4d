"""What a command says where a package is missing: one line, with what installs it."""

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import audiocodec

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
sys.argv = ["audiocodec", *sys.argv[2:]]
from audiocodec.cli import main
main()
"""


@pytest.mark.parametrize(
    ("packages", "command", "extra"),
    [
        ("onnxruntime", "export tiny_44khz --out onnx", "export"),
        ("onnx", "export tiny_44khz --out onnx", "export"),
        ("pyarrow", "tokenize a.wav --out tokens", "tokens"),
        ("pyarrow", "tokenize list.parquet --out tokens --format webdataset", "tokens"),
        ("ray", "tokenize a.wav --out tokens --format webdataset --engine ray", "ray"),
        ("pesq,visqol", "evaluate a.wav --out report", "eval"),
        ("matplotlib", "evaluate --out report --ratings a.json", "eval"),
    ],
)
def test_a_missing_package_is_one_line(tmp_path, packages, command, extra):
    """That names the package and its extra, before anything is done."""
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "list.parquet").write_bytes(b"PAR1")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, packages, *command.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(audiocodec.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"pip install 'audiocodec[{extra}]'" in line
    assert extra in distribution("audiocodec").metadata.get_all("Provides-Extra")
