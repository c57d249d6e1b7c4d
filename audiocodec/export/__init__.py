"""Exports the networks as ONNX files, for programs without torch and without this package."""

from typing import TYPE_CHECKING, Any

from audiocodec.export.exporting import Exported, export_onnx

if TYPE_CHECKING:
    from audiocodec.export.verification import Agreement

__all__ = ["Agreement", "Exported", "export_onnx"]


def __getattr__(name: str) -> Any:
    """Import Agreement on first access only, because its module imports onnxruntime.

    Raises AttributeError for any other name.
    """
    if name != "Agreement":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from audiocodec.export.verification import Agreement

    return Agreement
