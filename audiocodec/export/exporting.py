"""Exports a model as ONNX files, and keeps them only if they agree with torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audiocodec.codec import Codec
from audiocodec.errors import ModelError, OutputError, OutputExists
from audiocodec.export.description import (
    DECODER,
    ENCODER,
    FACTS,
    README,
    facts_json,
    metadata_of,
    readme,
)
from audiocodec.extras import check_installed
from audiocodec.files import make_folder, write_file
from audiocodec.parts import part_folder

if TYPE_CHECKING:
    from audiocodec.export.verification import Agreement  # which imports onnxruntime

PACKAGES = ("onnx", "onnxruntime")
NAMES = (README, ENCODER, DECODER, FACTS)  # in the order in which they are moved into place
MAX_BYTES = 2**31 - 2**20  # of weights in one ONNX file: a protocol buffer is limited to 2 GiB


class Exported(NamedTuple):
    """The files of an export, and how well they agree with torch."""

    folder: Path
    encoder: Path  # audio float32 (batch, 1, samples) -> codes int64 (batch, n_codebooks, frames)
    decoder: Path  # codes int64 (batch, 1 to n_codebooks, frames) -> audio (batch, 1, samples)
    facts: Path  # model.json: sample rate, hop, names and shapes
    readme: Path
    agreement: "Agreement"


def export_onnx(
    codec: Codec, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> Exported:
    """Write encoder.onnx, decoder.onnx, model.json and README.md to a folder.

    The encoder includes the quantizer; batch, length and, in the decoder, the number of codebooks
    are free. The files are first compared with torch on the CPU, and kept only if they agree. The
    folder is made if it is missing; other files in it stay.
    Raises ArgumentError if packages are missing, OutputExists, OutputError, and ModelError for a
    model that is too large for ONNX, or if the files do not compute what torch does.
    """
    target = Path(folder)
    check_installed("the export", "export", PACKAGES)
    _check_target(target, overwrite)
    codec = _exact(codec)
    _check_size(codec)
    with _temporary_beside(target) as temporary:
        _write(codec, temporary)
        from audiocodec.export.verification import verified

        agreement = verified(codec, temporary / ENCODER, temporary / DECODER)
        _check_target(target, overwrite)  # again: files may have appeared meanwhile
        make_folder(target)
        for name in NAMES:
            os.replace(temporary / name, target / name)
    return Exported(
        target, target / ENCODER, target / DECODER, target / FACTS, target / README, agreement
    )


def _check_target(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; give a folder for the ONNX files")
    for name in NAMES:
        if not overwrite and (folder / name).exists():
            raise OutputExists(str(folder / name))


def _check_size(codec: Codec) -> None:
    for network in (codec.model.encoder, codec.model.decoder):
        n_bytes = sum(4 * parameter.numel() for parameter in network.parameters())
        if n_bytes > MAX_BYTES:
            raise ModelError(
                f"{codec.name}: {n_bytes / 2**30:.1f} GiB of weights in one network; an ONNX file "
                "holds less than 2 GiB"
            )


def _exact(codec: Codec) -> Codec:
    """The codec itself, or a copy of it, on the CPU in float32."""
    if codec.device.type == "cpu" and codec.precision.name == "exact":
        return codec
    return Codec(deepcopy(codec.model), codec.name, "cpu")


@contextmanager
def _temporary_beside(folder: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as the target. Raises OutputError."""
    folder = folder.absolute()
    try:
        with part_folder(folder) as temporary:
            yield temporary
    except FileNotFoundError as error:
        raise OutputError(f"{folder.parent}: does not exist; make it first") from error
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _write(codec: Codec, folder: Path) -> None:
    from audiocodec.export.networks import decoder_model, encoder_model

    metadata = metadata_of(codec)
    for name, make in ((ENCODER, encoder_model), (DECODER, decoder_model)):
        content = make(codec.model, metadata).SerializeToString(deterministic=True)
        write_file(folder / name, content)
    write_file(folder / FACTS, facts_json(codec))
    write_file(folder / README, readme(codec))
