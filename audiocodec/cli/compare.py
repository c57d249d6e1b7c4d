"""`audiocodec compare`: whether two files hold the same tokens. Without torch."""

import traceback
from json import dumps
from typing import TYPE_CHECKING

import argbind

from audiocodec.cli.batch import PIPE, opened
from audiocodec.cli.messages import printable, say
from audiocodec.errors import ArgumentError, CodecError

if TYPE_CHECKING:
    from audiocodec.tokens.editing import Comparison, ShardsComparison

TROUBLE = 2  # exit status of an error, as for cmp and diff


@argbind.bind(without_prefix=True, positional=True, group="compare")
def compare(first: str, second: str, json: bool = False, debug: bool = False) -> int:
    """Compare two .dac files or shards of tokens. Exit status: 0 equal, 1 different, 2 error.

    Parameters
    ----------
    first : str
        .dac file, shard of tokens, folder of shards, or - for standard input
    second : str
        .dac file, shard or folder to compare it with, or -
    json : bool
        print one JSON object
    debug : bool
        print the traceback of an error
    """
    if first == second == PIPE:
        raise ArgumentError("standard input can be read once; name - once")
    try:
        found = _found(first, second)
    except CodecError as error:
        if debug:
            traceback.print_exc()
        say(str(error))
        return TROUBLE
    print(dumps(found.as_dict()) if json else "\n".join(_lines(found)))
    return 0 if found.equal else 1


def _found(first: str, second: str) -> "Comparison | ShardsComparison":
    from audiocodec.tokens import editing

    kinds = {name != PIPE and editing.is_sharded(name) for name in (first, second)}
    if len(kinds) > 1:
        raise ArgumentError(
            f"{first} and {second}: only one of them holds shards; compare two of a kind"
        )
    if kinds.pop():
        return editing.compare_shards(first, second)
    with opened(first) as a, opened(second) as b:
        return editing.compare(a, b)


def _lines(found: "Comparison | ShardsComparison") -> list[str]:
    """For people."""
    from audiocodec.tokens.editing import Comparison

    rows = _of_files(found) if isinstance(found, Comparison) else _of_shards(found)
    return [f"{name:11}{printable(text)}" for name, text in rows.items()]


def _of_files(found: "Comparison") -> dict[str, str]:
    a, b = found.first, found.second
    return {
        "files": f"{a.file}, {b.file}",
        "result": f"different: {', '.join(found.differing)}" if found.differing else "equal",
        "model": _both(*(f"{side.model}, fingerprint {side.fingerprint}" for side in (a, b))),
        "length": _both(*(f"{side.n_frames} frames, {side.n_samples} samples" for side in (a, b))),
        "codebooks": _both(str(a.n_codebooks), str(b.n_codebooks)),
        "equal": _percents(found.equal_shares),
        "first": _first(found),
        "distance": f"{found.distance_frames} of {max(a.n_frames, b.n_frames)} frames differ",
    }


def _of_shards(found: "ShardsComparison") -> dict[str, str]:
    row = found.first_different
    rows = {
        "shards": f"{found.first}, {found.second}",
        "result": "equal" if found.equal else "different",
        "model": "one" if found.same_model else "different",
        "rows": f"{_both(*map(str, found.n_rows))}, {found.n_common} in both",
        "different": f"{found.n_different} of the rows in both",
        "equal": _percents(found.equal_shares),
        "distance": f"{found.distance_frames} frames differ or are in one only",
    }
    if found.first_alone is not None:
        rows["alone"] = f"row {found.first_alone} is the first in one only"
    if row is not None:
        where = f"; {_first(row)}" if row.first_difference else ""
        rows["first"] = f"row {row.first.file}: {', '.join(row.differing)}{where}"
    return rows


def _percents(shares: tuple[float, ...]) -> str:
    return " ".join(_percent(share) for share in shares) or "nothing to compare"


def _both(a: str, b: str) -> str:
    return a if a == b else f"{a} | {b}"


def _percent(share: float) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{int(share * 1000) / 10:.1f}%"


def _first(found: "Comparison") -> str:
    place = found.first_difference
    if place is None:
        return "none"
    return (
        f"frame {place.frame} ({place.start_s:.3f} s), channel {place.channel}, "
        f"codebook {place.codebook}: {place.codes[0]} | {place.codes[1]}"
    )
