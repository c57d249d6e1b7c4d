"""Editing of .dac files: which codes an edit keeps, how long the sound is, what is refused."""

import io
import itertools
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audiocodec.container import DacFile, Header, Reader, Writer
from audiocodec.errors import (
    ArgumentError,
    ContainerError,
    DamagedBlock,
    ModelMismatch,
    NotADacFile,
    OutputError,
    OutputExists,
    TruncatedFile,
)
from audiocodec.tokens.editing import (
    Frames,
    MixedModels,
    Seconds,
    compare,
    compare_shards,
    concatenate,
    crop,
    splice,
    truncate,
    truncate_shards,
)
from audiocodec.tokens.shards import (
    FORMATS,
    ShardError,
    ShardHeader,
    TokenRow,
    open_shards,
    shard_name,
    write_shard,
)
from tests.container.samples import Pipe

HEADER = Header(
    model="tiny",
    fingerprint="000102030405060708090a0b0c0d0e0f",
    model_rate=16000,
    hop=320,
    sample_rate=16000,
    channels=2,
    n_samples=0,
    n_codebooks=3,
    codebook_size=1024,
    gain=0.5,
    tags={"album": "Sounds", "title": "Hi"},
)
SAME_RATE = (16000, 320)
RATES = st.sampled_from(
    [SAME_RATE, (44100, 320), (8000, 320), (48000, 257), (11025, 7), (96001, 3)]
)


def made(n_samples, seed=0, block=5, **fields) -> bytes:
    """A file of random codes, in blocks of a few frames."""
    header = replace(HEADER, n_samples=n_samples, **fields)
    shape = (header.channels, header.n_codebooks, header.n_frames)
    codes = np.random.default_rng(seed).integers(0, header.codebook_size, shape, np.uint16)
    file = io.BytesIO()
    with Writer(file, header, block) as writer:
        writer.write(codes)
    return file.getvalue()


def edited(edit, *arguments, **settings) -> DacFile:
    """What an edit writes; byte strings are given to it as files."""
    target = io.BytesIO()
    files = [io.BytesIO(a) if isinstance(a, bytes) else a for a in arguments]
    place = 2 if edit is splice else 1
    header = edit(*files[:place], target, *files[place:], **settings)
    result = DacFile.from_bytes(target.getvalue())
    assert result.header == header
    return result


def joined(*parts: bytes, **settings) -> DacFile:
    return edited(concatenate, [io.BytesIO(part) for part in parts], **settings)


