"""Sound files, manifests and tars of them, made in tests."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf

from audiocodec.audio.source import BLOCK_SAMPLES
from audiocodec.recordings import open_recording

RATE = 8000


def sound(n_samples=4000, channels=1, seed=0):
    """Seeded noise (n_samples, channels) that 16 bits hold exactly."""
    shape = (n_samples, channels)
    return np.random.default_rng(seed).integers(-9000, 9000, shape, np.int16)


def sound_bytes(samples, format="WAV"):
    """A sound file."""
    file = io.BytesIO()
    sf.write(file, samples, RATE, format=format)
    return file.getvalue()


def put(path, samples):
    """A sound file at a path, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, RATE)
    return path


def tar_of(path, *parts):
    """A tar of (name, content), packed if it is called so."""
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as tar:
        for name, content in parts:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def read(item):
    """All samples of an item, (n_samples, channels), and its blocks' lengths."""
    with open_recording(item) as audio:
        assert audio.sample_rate == RATE
        once = [block.copy() for block in audio.blocks()]
        again = [block.copy() for block in audio.blocks()]
    assert all(np.array_equal(*pair) for pair in zip(once, again, strict=True))
    assert all(len(block) == BLOCK_SAMPLES for block in once[:-1])
    return np.concatenate(once)


def is_sound(item, samples):
    """Whether an item's audio is just these 16-bit samples."""
    return np.array_equal(read(item), samples.astype(np.float32) / 2**15)


def manifest(folder, suffix, rows):
    """A manifest of rows."""
    path = folder / f"m{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".parquet":
        schema = pa.Table.from_pylist([rows[1] | {"speaker": 1}]).schema
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
    else:
        names = list(rows[1])
        lines = [
            ",".join("" if row.get(name) is None else str(row[name]) for name in names)
            for row in rows
        ]
        path.write_text("\n".join([",".join(names), *lines]))
    return path
