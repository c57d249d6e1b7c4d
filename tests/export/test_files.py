"""The files of an export: whole or not there, described, and of use without torch."""

import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest

from audiocodec import Codec, ModelConfig
from audiocodec.errors import ArgumentError, ModelError, OutputError, OutputExists
from audiocodec.export import export_onnx, networks
from audiocodec.export.graph import Graph
from tests.conftest import random_model

NAMES = ["README.md", "decoder.onnx", "encoder.onnx", "model.json"]


def test_model_json_says_what_a_program_must_know(small, small_onnx):
    """And each ONNX file says the same in its metadata."""
    exported, _ = small_onnx
    assert sorted(path.name for path in exported.folder.iterdir()) == NAMES
    facts = json.loads(exported.facts.read_text())
    expected = {"name": "small", "sample_rate": 44100, "hop": 512, "n_codebooks": 9}
    assert facts["opset"] == 17
    expected |= {"codebook_size": 1024, "fingerprint": small.fingerprint, "missing_samples": 0}
    assert expected.items() <= facts.items()
    assert facts["encoder"]["context_frames"] == 9
    assert facts["decoder"]["context_frames"] == 10
    for kind, path in (("encoder", exported.encoder), ("decoder", exported.decoder)):
        model = onnx.load(path)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert {key: str(value) for key, value in expected.items()}.items() <= metadata.items()
        shapes = {
            value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in [*model.graph.input, *model.graph.output]
        }
        described = facts[kind]["inputs"] + facts[kind]["outputs"]
        assert shapes == {value["name"]: value["shape"] for value in described}
        assert model.opset_import[0].version == 17


def test_the_short_end_of_the_published_alignment_is_told(export):
    """In model.json and in README.md."""
    config = ModelConfig(
        encoder_dim=2,
        encoder_strides=(2, 4, 5, 8),
        decoder_dim=16,
        decoder_strides=(8, 5, 4, 2),
        alignment="published",
    )
    exported, run = export(Codec(random_model(config), "short", device="cpu"))
    assert json.loads(exported.facts.read_text())["missing_samples"] == 8
    assert "frames * 320 - 8 samples" in exported.readme.read_text()
    assert run.decode(np.zeros((1, 9, 5), dtype=np.int64)).shape == (1, 1, 5 * 320 - 8)


def test_nothing_to_encode_or_decode_is_an_error_that_says_so(small_onnx):
    """Of onnxruntime, by the name of the node at which it stops."""
    _, run = small_onnx
    with pytest.raises(Exception, match="audio_has_no_samples"):
        run.encode(np.zeros((1, 1, 0), np.float32))
    for shape in ((1, 9, 0), (1, 0, 5)):
        with pytest.raises(Exception, match="codes_have_no_frames"):
            run.decode(np.zeros(shape, np.int64))


def test_the_example_of_the_readme_runs_without_torch_or_audiocodec(small_onnx):
    """In a process that cannot import them."""
    folder = small_onnx[0].folder
    (example,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    blocked = "import sys\nsys.modules['torch'] = sys.modules['audiocodec'] = None\n"
    code = [sys.executable, "-I", "-c", blocked + example]
    done = subprocess.run(code, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("(1, 9, 87) [")


def test_the_same_model_gives_the_same_bytes(small, small_onnx, tmp_path):
    """An export can be compared by its hash."""
    again = export_onnx(small, tmp_path)
    for name in NAMES:
        assert (again.folder / name).read_bytes() == (small_onnx[0].folder / name).read_bytes()


def test_files_are_replaced_only_when_asked_to(small, tmp_path):
    """Other files of the folder stay."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "decoder.onnx").write_text("old")
    with pytest.raises(OutputExists, match=r"decoder\.onnx: exists already"):
        export_onnx(small, tmp_path)
    assert (tmp_path / "decoder.onnx").read_text() == "old"
    export_onnx(small, tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*NAMES, "notes.txt"]
    onnx.checker.check_model(onnx.load(tmp_path / "decoder.onnx"))


def _snake_of_another_sign(self, snake, x, name):
    alpha = self.constant(f"{name}.alpha", snake.alpha)
    return self.add("Sub", x, self.add("Sin", self.add("Mul", x, alpha)))


def _farthest(graph, stage, residual, i):
    codes = _nearest(graph, stage, residual, i)
    return graph.add(
        "Mod", graph.add("Add", codes, graph.constant("one", [1])), graph.constant("size", [1024])
    )


_nearest = networks._nearest


def test_files_that_compute_something_else_are_not_kept(small, tmp_path, monkeypatch):
    """Wrong codes, or wrong audio: an error, and the folder as it was."""
    with monkeypatch.context() as patch:
        patch.setattr(networks, "_nearest", _farthest)
        with pytest.raises(ModelError, match=r"encoder\.onnx of small gives other codes"):
            export_onnx(small, tmp_path / "out")
    encode = networks.encoder_model(small.model, {})
    monkeypatch.setattr(networks, "encoder_model", lambda *_: encode)
    monkeypatch.setattr(Graph, "_snake", _snake_of_another_sign)
    with pytest.raises(ModelError, match=r"decoder\.onnx of small differs from torch by "):
        export_onnx(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_told(small, tmp_path):
    """A file where a folder should be, and a folder in no folder."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file: is a file"):
        export_onnx(small, tmp_path / "file")
    with pytest.raises(OutputError, match="none: does not exist; make it first"):
        export_onnx(small, tmp_path / "none" / "out")


def test_missing_packages_are_told_before_any_work(small, tmp_path, monkeypatch):
    """With what installs them."""
    monkeypatch.setattr("audiocodec.extras.find_spec", lambda name: None)
    with pytest.raises(
        ArgumentError, match=r"onnx, onnxruntime: pip install 'audiocodec\[export\]'"
    ):
        export_onnx(small, tmp_path)


def test_a_model_beyond_what_onnx_can_hold_is_refused(small, tmp_path, monkeypatch):
    """A protocol buffer ends at 2 GiB."""
    monkeypatch.setattr("audiocodec.export.exporting.MAX_BYTES", 1000)
    with pytest.raises(ModelError, match="an ONNX file holds less than 2 GiB"):
        export_onnx(small, tmp_path)


def test_a_fast_codec_is_exported_in_float32(small, tmp_path):
    """Precision is of the machine, not of the files."""
    fast = Codec(small.model, "small", device="cpu", precision="fast")
    assert export_onnx(fast, tmp_path).agreement.audio_error < 1e-4