@st.composite
def files(draw, least_frames=2):
    """A file of some rates, whose last frame is full or not."""
    sample_rate, hop = draw(RATES)
    n_samples = draw(st.integers(1, 40 * hop * sample_rate // 16000))
    fields = {"sample_rate": sample_rate, "hop": hop}
    assume(replace(HEADER, n_samples=n_samples, **fields).n_frames >= least_frames)
    return made(n_samples, draw(st.integers(0, 9)), draw(st.integers(1, 9)), **fields)


# Codes and lengths


@given(file=files(), data=st.data())
def test_cut_and_joined_again_is_the_file(file, data):
    """All codes, the header, and the length but for a rest of less than one sample."""
    whole = DacFile.from_bytes(file)
    k = data.draw(st.integers(1, whole.header.n_frames - 1))
    head, tail = edited(crop, file, Frames(0, k)), edited(crop, file, Frames(k))
    again = joined(head.to_bytes(), tail.to_bytes())
    assert np.array_equal(again.codes, whole.codes)
    n_samples, rate = again.header.n_samples, whole.header.sample_rate
    assert replace(again.header, n_samples=whole.header.n_samples) == whole.header
    before = Header.frames_of(whole.header, whole.header.n_samples - 1)
    if rate == 16000 or before == whole.header.n_frames:  # the last frame holds 2 samples or more
        assert n_samples == whole.header.n_samples
    assert 0 <= n_samples - whole.header.n_samples <= 1


@given(file=files(), data=st.data())
def test_a_crop_holds_the_frames_and_their_length(file, data):
    """To the sample where the rates are equal; otherwise to one sample."""
    whole = DacFile.from_bytes(file)
    h, n_frames = whole.header, whole.header.n_frames
    start = data.draw(st.integers(0, n_frames - 1))
    stop = data.draw(st.integers(start + 1, n_frames))
    part = edited(crop, file, Frames(start, stop - start))
    assert np.array_equal(part.codes, whole.codes[..., start:stop])
    frame = h.hop * h.sample_rate / h.model_rate
    exact = (h.n_samples if stop == n_frames else stop * frame) - start * frame
    assert abs(part.header.n_samples - exact) < 1
    if h.sample_rate == h.model_rate:
        assert part.header.n_samples == exact
    assert (part.header.gain, part.header.tags) == (h.gain, h.tags)


@given(file=files(least_frames=1), duration=st.integers(1, 2**40))
def test_a_crop_of_everything_is_the_file(file, duration):
    """A duration beyond the end stops there; it can be repeated."""
    whole = DacFile.from_bytes(file)
    assume(duration >= whole.header.n_frames)
    for span in (Frames(), Frames(0, duration), Seconds(), Seconds(0.0, 1e9)):
        part = edited(crop, file, span)
        assert part.to_bytes() == whole.to_bytes()


@given(lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=4), rate=RATES)
def test_concatenation_keeps_all_frames(lengths, rate):
    """Each file begins on a frame; those without frames add nothing; the last end is exact."""
    fields = {"sample_rate": rate[0], "hop": rate[1]}
    parts = [made(n, seed=n, **fields) for n in lengths]
    if not any(lengths):
        with pytest.raises(ArgumentError, match="no frame would be left"):
            joined(*parts)
        return
    sources = [DacFile.from_bytes(part) for part in parts]
    result = joined(*parts)
    assert np.array_equal(result.codes, np.concatenate([s.codes for s in sources], axis=-1))
    last = [source for source in sources if source.header.n_samples][-1]
    before = result.codes.shape[-1] - last.codes.shape[-1]
    exact = before * rate[1] * rate[0] / 16000 + last.header.n_samples
    assert abs(result.header.n_samples - exact) < 1


@given(file=files(), other=st.integers(1, 5000), data=st.data())
def test_a_splice_replaces_a_range(file, other, data):
    """By any range of another file: as with lists, frame by frame."""
    whole = DacFile.from_bytes(file)
    h, n_frames = whole.header, whole.header.n_frames
    insert = made(other, seed=99, sample_rate=h.sample_rate, hop=h.hop)
    new = DacFile.from_bytes(insert).codes
    start = data.draw(st.integers(0, n_frames))
    duration = data.draw(st.integers(0, n_frames - start))
    first = data.draw(st.integers(0, new.shape[-1] - 1))
    result = edited(splice, file, insert, Frames(start, duration), Frames(first))
    parts = [whole.codes[..., :start], new[..., first:], whole.codes[..., start + duration :]]
    assert np.array_equal(result.codes, np.concatenate(parts, axis=-1))
    if start + duration < n_frames and new.shape[-1] - first == duration:
        assert result.header.n_samples == h.n_samples


@given(file=files(least_frames=1), n_codebooks=st.integers(1, 3))
def test_truncation_keeps_the_first_codebooks(file, n_codebooks):
    """And nothing else changes; once more it does nothing; to all it does nothing."""
    whole = DacFile.from_bytes(file)
    fewer = edited(truncate, file, n_codebooks)
    assert np.array_equal(fewer.codes, whole.codes[:, :n_codebooks])
    assert fewer.header == replace(whole.header, n_codebooks=n_codebooks)
    assert fewer.to_bytes() == edited(truncate, fewer.to_bytes(), n_codebooks).to_bytes()
    assert edited(truncate, file, 3).to_bytes() == whole.to_bytes()


@given(cuts=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
def test_seconds_that_follow_each_other_leave_no_gap(cuts):
    """Ends are moved to the nearest frame, so pieces join to the whole; 20 ms a frame here."""
    file = made(16000)
    edges = sorted({0.0, *(round(cut, 2) for cut in cuts if 0.03 < cut < 0.97), 1.0})
    assume(min(np.diff(edges)) > 0.02)
    spans = [Seconds(a, b - a) for a, b in itertools.pairwise(edges)]
    parts = [edited(crop, file, span) for span in spans]
    for a, part in zip(edges, parts, strict=False):
        assert abs(part.header.n_samples - 16000 * (min(b for b in edges if b > a) - a)) <= 320
    assert (
        joined(*(part.to_bytes() for part in parts)).to_bytes()
        == edited(crop, file, Frames()).to_bytes()
    )


def test_a_length_that_only_the_end_tells_is_written_at_the_start():
    """A live recording, edited, is a file like any other; a pipe can be edited too."""
    file = io.BytesIO()
    with Writer(file, replace(HEADER, n_samples=None), 4) as writer:
        writer.write(np.zeros((2, 3, 10), np.uint16))
        writer.close(3100)
    live = file.getvalue()
    assert edited(truncate, Pipe(live, 100), 1).header.n_samples == 3100
    assert edited(crop, live, Frames(4)).header.n_samples == 3100 - 4 * 320
    pipe = Pipe()
    concatenate([Pipe(live, 50), io.BytesIO(live)], pipe)
    assert DacFile.from_bytes(bytes(pipe.written)).header.n_samples == 3200 + 3100


# What is heard


@pytest.fixture(scope="module")
def spoken(small) -> dict[int, bytes]:
    """A file of the small model at its own rate, and at another."""
    wav = 0.2 * np.random.default_rng(3).standard_normal(512 * 90 + 100)
    return {rate: small.compress(wav, sample_rate=rate).to_bytes() for rate in (44100, 22050)}


@pytest.mark.parametrize("rate", [44100, 22050])
def test_a_crop_sounds_as_that_part_of_the_whole(small, spoken, rate):
    """Where it is further from the cuts than the decoder (and the resampler) looks."""
    context = small.config.decoder_context
    assert context == 10
    whole = small.decompress(DacFile.from_bytes(spoken[rate])).samples
    part = small.decompress(edited(crop, spoken[rate], Frames(20, 50))).samples
    frame = 512 * rate // 44100
    assert len(part) == 50 * frame
    near = context * frame + (0 if rate == 44100 else 160)
    same = whole[20 * frame + near : 70 * frame - near]
    assert np.abs(part[near:-near] - same).max() < 1e-5
    assert np.abs(part[:frame] - whole[20 * frame : 21 * frame]).max() > 1e-5  # a new neighbour
    tail = small.decompress(edited(crop, spoken[rate], Frames(60))).samples
    assert len(tail) == len(whole) - 60 * frame
    assert np.abs(tail[near:] - whole[60 * frame + near :]).max() < 1e-5


def test_a_splice_sounds_as_its_parts(small, spoken):
    """Away from the seams, in place."""
    whole = small.decompress(DacFile.from_bytes(spoken[44100])).samples
    mixed = edited(splice, spoken[44100], spoken[44100], Frames(30, 30), Frames(0, 30))
    sound, near = small.decompress(mixed).samples, 10 * 512
    assert len(sound) == len(whole)
    for to, at, n in ((0, 0, 30), (30, 0, 30), (60, 60, 30)):
        span = n * 512 - near
        a, b = (x * 512 for x in (to, at))
        assert np.abs(sound[a + near : a + span] - whole[b + near : b + span]).max() < 1e-5


def test_a_truncated_file_decodes_as_with_fewer_codebooks(small, spoken):
    """To the same samples, bit by bit."""
    for file in spoken.values():
        part = small.decompress(edited(truncate, file, 4)).samples
        assert np.array_equal(
            part, small.decompress(DacFile.from_bytes(file), n_codebooks=4).samples
        )


# What is refused


def test_other_models_rates_and_shapes_are_refused():
    """In one line that names the file and says what to do; nothing is written."""
    ours, target = made(3000), io.BytesIO()
    for fields, kind, words in (
        ({"fingerprint": "f" * 32}, MixedModels, r"'tiny' \(ffffffff\).*encode the sound with"),
        ({"sample_rate": 44100}, ContainerError, "44100 Hz.*16000.*resample"),
        ({"channels": 1}, ContainerError, r"1 channel\(s\).*2"),
        ({"n_codebooks": 2}, ContainerError, "2 codebooks.*3.*truncate"),
        ({"hop": 160}, ContainerError, "contradicts"),
        ({"gain": 0.6}, ContainerError, r"-4.44 dB.*-6.02 dB.*--gain-db"),
    ):
        other = made(3000, **fields)
        for edit in (
            lambda other=other: concatenate([io.BytesIO(ours), io.BytesIO(other)], target),
            lambda other=other: splice(
                io.BytesIO(ours), io.BytesIO(other), target, Frames(0, 1), Frames(0, 1)
            ),
        ):
            with pytest.raises(kind, match=words) as caught:
                edit()
            assert "\n" not in str(caught.value)
    assert issubclass(MixedModels, ModelMismatch)
    assert not target.getvalue()


def test_gains_can_be_chosen():
    """Gains that differ by less than 0.01 dB are one; else one is told, and kept."""
    a, b, near = made(3000), made(3000, gain=2.0), made(3000, gain=0.5 * 10 ** (0.009 / 20))
    assert joined(a, near).header.gain == 0.5
    assert joined(a, b, gain_db=0).header.gain == 1.0
    assert edited(splice, a, b, Frames(0, 1), gain_db=20).header.gain == pytest.approx(10)
    for wrong in (float("nan"), 601):
        with pytest.raises(ArgumentError, match="-600 to 600"):
            joined(a, b, gain_db=wrong)


def test_tags_that_all_share_are_kept():
    """The title of one is no title of all; a splice keeps the first file's."""
    a, b = made(3000), made(3000, tags={"title": "Ho", "album": "Sounds"})
    assert joined(a, b).header.tags == {"album": "Sounds"}
    assert list(joined(a, a).header.tags) == ["album", "title"]
    assert edited(splice, b, a, Frames(1, 1)).header.tags == {"title": "Ho", "album": "Sounds"}


@pytest.mark.parametrize(
    "span",
    [Frames(10), Frames(11), Frames(3, 0), Seconds(0.0, 0.009), Seconds(0.195), Seconds(1e300, 1)],
)
def test_a_range_without_frames_is_refused(span):
    """Nothing is written."""
    target = io.BytesIO()
    with pytest.raises(ArgumentError, match=r"beyond its end|no frame would be left"):
        crop(io.BytesIO(made(3200)), target, span)
    assert not target.getvalue()


@pytest.mark.parametrize("kind", [Frames, Seconds])
@pytest.mark.parametrize(
    "numbers", [(-1,), (0, -1), (float("nan"),), (0, float("nan")), (float("inf"),)]
)
def test_a_range_that_makes_no_sense_is_refused(kind, numbers):
    """When it is made."""
    with pytest.raises(ArgumentError, match="it must be 0 or"):
        kind(*numbers)


def test_other_arguments_that_make_no_sense_are_refused():
    """No files, codebooks that there are not, frames shorter than a sample."""
    for n_codebooks in (0, -1, 4):
        with pytest.raises(ArgumentError, match="it has 1 to 3"):
            truncate(io.BytesIO(made(3000)), io.BytesIO(), n_codebooks)
    with pytest.raises(ArgumentError, match="no files"):
        concatenate([], io.BytesIO())
    with pytest.raises(ArgumentError, match="a frame is shorter than a sample"):
        crop(io.BytesIO(made(5, sample_rate=1000, hop=3)), io.BytesIO(), Frames(0, 2))


def test_damage_and_other_files_are_refused(tmp_path, data):
    """As by the reader; a part that is intact can be cut out."""
    whole = made(320 * 40)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    (tmp_path / "a.dac").write_bytes(damaged)
    with pytest.raises(DamagedBlock, match=r"a\.dac"):
        truncate(tmp_path / "a.dac", tmp_path / "b.dac", 1)
    crop(tmp_path / "a.dac", tmp_path / "c.dac", Frames(0, 10))
    assert compare(tmp_path / "c.dac", io.BytesIO(whole)).equal_shares == (1.0, 1.0, 1.0)
    with pytest.raises(TruncatedFile):
        crop(io.BytesIO(whole[:-250]), io.BytesIO(), Frames(1))
    with pytest.raises(NotADacFile):
        crop(io.BytesIO(b"RIFF"), io.BytesIO(), Frames())
    with pytest.raises(ContainerError, match="published tool"):
        crop(data / "published" / "dac_44khz_small_short.dac", tmp_path / "d.dac", Frames())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dac", "c.dac"]


def test_blocks_of_fewer_codebooks_are_told():
    """The format allows them; only a truncation to what all blocks have can be written."""
    plain, fewer = made(320 * 5), io.BytesIO(made(320 * 5, n_codebooks=2))
    header = Reader(io.BytesIO(plain)).header
    mixed = header.to_bytes() + fewer.getvalue()[len(Reader(fewer).header.to_bytes()) :]
    assert edited(truncate, mixed, 2).codes.shape == (2, 2, 5)
    with pytest.raises(ContainerError, match="only 2 codebooks, not 3; truncate the file to 2"):
        crop(io.BytesIO(mixed), io.BytesIO(), Frames())


def test_nothing_is_overwritten_unless_asked(tmp_path):
    """Then a file can also be its own target."""
    path = tmp_path / "a.dac"
    path.write_bytes(made(3200))
    with pytest.raises(OutputExists):
        crop(path, path, Frames(4))
    crop(path, path, Frames(4), overwrite=True)
    concatenate([path, path], path, overwrite=True)
    assert DacFile.load(path).codes.shape[-1] == 12


# Comparing


def test_equal_files_are_equal():
    """Whatever their blocks, tags and names of models."""
    found = compare(
        io.BytesIO(made(9000, block=3)), io.BytesIO(made(9000, block=7, model="x", tags={}))
    )
    assert (found.equal, found.same_model, found.differing) == (True, True, ())
    assert found.equal_shares == (1.0, 1.0, 1.0)
    assert (found.first_difference, found.distance_frames) == (None, 0)


@given(places=st.sets(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 28))))
def test_every_changed_code_counts(places):
    """In the share of its codebook, in the frames that differ; the first is told."""
    one = DacFile.from_bytes(made(320 * 29))
    codes = one.codes.copy()
    for place in places:
        codes[place] ^= 1
    found = compare(io.BytesIO(one.to_bytes()), io.BytesIO(DacFile(one.header, codes).to_bytes()))
    changed = [sum(1 for place in places if place[1] == q) for q in range(3)]
    assert found.equal_shares == tuple((58 - n) / 58 for n in changed)
    assert found.distance_frames == len({frame for _, _, frame in places})
    assert found.equal == (not places)
    if places:
        frame, channel, codebook = min((f, c, q) for c, q, f in places)
        told = found.first_difference
        assert (told.frame, told.channel, told.codebook) == (frame, channel, codebook)
        was = int(one.codes[channel, codebook, frame])
        assert told.codes == (was, was ^ 1)
        assert told.start_s == frame / 50


