"""`audiocodec export`: a model as ONNX files."""

from pathlib import Path

import argbind

from audiocodec.cli.messages import printable
from audiocodec.cli.models import revision_of
from audiocodec.cli.operands import check_folder
from audiocodec.errors import ArgumentError
from audiocodec.files import check_apart, make_folder
from audiocodec.weights.registry import DEFAULT_MODEL

FORMATS = ("onnx",)


@argbind.bind(without_prefix=True, positional=True, group="export")
def export(
    model: str,
    out: str = "",
    format: str = "onnx",
    revision: str = "",
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Write a model's encoder and decoder as ONNX files.

    Parameters
    ----------
    model : str
        model to export: a name (see `audiocodec models`), owner/name on the hub, a folder or a file
    out : str
        folder to write encoder.onnx, decoder.onnx, model.json and README.md to
    format : str
        format of the files: onnx
    revision : str
        branch, tag or commit of a model on the hub
    overwrite : bool
        replace files that exist
    debug : bool
        print the traceback of an error
    """
    if format not in FORMATS:
        raise ArgumentError(f"--format {format}; there is {', '.join(FORMATS)}")
    if not out:
        raise ArgumentError("give --out with a folder for the ONNX files")
    check_folder(out)
    check_apart([model], out)
    model = model or DEFAULT_MODEL
    wanted = revision_of(model, revision)
    from audiocodec.cli.loading import loaded
    from audiocodec.export import export_onnx
    from audiocodec.export.description import OPSET

    codec = loaded(model, wanted, "cpu", False)
    make_folder(Path(out).parent)
    exported = export_onnx(codec, out, overwrite=overwrite)
    print(printable(f"{codec.name}: {exported.encoder}, {exported.decoder}"))
    print(f"ONNX opset {OPSET}, checked with onnxruntime: {exported.agreement}")
    return 0
