"""Any model of this library, through real .dac files."""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from audiocodec.codec import Codec
from audiocodec.container import DacFile
from audiocodec.errors import ArgumentError, ModelError
from audiocodec.lab.evaluate.systems.base import Decoded, Setting, Unavailable, codebooks_setting
from audiocodec.lab.evaluate.systems.neural import fingerprint, spread
from audiocodec.lab.measures.signals import Samples


class CodecSystem:
    """A Codec with some of its codebooks; compress() to a file and decompress() as people do."""

    in_programs = False

    def __init__(self, codec: Codec, codebooks: tuple[int, ...], name: str | None = None) -> None:
        """codebooks: counts. Raises ArgumentError for one that the model does not have."""
        for n in codebooks:
            if not 1 <= n <= codec.n_codebooks:
                raise ArgumentError(f"{n} codebooks; {codec.name} has 1 to {codec.n_codebooks}")
        self._codec, self.name = codec, name or codec.name
        self.identity = _identity(codec)
        config = codec.config
        self.codebook_size = config.codebook_size
        self.settings = tuple(
            codebooks_setting(n, config.bits_per_code, config.frame_rate)
            for n in sorted(set(codebooks))
        )

    @classmethod
    def named(cls, name_or_path: str, codebooks: tuple[int, ...] = ()) -> "CodecSystem":
        """Load a model, on the CPU as all systems. codebooks: a few from one to all by default.

        Raises Unavailable where its weights cannot be had.
        """
        try:
            codec = Codec.from_pretrained(name_or_path, device="cpu")
        except ModelError as error:
            raise Unavailable(str(error)) from error
        return cls(codec, codebooks or spread(codec.n_codebooks))

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> Decoded:
        """Compress mono audio (n_samples,) to a file and decompress it.

        A model of another rate resamples on its own, within the seconds.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder) / "clip.dac"
            start = perf_counter()
            self._codec.compress(
                audio, path, sample_rate=sample_rate, n_codebooks=setting.codebooks
            )
            middle = perf_counter()
            decoded = self._codec.decompress(path)
            end = perf_counter()
            n_bytes, codes = path.stat().st_size, DacFile.load(path).codes[0]
        return Decoded(decoded.samples[:, 0], n_bytes, middle - start, end - middle, codes)


def _identity(codec: Codec) -> str:
    """Name, settings and all weights: Codec.fingerprint leaves out the convolutions."""
    config = json.dumps([codec.config.to_dict(), codec.precision.name], sort_keys=True)
    settings = hashlib.sha256(config.encode()).hexdigest()[:8]
    return f"{codec.name}, {settings}-{fingerprint(codec.model)}"