def test_what_differs_is_named():
    """Codes are compared as far as both have them."""
    whole = made(9000)
    shorter = edited(crop, whole, Frames(0, 20)).to_bytes()
    fewer = edited(truncate, shorter, 2).to_bytes()
    found = compare(io.BytesIO(whole), io.BytesIO(fewer))
    assert found.differing == ("n_codebooks", "n_samples", "n_frames")
    assert found.equal_shares == (1.0, 1.0)
    assert found.distance_frames == 29 - 20
    other = compare(io.BytesIO(whole), io.BytesIO(made(9000, fingerprint="a" * 32, gain=1.0)))
    assert not other.same_model
    assert other.differing == ("fingerprint", "gain")
    empty = compare(io.BytesIO(made(0)), io.BytesIO(whole))
    assert (empty.equal, empty.equal_shares, empty.distance_frames) == (False, (), 29)


# Shards


def a_row(name: str, n_samples: int = 3000, codes: DacFile | None = None) -> TokenRow:
    dac = codes or DacFile.from_bytes(made(n_samples, seed=len(name)))
    return TokenRow.of_dac(dac, name, f"{name}.wav", {"speaker": "x", "age": 30})


def write_rows(folder, rows, format="parquet", n_each=2):
    """Rows in shards of so many, in a folder."""
    header = ShardHeader.of(HEADER, {"speaker": "str", "age": "int"})
    folder.mkdir()
    for i in range(0, len(rows), n_each):
        write_shard(folder / shard_name(i // n_each, format), rows[i : i + n_each], header)
    return folder


@pytest.mark.parametrize("format", FORMATS)
def test_shards_are_truncated_row_by_row(tmp_path, format):
    """Codes as of the .dac files; all else is kept; once more does nothing."""
    rows = [a_row("a"), a_row("bb", 7000), a_row("ccc", 1)]
    source = write_rows(tmp_path / "in", rows, format)
    paths = truncate_shards(source, tmp_path / "out", 2)
    assert paths == [tmp_path / "out" / shard_name(i, format) for i in range(2)]
    for row, fewer in zip(rows, open_shards(tmp_path / "out").rows(), strict=True):
        assert np.array_equal(fewer.codes, row.codes[:, :2])
        kept = {k: v for k, v in vars(row).items() if k not in ("codes", "n_codebooks")}
        assert vars(fewer) | kept | {"n_codebooks": 2} == vars(fewer)
    truncate_shards(tmp_path / "out", tmp_path / "again", 2)
    truncate_shards(source, tmp_path / "all", 3)
    for path in paths:
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "all" / path.name).read_bytes() == (source / path.name).read_bytes()


def test_a_shard_can_become_another_format(tmp_path):
    """Where the target is a file; the rows are the same."""
    source = write_rows(tmp_path / "in", [a_row("a"), a_row("bb")]) / shard_name(0, "parquet")
    truncate_shards(source, tmp_path / "b.tar", 3)
    truncate_shards(source, tmp_path / "c.tar", 1)
    assert compare_shards(source, tmp_path / "b.tar").equal
    assert not compare_shards(source, tmp_path / "c.tar").equal


def test_shards_that_cannot_be_truncated_are_told(tmp_path):
    """Nothing is left of the shard; nothing is overwritten."""
    source = write_rows(tmp_path / "in", [a_row("a"), a_row("bb")])
    for n_codebooks in (0, 4):
        with pytest.raises(ArgumentError, match=r"row 'a' has 1 to 3"):
            truncate_shards(source, tmp_path / "out", n_codebooks)
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="written to a folder"):
        truncate_shards(source, tmp_path / "file", 1)
    with pytest.raises(OutputExists):
        truncate_shards(source, source, 1)
    with pytest.raises(ShardError, match="holds no shards"):
        truncate_shards(tmp_path / "out", tmp_path / "more", 1)
    truncate_shards(source, source, 1, overwrite=True)
    assert {row.n_codebooks for row in open_shards(source).rows()} == {1}


