"""Export: the networks as ONNX files, for programs that have neither torch nor this package.

A guest of the core.
"""

from audiocodec.export.exporting import Exported, export_onnx
from audiocodec.export.verification import Agreement

__all__ = ["Agreement", "Exported", "export_onnx"]
