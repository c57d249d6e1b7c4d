"""Export: the networks as ONNX files, for programs that have neither torch nor this package.

A guest of the core.
"""

from typing import TYPE_CHECKING, Any

from audiocodec.export.exporting import Exported, export_onnx

if TYPE_CHECKING:
    from audiocodec.export.verification import Agreement

__all__ = ["Agreement", "Exported", "export_onnx"]


def __getattr__(name: str) -> Any:
    """Agreement, whose module imports onnxruntime, only when it is asked for."""
    if name != "Agreement":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from audiocodec.export.verification import Agreement

    return Agreement
