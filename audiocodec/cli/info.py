"""`audiocodec info`: describes a .dac file and checks that it is intact. Without torch."""

import math
import sys
from dataclasses import asdict, dataclass, field
from json import dumps
from typing import Any, BinaryIO

import argbind

from audiocodec.cli.batch import opened
from audiocodec.cli.messages import printable, say
from audiocodec.cli.system_report import system_facts
from audiocodec.container import PublishedFile, Reader, open_dac
from audiocodec.container.header import VERSION
from audiocodec.errors import ArgumentError


@dataclass(frozen=True)
class Facts:
    """What a file declares about itself; None where it declares nothing."""

    file: str
    n_bytes: int
    format: str
    sample_rate: int
    channels: int
    n_samples: int | None
    n_codebooks: int
    n_frames: int | None
    codebook_size: int | None = None
    model: str | None = None
    fingerprint: str | None = None
    gain_db: float | None = None
    loudness_lufs: float | None = None
    nominal_kbps: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def duration_s(self) -> float | None:
        """Length of the audio in seconds."""
        return None if self.n_samples is None else self.n_samples / self.sample_rate

    @property
    def kbps(self) -> float | None:
        """Bit rate of the whole file, header and index included."""
        return self.n_bytes * 8 / 1000 / self.duration_s if self.duration_s else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        derived = {
            "duration_s": self.duration_s,
            "kbps": self.kbps,
            "intact": not self.problems,
        }
        return asdict(self) | derived


@argbind.bind(without_prefix=True, positional=True, group="info")
def info(file: str, system: bool = False, json: bool = False, debug: bool = False) -> int:
    """Describe a .dac file and check that it is intact, or describe this installation.

    Parameters
    ----------
    file : str
        .dac file, ours or a published one, or - for standard input; left out with --system
    system : bool
        describe this installation instead: versions, device, kernels and threads
    json : bool
        print one JSON object
    debug : bool
        print the traceback of an error
    """
    if system == bool(file):
        raise ArgumentError("give either FILE or --system; `audiocodec info --help` says more")
    if system:
        return _print_system(json)
    with opened(file) as source:
        facts = _facts(source)
    print(dumps(facts.as_dict()) if json else "\n".join(_lines(facts)))
    if facts.problems:
        if sys.stdout:
            sys.stdout.flush()
        say(f"{facts.file}: is damaged; `audiocodec decode --recover` decodes what is intact")
    return 1 if facts.problems else 0


def _print_system(json: bool) -> int:
    facts = system_facts()
    rows = (f"{name:17}{value}" for name, value in facts.items())
    print(dumps(facts) if json else "\n".join(rows))
    return 0


def _facts(file: BinaryIO) -> Facts:
    n_bytes = file.seek(0, 2)
    file.seek(0)
    dac = open_dac(file)
    return _ours(dac, n_bytes) if isinstance(dac, Reader) else _published(dac, n_bytes)


def _ours(reader: Reader, n_bytes: int) -> Facts:
    header, n_samples = reader.header, reader.n_samples
    return Facts(
        file=reader.path,
        n_bytes=n_bytes,
        format=f"audiocodec version {VERSION}",
        sample_rate=header.sample_rate,
        channels=header.channels,
        n_samples=n_samples,
        n_codebooks=header.n_codebooks,
        n_frames=None if n_samples is None else header.frames_of(n_samples),
        codebook_size=header.codebook_size,
        model=header.model,
        fingerprint=header.fingerprint,
        gain_db=20 * math.log10(header.gain),
        nominal_kbps=header.nominal_kbps,
        tags=dict(header.tags),
        problems=reader.check(),
    )


def _published(content: PublishedFile, n_bytes: int) -> Facts:
    return Facts(
        file=content.path,
        n_bytes=n_bytes,
        format="published tool",
        sample_rate=content.sample_rate,
        channels=content.channels,
        n_samples=content.n_samples,
        n_codebooks=content.codes.shape[1],
        n_frames=content.codes.shape[2],
        loudness_lufs=content.input_db,
    )


def _lines(facts: Facts) -> list[str]:
    """For people."""
    rows = {
        "file": [f"{facts.file}, {facts.n_bytes} bytes"],
        "format": [facts.format],
        "model": [_model(facts)],
        "duration": [f"{_number(facts.duration_s, 3)} s ({_number(facts.n_samples)} samples)"],
        "sound": [f"{facts.sample_rate} Hz, {facts.channels} channel(s)"],
        "codes": [_codes(facts)],
        "level": [_level(facts)],
        "bit rate": [f"{_number(facts.kbps, 2)} kbps, nominal {_number(facts.nominal_kbps, 2)}"],
        "tags": [f"{key}: {value}" for key, value in facts.tags.items()] or ["none"],
        "integrity": facts.problems or ["intact"],
    }
    return [
        f"{'' if i else name:11}{printable(line)}"
        for name, lines in rows.items()
        for i, line in enumerate(lines)
    ]


def _model(facts: Facts) -> str:
    if facts.model is None:
        return "unknown: such files do not name it"
    return f"{facts.model}, fingerprint {facts.fingerprint}"


def _codes(facts: Facts) -> str:
    entries = f" x {facts.codebook_size} entries" if facts.codebook_size else ""
    return f"{facts.n_codebooks} codebooks{entries}, {_number(facts.n_frames)} frames"


def _level(facts: Facts) -> str:
    if facts.gain_db is None:
        return f"was {_number(facts.loudness_lufs, 2)} LUFS"
    return f"changed by {facts.gain_db:+.2f} dB before encoding; decoding takes it back"


def _number(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"
