"""What the tests of jobs share: a small model on disk, a corpus of every kind of input."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf


def noise(n_samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Seeded noise (n_samples, channels)."""
    return 0.1 * np.random.default_rng(seed).standard_normal((n_samples, channels))


@pytest.fixture(scope="session")
def model(small, tmp_path_factory) -> str:
    """A folder with the small model."""
    folder = tmp_path_factory.mktemp("model")
    small.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> list[Path]:
    """A folder, a manifest with excerpts, and a tar; three of the items are bad."""
    root = tmp_path_factory.mktemp("corpus")
    (root / "in").mkdir()
    for i, (rate, channels, n_samples) in enumerate(
        [(44100, 1, 70_000), (16000, 2, 30_000), (48000, 1, 9000), (8000, 1, 1), (44100, 2, 513)]
    ):
        sf.write(root / "in" / f"{i}.wav", noise(n_samples, channels, i), rate)
    sf.write(root / "in" / "silence.flac", np.zeros(3000), 22050)
    (root / "in" / "bad.wav").write_text("no audio")
    rows = [
        {"path": "in/0.wav", "start": 0.5, "duration": 0.25, "text": "one", "n": 1},
        {"path": "in/1.wav", "start": 1.0, "text": "two", "n": None},
        {"path": "in/missing.wav", "text": "three"},
        {"path": "in/2.wav", "start": 60, "text": "four"},
    ]
    manifest = root / "some.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with tarfile.open(root / "some.tar", "w") as tar:
        for name in ("a", "b"):
            sound = io.BytesIO()
            sf.write(sound, noise(4000, seed=ord(name)), 16000, format="FLAC")
            for suffix, content in (
                (".flac", sound.getvalue()),
                (".json", b'{"text": "%s"}' % name.encode()),
            ):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return [root / "in", manifest, root / "some.tar"]


@pytest.fixture(scope="session")
def contents():
    """All files of a job, by name, without the lock."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in files
            if path.name != ".lock"
        }

    return read


@pytest.fixture(scope="session")
def long_corpus(tmp_path_factory) -> Path:
    """A folder of clips that take a few seconds to encode, two of them bad."""
    folder = tmp_path_factory.mktemp("long")
    for i in range(14):
        sf.write(folder / f"{i:02}.wav", noise(44100 * 4, seed=i), 44100)
    for i in (3, 8):
        (folder / f"{i:02}bad.wav").write_text("no audio")
    return folder
