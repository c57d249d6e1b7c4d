"""Any model of this library, by way of real .dac files."""

import hashlib
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from torch import Tensor

from audiocodec.codec import Codec
from audiocodec.container import DacFile, Header
from audiocodec.errors import ArgumentError, ModelError
from audiocodec.lab.measures.signals import Samples
from audiocodec.lab.systems.base import (
    DecodedClip,
    Setting,
    Unavailable,
    codebooks_setting,
    weights_and_counts,
)
from audiocodec.lab.systems.neural import fingerprint, spread
from audiocodec.lab.systems.workloads import (
    FILES,
    TENSORS,
    TimedSpec,
    Work,
    Workload,
    codec_of,
    n_frames,
    noise,
    noise_file,
    random_codes,
    refuse,
)


class Ours:
    """A Codec with some of its codebooks, which writes and reads files as users do."""

    in_programs = False
    timed_title = "audiocodec"
    operations = TENSORS + FILES

    def __init__(
        self,
        codec: Codec,
        codebooks: tuple[int, ...] = (),
        name: str | None = None,
        folder: str = "",
    ) -> None:
        """codebooks: the counts to run; by default a few from one to all.
        folder: for the files of a benchmark.

        Raises ArgumentError for a count that the model does not have.
        """
        codebooks = codebooks or spread(codec.n_codebooks)
        for n in codebooks:
            if not 1 <= n <= codec.n_codebooks:
                raise ArgumentError(f"{n} codebooks; {codec.name} has 1 to {codec.n_codebooks}")
        self._codec, self._folder, self.name = codec, folder, name or codec.name
        self.identity = _identity(codec)
        config = codec.config
        self.codebook_size = config.codebook_size
        self.settings = tuple(
            codebooks_setting(n, config.bits_per_code, config.frame_rate)
            for n in sorted(set(codebooks))
        )

    @classmethod
    def named(cls, name_or_path: str, codebooks: tuple[int, ...] = ()) -> "Ours":
        """Load a model on the CPU, where all systems run. codebooks: see __init__.

        Raises Unavailable if its weights cannot be loaded.
        """
        try:
            codec = Codec.from_pretrained(name_or_path, device="cpu")
        except ModelError as error:
            raise Unavailable(str(error)) from error
        return cls(codec, codebooks)

    @classmethod
    def from_argument(cls, argument: str) -> "Ours":
        """See System; the argument is MODEL@COUNTS of codebooks, the counts optional."""
        return cls.named(*weights_and_counts(argument))

    @classmethod
    def for_timing(cls, spec: TimedSpec) -> "Ours":
        """See TimedSystem."""
        return cls(codec_of(spec), folder=spec.folder)

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Compress mono audio (n_samples,) to a file and decompress it.

        If the model has another sample rate, the times include its resampling.
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
        return DecodedClip(decoded.samples[:, 0], n_bytes, middle - start, end - middle, codes)

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem."""
        codec = self._codec
        if workload.operation == "encode":
            wav = noise(math.ceil(workload.audio_s * codec.sample_rate), workload.batch)
            return lambda: codec.encode(wav)
        if workload.operation == "decode":
            codes = random_codes(codec.config, workload)
            return lambda: codec.decode(codes)
        target = Path(self._folder, "ours")
        if workload.operation == "compress":
            source = noise_file(self._folder, codec.sample_rate, workload.audio_s)
            return lambda: codec.compress(source, target.with_suffix(".dac"), overwrite=True)
        if workload.operation == "decompress":
            compressed = self._dac_file(workload)
            return lambda: codec.decompress(compressed, target.with_suffix(".wav"), overwrite=True)
        raise refuse(workload, self.timed_title)

    def codes(self, audio: Tensor) -> Tensor:
        """See TimedSystem."""
        return self._codec.encode(audio)

    def decoded(self, codes: Tensor) -> Tensor:
        """See Decodes."""
        return self._codec.decode(codes)

    def _dac_file(self, workload: Workload) -> Path:
        path = Path(self._folder, f"ours_{workload.audio_s:g}.dac")
        config = self._codec.config
        header = Header(
            **vars(self._codec.space),
            sample_rate=config.sample_rate,
            channels=1,
            n_samples=n_frames(config, workload) * config.hop,
            n_codebooks=config.n_codebooks,
            alignment=config.alignment,
        )
        codes = random_codes(config, workload).numpy().astype(np.uint16)
        DacFile(header, codes).save(path, overwrite=True)
        return path


def _identity(codec: Codec) -> str:
    """Name, settings and a hash of all weights; Codec.fingerprint leaves out the convolutions."""
    config = json.dumps([codec.config.to_dict(), codec.precision.name], sort_keys=True)
    settings = hashlib.sha256(config.encode()).hexdigest()[:8]
    return f"{codec.name}, {settings}-{fingerprint(codec.model)}"
