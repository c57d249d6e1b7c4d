"""`audiocodec export`: four files, one line on what they are worth, errors in one line."""

import pytest

from audiocodec.cli.arguments import parse
from audiocodec.cli.export import export
from audiocodec.errors import ArgumentError


def test_a_model_becomes_files(start, here, model):
    """And the agreement with torch is printed; a second time only with --overwrite."""
    process = start("export", model, "--out", "onnx")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.decode().startswith("small: onnx/encoder.onnx, onnx/decoder.onnx\n")
    assert "ONNX opset 17, checked with onnxruntime: " in out.decode()
    assert "codes equal to torch's" in out.decode()
    names = sorted(path.name for path in (here / "onnx").iterdir())
    assert names == ["README.md", "decoder.onnx", "encoder.onnx", "model.json"]
    with pytest.raises(Exception, match="exists already"):
        parse(export, "export", [model, "--out", "onnx"])
    assert parse(export, "export", [model, "--out", "onnx", "--overwrite"]) == 0
    assert parse(export, "export", [model, "--out", "new/folder"]) == 0
    assert (here / "new" / "folder" / "model.json").exists()


def test_wrong_arguments_are_told(model):
    """Before a model is loaded."""
    for arguments, text in (
        ([model], "give --out"),
        ([model, "--out", "x", "--format", "tflite"], "--format tflite; there is onnx"),
        (["--out", "x", "--revision", "main"], "tiny_44khz is built in"),
    ):
        with pytest.raises(ArgumentError, match=text):
            parse(export, "export", arguments)
