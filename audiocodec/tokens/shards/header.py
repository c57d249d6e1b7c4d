"""What all rows of a shard share: the model, and the types of the carried columns.

Header and row together give a complete .dac file; that is how rows are checked, both those to write
and those that were read.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any

import numpy as np

from audiocodec.container import CodeSpace, DacFile, Header, called
from audiocodec.errors import ArgumentError, ContainerError, ModelMismatch, quoted
from audiocodec.tokens.shards.row import TokenRow, Value

VERSION = 1
COLUMN_TYPES = ("str", "int", "float", "bool")
FIXED: dict[str, type] = {  # the columns that every row has, besides codes
    "id": str,
    "source": str,
    "sample_rate": int,
    "channels": int,
    "n_codebooks": int,
    "frames": int,
    "n_samples": int,
    "model": str,
    "fingerprint": str,
    "gain": float,
}
RESERVED = (*FIXED, "codes")
MAX_COLUMNS = 1000
MAX_CODES = 2**28  # of a row, 512 MiB: four days of one channel of 9 codebooks
MAX_ROWS = 2**24  # of a shard


class ShardError(ContainerError):
    """A shard of tokens that cannot be used."""


def column_types(rows: Iterable[Mapping[str, Value]]) -> dict[str, str]:
    """Types that fit the carried columns of all rows: str, int, float or bool, all nullable.

    Columns are in the order in which they first appear. One of several types is float if all are
    numbers, else str; one without values is str.
    """
    types: dict[str, str | None] = {}
    for row in rows:
        for name, value in row.items():
            types[name] = _joined(types.get(name), _type_of(value))
    return {name: type or "str" for name, type in types.items()}


def joined_types(all_types: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Types that fit the columns of several headers."""
    types: dict[str, str] = {}
    for one in all_types:
        for name, type in one.items():
            types[name] = _joined(types.get(name), type) or type
    return types


def _type_of(value: Value) -> str | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "str"
    return "float" if isinstance(value, float) else "str"


def _joined(one: str | None, other: str | None) -> str | None:
    if one is None or other is None or one == other:
        return one or other
    return "float" if {one, other} == {"int", "float"} else "str"


