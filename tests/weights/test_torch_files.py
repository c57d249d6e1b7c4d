"""Files of torch.save are data: read as torch reads them, executed never, believed never."""

import os
import struct
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from torch.package import PackageExporter

from audiocodec import Codec, ModelConfig
from audiocodec.errors import ModelError
from audiocodec.weights.store import load_model
from audiocodec.weights.torch_files import read_tensors, read_torch_file
from tests.conftest import random_model
from tests.weights.test_layouts import pth_of

BIAS, DIRECTION = "decoder.model.0.bias", "decoder.model.0.weight_v"
PROTOCOL, STOP = b"\x80\x02", b"."


@pytest.fixture(scope="module")
def micro():
    """The smallest model there is: its file is mostly structure."""
    config = ModelConfig(
        encoder_dim=2,
        encoder_strides=(2,),
        decoder_dim=2,
        decoder_strides=(2,),
        n_codebooks=1,
        codebook_size=2,
        codebook_dim=1,
    )
    return Codec(random_model(config), "micro", device="cpu")


@pytest.fixture
def zipped(micro, tmp_path):
    return pth_of(micro, tmp_path / "zipped.pth")


@pytest.fixture
def legacy(zipped, tmp_path):
    """The same in the format from before torch 1.6."""
    return saved(torch.load(zipped, weights_only=True), tmp_path / "legacy.pth", is_zip=False)


def saved(content, path, is_zip=True):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


def altered(path, name, content, method=zipfile.ZIP_STORED):
    """The same archive with one member replaced, its checksum right."""
    with zipfile.ZipFile(path) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    (full_name,) = (member for member in members if member.endswith(f"/{name}"))
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, old in members.items():
            archive.writestr(member, content if member == full_name else old)
    return path


def same(a, b):
    """Equal values and containers, tensors of equal type, shape and numbers."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("is_zip", [True, False])
def test_read_as_torch_reads(tmp_path, is_zip):
    """Values, containers, and tensors of many kinds, some of which look at the same numbers."""
    numbers = torch.arange(24, dtype=torch.float32)
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
    content = {
        "plain": [1, -7, 2**40, -(2**70), 0.5, True, None, "text \u00e9\n", (), (1, (2,)), [], {}],
        "views": [numbers, numbers[3:7], numbers.view(4, 6).t(), numbers[::5], numbers[:0]],
        "kinds": {str(kind): torch.tensor([0, 1, 1]).to(kind) for kind in kinds},
        "shapes": (torch.tensor(3.0), torch.zeros(0, 5), torch.ones(1, 2, 3, 4)),
        "model": torch.nn.Linear(3, 2).state_dict(),
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "betas": [(0.8, 0.99)] * 2},
        7: [numbers] * 3,
    }
    path = saved(content, tmp_path / "a.pt", is_zip)
    read = read_tensors(read_torch_file(path))
    assert same(read, content)
    assert same(read, torch.load(path, weights_only=True))
    assert read[7][0] is read[7][2] is read["views"][0]
    assert all(tensor.is_contiguous() for tensor in read["views"])


def test_a_parameter_is_a_tensor(tmp_path):
    """As modules hold them."""
    path = saved({"x": torch.nn.Parameter(torch.ones(2))}, tmp_path / "a.pt")
    assert torch.equal(read_tensors(read_torch_file(path))["x"], torch.ones(2))


def test_a_file_without_checksums_is_read(zipped, micro):
    """torch.serialization.set_crc32_options(False) writes such."""
    content = torch.load(zipped, weights_only=True)
    torch.serialization.set_crc32_options(False)
    try:
        saved(content, zipped)
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_model(zipped)[0].fingerprint() == micro.fingerprint


def test_a_flipped_bit_is_noticed(zipped, micro):
    """In numbers, which no structure holds together."""
    raw = bytearray(zipped.read_bytes())
    weight = micro.model.state_dict()["quantizer.stages.0.codebook.weight"].numpy().tobytes()
    raw[raw.index(weight)] ^= 1
    zipped.write_bytes(raw)
    with pytest.raises(ModelError, match="checksum of a tensor is wrong"):
        load_model(zipped)


KINDS = {
    "sparse": lambda x: x.to_sparse(),
    "rows": lambda x: x[None].to_sparse_csr(),
    "quantized": lambda x: torch.quantize_per_tensor(x, 1.0, 0, torch.qint8),
    "meta": lambda x: x.to("meta"),
    "nested": lambda x: torch.nested.nested_tensor([x, x[:1]]),
    "complex": lambda x: x.to(torch.complex64),
    "integers": lambda x: x.long(),
    "eight bits": lambda x: x.to(torch.float8_e4m3fn),
    "text": lambda x: "text",
    "tensors": lambda x: [x],
}


@pytest.mark.filterwarnings("ignore")  # torch announces changes to half of these kinds
@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_plain_tensor_is_refused(zipped, kind, is_zip):
    """Nothing is dropped without a word, and nothing ends in an error of torch's."""
    content = torch.load(zipped, weights_only=True)
    content["state_dict"][BIAS] = KINDS[kind](content["state_dict"][BIAS])
    with pytest.raises(ModelError, match=r"zipped\.pth: ") as caught:
        load_model(saved(content, zipped, is_zip))
    assert str(caught.value).isprintable()
    assert "weights_only" not in str(caught.value)


