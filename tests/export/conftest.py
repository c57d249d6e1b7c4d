"""What the tests of the export share: small models exported once, and sessions of onnxruntime."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from audiocodec import Codec
from audiocodec.export import export_onnx


def sessions(folder: Path) -> SimpleNamespace:
    """encode(audio) -> codes and decode(codes) -> audio, by onnxruntime alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    encoder, decoder = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx", options)
        for name in ("encoder", "decoder")
    )

    def encode(audio: np.ndarray) -> np.ndarray:
        return encoder.run(["codes"], {"audio": audio})[0]

    def decode(codes: np.ndarray) -> np.ndarray:
        return decoder.run(["audio"], {"codes": codes})[0]

    return SimpleNamespace(encode=encode, decode=decode)


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """Export a codec to a new folder; returns what export_onnx says and the sessions."""

    def exported(codec: Codec) -> tuple:
        result = export_onnx(codec, tmp_path_factory.mktemp("export") / "onnx")
        return result, sessions(result.folder)

    return exported


@pytest.fixture(scope="session")
def small_onnx(small, export):
    """The small model at 44.1 kHz."""
    return export(small)


@pytest.fixture(scope="session")
def small_16k_onnx(small_16k, export):
    """The small model at 16 kHz, with a stride of 5."""
    return export(small_16k)
