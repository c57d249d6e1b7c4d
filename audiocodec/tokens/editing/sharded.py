"""Truncates and compares shards of tokens of any format, row by row."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from audiocodec.errors import ArgumentError, OutputError, quoted
from audiocodec.files import make_folder
from audiocodec.tokens.editing.comparing import Comparison, ComparisonCounts, Side
from audiocodec.tokens.shards import FORMATS, Shards, TokenRow, open_shards, write_shard

PathLike = str | os.PathLike[str]
SUFFIXES = tuple(format.suffix for format in FORMATS.values())


def is_sharded(path: PathLike) -> bool:
    """Whether a path is a shard by its suffix, or a folder of shards without .dac files."""
    place = Path(path)
    if not place.is_dir():
        return place.suffix in SUFFIXES
    suffixes = {one.suffix for one in place.iterdir() if not one.name.startswith(".")}
    return bool(suffixes & set(SUFFIXES)) and ".dac" not in suffixes


def shard_targets(source: PathLike, target: PathLike) -> list[tuple[Path, Path]]:
    """Each shard to read, and the path to write: the same name in the folder `target`.

    A single shard may also become the file `target`, of any format.
    Raises ShardError if there are no shards, OutputError for a file in place of a folder.
    """
    paths, place = open_shards(source).paths, Path(target)
    if not Path(source).is_dir() and place.suffix in SUFFIXES:
        return [(paths[0], place)]
    if place.exists() and not place.is_dir():
        raise OutputError(f"{place}: is a file; shards are written to a folder")
    return [(path, place / path.name) for path in paths]


def truncate_shards(
    source: PathLike, target: PathLike, n_codebooks: int, overwrite: bool = False
) -> list[Path]:
    """Write shards with the first codebooks of each row only; returns the paths written.

    source: a folder of shards, or one. target: a folder, which is made, or for one shard a file.
    Each shard appears whole or not at all. Memory holds one row at a time, in Parquet a row group,
    in safetensors all rows of a shard.
    Raises ArgumentError for more codebooks than a row has, ShardError, OutputExists, OutputError.
    """
    pairs = shard_targets(source, target)
    for path, place in pairs:
        make_folder(place.parent)
        shards = open_shards(path)
        write_shard(place, _truncated(shards, n_codebooks), shards.header, overwrite)
        shards.close()
    return [place for _, place in pairs]


def _truncated(shards: Shards, n_codebooks: int) -> Iterator[TokenRow]:
    for row in shards.rows():
        if not 1 <= n_codebooks <= row.n_codebooks:
            raise ArgumentError(
                f"{shards.paths[0]}: {n_codebooks} codebooks; row {quoted(row.id)} has 1 to "
                f"{row.n_codebooks}"
            )
        yield replace(row, n_codebooks=n_codebooks, codes=row.codes[:, :n_codebooks])


@dataclass(frozen=True)
class ShardsComparison:
    """How two sets of shards differ. Rows are compared with those of the same id.

    n_common: rows that both have. n_different: common rows that do not decode to the same sound.
    equal_shares: for each codebook, the share of equal codes, 0 to 1, in the common frames of the
    common rows. distance_frames: frames that differ or are in one set only, over all rows.
    first_different: the first common row that differs. first_alone: the id of the first row that
    only the first set has, or else only the second.
    """

    first: str
    second: str
    n_rows: tuple[int, int]
    n_common: int
    n_different: int
    same_model: bool
    equal_shares: tuple[float, ...]
    distance_frames: int
    first_different: Comparison | None
    first_alone: str | None

    @property
    def equal(self) -> bool:
        """Whether both hold the same rows, in any order, format and number of shards."""
        return self.n_different == 0 and self.n_rows == (self.n_common, self.n_common)

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values, for JSON."""
        place = self.first_different
        return {"equal": self.equal} | asdict(self) | {"first_different": place and place.as_dict()}


def compare_shards(first: PathLike, second: PathLike) -> ShardsComparison:
    """Compare two sets of shards: folders, or one shard each, of any formats.

    The second is read twice, once for its ids, which are kept in memory; rows are read one by
    one. Ignores sources and carried columns. Raises ShardError or another ContainerError.
    """
    a, b = open_shards(first), open_shards(second)
    index = {row.id: i for i, row in enumerate(b.rows())}
    total, first_different, alone = ComparisonCounts(), None, None
    n_common = n_different = distance = frames_found = 0
    for row in a.rows():
        i = index.pop(row.id, None)
        if i is None:
            alone = alone or row.id
            distance += row.frames
            continue
        other = b.row(i)
        found = _compared(_side(a, row), row, _side(b, other), other, total)
        n_common, frames_found = n_common + 1, frames_found + other.frames
        distance += found.distance_frames
        if not found.equal:
            n_different += 1
            first_different = first_different or found
    return ShardsComparison(
        first=os.fspath(first),
        second=os.fspath(second),
        n_rows=(len(a), len(b)),
        n_common=n_common,
        n_different=n_different,
        same_model=a.fingerprint == b.fingerprint,
        equal_shares=total.equal_shares,
        distance_frames=distance + int(b.lengths.sum()) - frames_found,
        first_different=first_different,
        first_alone=alone or next(iter(index), None),
    )


def _compared(
    a: Side, row: TokenRow, b: Side, other: TokenRow, total: ComparisonCounts
) -> Comparison:
    """Compare two rows, and add their equal codes to the total."""
    counts = ComparisonCounts()
    counts.add(row.codes, other.codes)
    total.n_equal += counts.n_equal
    total.n_compared += counts.n_compared
    return counts.comparison(a, b)


def _side(shards: Shards, row: TokenRow) -> Side:
    return Side(
        **vars(shards.header.space) | {"model": row.model, "fingerprint": row.fingerprint},
        file=row.id,
        sample_rate=row.sample_rate,
        channels=row.channels,
        n_codebooks=row.n_codebooks,
        n_samples=row.n_samples,
        n_frames=row.frames,
        gain=row.gain,
    )