def packaged(path):
    with PackageExporter(str(path)) as exporter:
        exporter.extern("**")
        exporter.save_pickle("dac", "dac.pth", {"x": 1})


def scripted(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/data.pkl", "a/code/module.py", "a/constants.pkl"):
            archive.writestr(name, b"")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (packaged, "give the weights.pth beside it"),
        (scripted, "give the weights it was made from"),
        (lambda path: path.write_bytes(b""), "not a file that torch.save writes"),
        (lambda path: path.write_bytes(b"PK\3\4"), "not a file that torch.save writes"),
        (lambda path: path.write_bytes(b"RIFF0000WAVE"), "not a file that torch.save writes"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "not a file that torch.save writes"),
        (os.mkfifo, "not an ordinary file"),
        (lambda path: saved({"format": "audiocodec-training-1"}, path), "give the folder `model`"),
        (lambda path: saved({"x": torch.ones(1)}, path), r"put the config\.json of the model"),
        (lambda path: saved([1], path), "has no state_dict"),
    ],
)
def test_other_files_are_told_apart(tmp_path, write, message):
    """What it is, and what to give instead."""
    write(tmp_path / "x.pth")
    with pytest.raises(ModelError, match=message) as caught:
        load_model(tmp_path / "x.pth")
    assert str(caught.value).isprintable()


def repeated_pair(n):
    """A tuple of two tuples of two tuples ...: short to write, for ever to hash or to compare."""
    return b")q\0" + b"h\0h\0\x86q\0" * n


PICKLES = {
    "calls bytearray": b"c__builtin__\nbytearray\n\x8a\4\xff\xff\xff\x7f\x85R",
    "asks for text of 4 GB": b"X\xff\xff\xff\xff",
    "remembers at 2^31": b"}r\xff\xff\xff\x7f",
    "too many dicts": b"}" * 600_000,
    "deeply nested": b"]" * 50_000 + b"a" * 49_999,
    "deeply nested tuples": b")" + b"\x85" * 100_000,
    "a key that takes for ever": b"}" + repeated_pair(100) + b"K\1s",
    "a number of thousands of digits": b"}" + b"\x8b\0\x08\0\0" + b"\x7f" * 2048 + b"K\1s",
    "a name of 10,000 characters": b"c" + b"x\x1b[2J" * 2000 + b"\ny\n)R",
    "a storage of 2^60 numbers": (
        b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0aX\3\0\0\0cpu\x8a\x08" + b"\7" * 8 + b"tQ"
    ),
}