def test_equal_shards_are_equal(tmp_path):
    """In any order, format and number of shards; sources and columns do not count."""
    rows = [a_row("a"), a_row("bb"), a_row("ccc")]
    one = write_rows(tmp_path / "one", rows)
    other = [replace(row, source="elsewhere", columns={}) for row in reversed(rows)]
    two = write_rows(tmp_path / "two", other, "webdataset", n_each=3)
    found = compare_shards(one, two)
    assert found.equal
    assert (found.n_rows, found.n_common, found.n_different) == ((3, 3), 3, 0)
    assert found.equal_shares == (1.0, 1.0, 1.0)
    assert (found.distance_frames, found.first_different, found.first_alone) == (0, None, None)


def test_what_differs_in_shards_is_told(tmp_path):
    """Rows that one lacks, rows whose codes differ, and where the first does."""
    rows = [a_row("a"), a_row("bb"), a_row("ccc")]
    codes = rows[1].codes.copy()
    codes[1, 2, 4] ^= 1
    one = write_rows(tmp_path / "one", rows)
    two = write_rows(tmp_path / "two", [rows[0], replace(rows[1], codes=codes), a_row("d", 640)])
    found = compare_shards(one, two)
    assert not found.equal
    assert (found.n_rows, found.n_common, found.n_different) == ((3, 3), 2, 1)
    assert found.equal_shares == (1.0, 1.0, 39 / 40)
    assert found.distance_frames == 1 + 10 + 2
    assert found.first_alone == "ccc"
    assert found.first_different.first.file == "bb"
    assert found.first_different.differing == ("codes",)
    place = found.first_different.first_difference
    assert (place.channel, place.codebook, place.frame) == (1, 2, 4)
    assert found.as_dict()["first_different"]["differing"] == ["codes"]
    fewer = compare_shards(two, write_rows(tmp_path / "three", [rows[0]]))
    assert (fewer.equal, fewer.n_rows, fewer.n_different) == (False, (3, 1), 0)


# Resources


def test_memory_does_not_grow_with_the_length():
    """Block by block: an hour takes little more than a minute does."""

    def peak(n_frames: int) -> int:
        file, target = made(320 * n_frames, block=1024), io.BytesIO(bytearray(300_000))
        tracemalloc.start()
        crop(io.BytesIO(file), target, Frames(1, n_frames - 2))
        compare(io.BytesIO(file), io.BytesIO(file))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < peak(2_000) + 50_000


def test_no_torch_is_imported():
    """Nor anything else that is slow to load."""
    code = """
import sys, io
import audiocodec.tokens.editing
print([name for name in ("torch", "soundfile", "pyarrow") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
