"""This library, as a user calls it."""

import math
from pathlib import Path

import numpy as np
from torch import Tensor

from audiocodec.container import DacFile, Header
from audiocodec.lab.speed.system import (
    Cell,
    Spec,
    Work,
    codec_of,
    n_frames,
    noise,
    noise_file,
    random_codes,
    refuse,
)


class Ours:
    """Codec.encode, decode, compress and decompress."""

    def __init__(self, spec: Spec) -> None:
        """Raises ModelError."""
        self._spec, self._codec = spec, codec_of(spec)

    def prepare(self, cell: Cell) -> Work:
        """See System."""
        codec = self._codec
        if cell.operation == "encode":
            wav = noise(math.ceil(cell.audio_s * codec.sample_rate), cell.batch)
            return lambda: codec.encode(wav)
        if cell.operation == "decode":
            codes = random_codes(codec.config, cell)
            return lambda: codec.decode(codes)
        target = Path(self._spec.folder, "ours")
        if cell.operation == "compress":
            source = noise_file(self._spec, codec.sample_rate, cell.audio_s)
            return lambda: codec.compress(source, target.with_suffix(".dac"), overwrite=True)
        if cell.operation == "decompress":
            compressed = self._dac_file(cell)
            return lambda: codec.decompress(compressed, target.with_suffix(".wav"), overwrite=True)
        raise refuse(cell, "ours")

    def codes(self, audio: Tensor) -> Tensor:
        """See System."""
        return self._codec.encode(audio)

    def decoded(self, codes: Tensor) -> Tensor:
        """See Decodes."""
        return self._codec.decode(codes)

    def _dac_file(self, cell: Cell) -> Path:
        path = Path(self._spec.folder, f"ours_{cell.audio_s:g}.dac")
        config = self._codec.config
        header = Header(
            model=self._codec.name,
            fingerprint=self._codec.fingerprint,
            model_rate=config.sample_rate,
            hop=config.hop,
            sample_rate=config.sample_rate,
            channels=1,
            n_samples=n_frames(config, cell) * config.hop,
            n_codebooks=config.n_codebooks,
            codebook_size=config.codebook_size,
            alignment=config.alignment,
        )
        codes = random_codes(config, cell).numpy().astype(np.uint16)
        DacFile(header, codes).save(path, overwrite=True)
        return path