def hostile_files(folder, zipped):
    """Files of some kilobytes that ask for gigabytes, or for minutes."""
    content = torch.load(zipped, weights_only=True)
    for number, (name, pickled) in enumerate(PICKLES.items()):
        path, pickled = folder / f"{name}.pth", PROTOCOL + pickled + STOP
        path.write_bytes(zipped.read_bytes() if number % 2 else pickled)
        if number % 2:
            altered(path, "data.pkl", pickled)
    zeros = torch.zeros(1)
    for name, shape in {"expanded": (2**13, 2**13, 7), "immense": (2**18, 2**18, 7)}.items():
        content["state_dict"][DIRECTION] = zeros.expand(shape)
        saved(content, folder / f"{name}.pth")
        saved(content, folder / f"{name}, old.pth", is_zip=False)
    c = dict(content["metadata"]["kwargs"], decoder_dim=8192, latent_dim=8192)
    content["metadata"]["kwargs"] = c
    wide = {DIRECTION: (8192, 8192, 7), "decoder.model.0.weight_g": (8192, 1, 1)}
    content["state_dict"] |= {key: zeros.expand(shape) for key, shape in wide.items()}
    saved(content, folder / "as wide as it says.pth")
    for member in ("data.pkl", "data/0"):
        copy = folder / f"deflated {member.replace('/', ' ')}.pth"
        copy.write_bytes(zipped.read_bytes())
        altered(copy, member, bytes(100_000_000), zipfile.ZIP_DEFLATED)
    directory = bytes(2**23)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(directory), 4, 0)
    (folder / "a large directory.pth").write_bytes(b"PK\3\4" + directory + end)


LOAD_ALL = """
import resource, sys
from pathlib import Path
from audiocodec.errors import ModelError
from audiocodec.weights.store import load_model
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
start = peak_mb()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        load_model(path)
        print("loaded:", path)
    except ModelError as error:
        assert str(error).isprintable() and len(str(error)) < 400, path
    if peak_mb() - start > 100:
        print(peak_mb() - start, "MB:", path)
        start = peak_mb()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_small_files_take_little_memory_and_time(zipped, tmp_path):
    """The limit is what an honest file of that size needs, told before it is taken."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    hostile_files(folder, zipped)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, folder], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert time.monotonic() - start < 60


def test_tensors_together_take_no_more_than_the_file(tmp_path):
    """A thousand tensors that look at the same megabyte, and are not the same."""
    numbers = torch.zeros(250_000)
    views = [numbers[i : i + 200_000] for i in range(1000)]
    path = saved(views, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"claim more than the \d+ bytes that it has"):
        read_tensors(read_torch_file(path))


def mutated(raw, rng):
    """One to five small changes: bits, bytes of meaning, sizes, cuts, insertions, copies."""
    raw = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        i, j = rng.integers(0, len(raw), 2)
        match rng.integers(0, 7):
            case 0:
                raw[i] ^= 1 << rng.integers(0, 8)
            case 1:
                raw[i] = rng.choice(list(b"\0\1\x7f\x80\xff(.Rbc})]\x85\x86\x87\x8a\x93"))
            case 2:
                raw[i : i + 4] = int(rng.choice([0, 10**6, 2**31, 2**32 - 1])).to_bytes(4, "little")
            case 3:
                del raw[i : i + rng.integers(1, 20)]
            case 4:
                raw[i:i] = rng.bytes(rng.integers(1, 9))
            case 5:
                raw[i : i + 8] = raw[j : j + 8]
            case 6 if rng.integers(0, 4) == 0:
                del raw[i:]
        raw = raw or bytearray(1)
    return bytes(raw)


def outcome(path):
    """Whether it loads; a ModelError of one line if not, and nothing else."""
    try:
        load_model(path)
    except ModelError as error:
        message = str(error)
    else:
        return True
    assert message.isprintable()
    return False


def test_mutated_files_load_or_are_refused(zipped, legacy, tmp_path):
    """200 files, seeded: no error of torch, zipfile or pickletools comes through."""
    rng, path = np.random.default_rng(0), tmp_path / "mutated.pth"
    with zipfile.ZipFile(zipped) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    outcomes = []
    for number in range(200):
        path.write_bytes((legacy if number % 4 == 0 else zipped).read_bytes())
        if number % 2:  # only the pickle, under a right checksum
            altered(path, "data.pkl", mutated(pickled, rng))
        else:
            path.write_bytes(mutated(path.read_bytes(), rng))
        outcomes.append(outcome(path))
    assert 1 < sum(outcomes) < 100


@pytest.mark.parametrize("n_kept", [0, 1, 10, 100, 1000, -1, -100])
def test_cut_files_are_refused(zipped, legacy, n_kept):
    """Cut anywhere."""
    for path in (zipped, legacy):
        path.write_bytes(path.read_bytes()[:n_kept])
        assert not outcome(path)