@dataclass(frozen=True)
class ShardHeader(CodeSpace):
    """What all rows of all shards of a job share: their code space, and the columns.

    alignment: of the decoder (see ModelConfig).
    columns: names and types (COLUMN_TYPES) of the carried columns; any value may be None.
    Raises ArgumentError for values out of bounds.
    """

    alignment: str = "aligned"
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._dac_header(sample_rate=self.model_rate, channels=1, n_samples=0, n_codebooks=1)
        if len(self.columns) > MAX_COLUMNS:
            raise ArgumentError(f"{len(self.columns)} columns; at most {MAX_COLUMNS} are carried")
        for name, kind in self.columns.items():
            if not name or name in RESERVED:
                raise ArgumentError(f"column {quoted(name)} cannot be carried; rename it")
            if kind not in COLUMN_TYPES:
                raise ArgumentError(
                    f"column {quoted(name)} is {quoted(kind)}, none of {COLUMN_TYPES}"
                )

    @classmethod
    def of(cls, header: Header, columns: Mapping[str, str] | None = None) -> "ShardHeader":
        """The shard header for the model of a .dac file's header."""
        return cls(**vars(header.space), alignment=header.alignment, columns=dict(columns or {}))

    def dac(self, row: TokenRow) -> DacFile:
        """The row as a complete .dac file, without tags.

        Raises ModelMismatch for a row of another model, ArgumentError (CodesError is one) for a
        row whose codes, lengths, gain and header contradict each other.
        """
        if row.fingerprint != self.fingerprint:
            raise ModelMismatch(row.id, called(row.model, row.fingerprint), self.called)
        if row.codes.size > MAX_CODES:
            raise ArgumentError(f"{row.codes.size} codes in a row; at most {MAX_CODES} fit")
        header = self._dac_header(
            model=row.model,
            sample_rate=row.sample_rate,
            channels=row.channels,
            n_samples=row.n_samples,
            n_codebooks=row.n_codebooks,
            gain=row.gain,
        )
        return DacFile(header, row.codes)

    def fitted(self, columns: Mapping[str, Value]) -> dict[str, Value]:
        """A row's values in the types and the order of the header; missing ones are None.

        Numbers that are not finite become None. Raises ArgumentError for values that do not fit.
        """
        unknown = next((name for name in columns if name not in self.columns), None)
        if unknown is not None:
            raise ArgumentError(f"column {quoted(unknown)} is not one of the shard's columns")
        return {name: _fitted(name, columns.get(name), kind) for name, kind in self.columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """The header as stored, for JSON."""
        return {"version": VERSION, **{one.name: getattr(self, one.name) for one in fields(self)}}

    @classmethod
    def from_dict(cls, stored: Any, path: str) -> "ShardHeader":
        """The header from what to_dict() gave. Raises ShardError, naming the path."""
        if not isinstance(stored, dict):
            raise ShardError(f"{path}: is no shard of tokens: its header is not an object")
        if stored.get("version") != VERSION:
            raise ShardError(
                f"{path}: tokens of version {quoted(stored.get('version'))}; this release reads "
                f"version {VERSION}"
            )
        for name, kind in _HEADER_TYPES.items():
            if not isinstance(stored.get(name), kind) or isinstance(stored[name], bool):
                raise ShardError(f"{path}: its header has no usable {name}")
        if not all(isinstance(kind, str) for kind in stored["columns"].values()):
            raise ShardError(f"{path}: its header has no usable columns")
        try:
            return cls(**{name: stored[name] for name in _HEADER_TYPES})
        except ArgumentError as error:
            raise ShardError(f"{path}: its header makes no sense: {error}") from error

    def check_same_model(self, other: "ShardHeader", path: str) -> None:
        """Raises ModelMismatch, DamagedHeader or ShardError if `other`, of `path`, differs."""
        self.check_same(other, path)
        if other.alignment != self.alignment:
            raise ShardError(f"{path}: its header contradicts that of another shard of its model")

    def _dac_header(self, **of_the_row: Any) -> Header:
        return Header(**(vars(self.space) | {"alignment": self.alignment} | of_the_row))


_HEADER_TYPES: dict[str, type] = {
    "model": str,
    "fingerprint": str,
    "model_rate": int,
    "hop": int,
    "codebook_size": int,
    "alignment": str,
    "columns": dict,
}


def joined_headers(headers: Iterable[ShardHeader]) -> ShardHeader:
    """The first header, with the columns of all; the headers must be of one model."""

    def joined(one: ShardHeader, other: ShardHeader) -> ShardHeader:
        return replace(one, columns=joined_types([one.columns, other.columns]))

    return reduce(joined, headers)


def _fitted(name: str, value: Value, kind: str) -> Value:
    found = _type_of(value)
    if found is None:
        return None
    if _joined(found, kind) != kind or not isinstance(value, str | int | float):
        raise ArgumentError(f"column {quoted(name)} holds {quoted(value)}, which is no {kind}")
    if kind == "float":
        return float(value)  # type: ignore[arg-type]  # an int or a float, as found
    if kind == "str":
        return clean(value if isinstance(value, str) else json.dumps(value))
    return value


def clean(text: str) -> str:
    """Replace what is not valid Unicode, such as undecodable bytes in a file's name."""
    return text.encode("utf-8", "replace").decode()


def checked_rows(
    rows: Iterable[TokenRow], header: ShardHeader
) -> Iterator[tuple[dict[str, Any], TokenRow]]:
    """Check rows to write; yields for each its values, except codes, in column order, and the row.

    Raises ArgumentError or ModelMismatch for a row that does not fit the header, a repeated id, or
    if there are no rows.
    """
    seen: set[str] = set()
    for row in rows:
        values = {name: getattr(row, name) for name in FIXED} | header.fitted(row.columns)
        values |= {name: clean(values[name]) for name in ("id", "source", "model")}
        if not values["id"] or values["id"] in seen:
            raise ArgumentError(f"id {quoted(values['id'])} is empty or comes twice in one shard")
        seen.add(values["id"])
        header.dac(row)
        yield values, row
    if not seen:
        raise ArgumentError("a shard holds at least one row; there is none")


def about_of(
    values: Mapping[str, Any], header: ShardHeader, path: str
) -> tuple[str, dict[str, Value]]:
    """Id and carried columns from the values of a row that was read. Raises ShardError."""
    id = checked_value(values.get("id"), str, "id", path)
    try:
        return id, header.fitted({key: values.get(key) for key in header.columns})
    except (ArgumentError, TypeError) as error:
        raise ShardError(f"{path}: row {quoted(id)}: {error}") from error


def row_of(
    values: Mapping[str, Any], codes: np.ndarray, header: ShardHeader, path: str
) -> TokenRow:
    """A row from the values that were read. codes: uint16, of any shape, in C order.

    Raises ShardError or ModelMismatch, naming the path and the row's id, for an invalid row.
    """
    name = f"{path}: row {quoted(values.get('id'))}"
    plain = {key: checked_value(values.get(key), kind, key, name) for key, kind in FIXED.items()}
    if plain["fingerprint"] != header.fingerprint:
        raise ModelMismatch(name, called(plain["model"], plain["fingerprint"]), header.called)
    columns = {key: values.get(key) for key in header.columns}
    shape = (plain["channels"], plain["n_codebooks"], plain["frames"])
    check_size(shape, codes.size, name)
    try:
        row = TokenRow(**plain, codes=codes.reshape(shape), columns=header.fitted(columns))
        header.dac(row)
    except ArgumentError as error:
        raise ShardError(f"{name}: {error}") from error
    return row


def checked_value(value: Any, kind: type, key: str, name: str) -> Any:
    """The value as `kind`. Raises ShardError, beginning with `name`, if it is of another."""
    if kind is float and isinstance(value, int) and abs(value) < 2**63:
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ShardError(f"{name}: its {key} is {quoted(value)}")
    return value


def check_size(shape: tuple[int, ...], n_codes: int, name: str) -> None:
    """Raises ShardError, beginning with `name`, unless n_codes codes fill the shape."""
    if min(shape) < 0 or math.prod(shape) != n_codes:
        raise ShardError(
            f"{name}: has {n_codes} codes; {shape[0]} channels, {shape[1]} codebooks and "
            f"{shape[2]} frames make {math.prod(shape)}"
        )


def check_range(codes: np.ndarray, codebook_size: int, name: str) -> None:
    """Raises ShardError, beginning with `name`, for a code that is no entry of a codebook."""
    if codes.size and int(codes.max()) >= codebook_size:
        raise ShardError(
            f"{name}: holds code {codes.max()}; the codebooks have {codebook_size} entries"
        )
