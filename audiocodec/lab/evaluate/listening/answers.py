"""Reads the ratings that the listening page saved: JSON or CSV, one file per listener.

Files come from listeners by mail or chat, so nothing in them is trusted.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from audiocodec.lab.evaluate.listening.key import RatingsError, load_json, load_text

FORMAT = "audiocodec listening ratings 1"
COLUMNS = (
    "test",
    "listener",
    "started",
    "finished",
    "trial",
    "order",
    "seconds",
    "condition",
    "score",
    "plays",
    "comment",
    "remarks",
)
MAX_NAME, MAX_COMMENT, MAX_RATINGS = 40, 2000, 10_000
MAX_SECONDS, MAX_COUNT = 1e6, 1_000_000


@dataclass(frozen=True)
class Answer:
    """A listener's rating of one condition in one trial."""

    test: str
    listener: str
    started: str  # ISO 8601, UTC
    finished: str  # "": not finished
    trial: str
    order: int  # place of the trial in this listener's order, from 1
    seconds: float  # spent on the trial
    condition: str
    score: float  # 0 to 100
    plays: int  # how often the listener switched to the condition during playback
    comment: str  # on the trial
    remarks: str  # on the whole test


def read_answers(path: Path) -> tuple[Answer, ...]:
    """All ratings of a file. Raises RatingsError that names the file and what is wrong in it."""
    readers = {".json": _from_json, ".csv": _from_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RatingsError(f"{path}: ratings are .json or .csv, as saved by the listening page")
    try:
        answers = tuple(_limited(reader(path)))
    except _Wrong as wrong:
        raise RatingsError(f"{path}: {wrong}") from wrong
    if not answers:
        raise RatingsError(f"{path}: holds no rating")
    return answers


class _Wrong(ValueError):
    """Says what is wrong in a file; read_answers adds the file's name."""


def _limited(answers: Iterator[Answer]) -> Iterator[Answer]:
    for count, answer in enumerate(answers, start=1):
        if count > MAX_RATINGS:
            raise _Wrong(f"more than {MAX_RATINGS} ratings")
        yield answer


def _from_json(path: Path) -> Iterator[Answer]:
    """Read a session, in which ratings are nested in trials."""
    session = _mapping(load_json(path), "the file")
    if session.get("format") != FORMAT:
        raise _Wrong(f"was not saved by the listening page: format is not {FORMAT!r}")
    for trial in _list(session, "trials"):
        trial = _mapping(trial, "a trial")
        for rating in _list(trial, "ratings"):
            yield _answer({**session, **trial, **_mapping(rating, "a rating")})


def _from_csv(path: Path) -> Iterator[Answer]:
    """Read one rating per line, and convert its numbers from text."""
    lines = csv.DictReader(io.StringIO(load_text(path), newline=""), strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
        if missing:
            raise _Wrong(f"lacks the column {missing[0]!r}; save the ratings again as CSV")
        for line in lines:
            numbers = {name: _parsed(line, name) for name in ("order", "seconds", "score", "plays")}
            yield _answer({**line, **numbers})
    except _Wrong as wrong:
        raise _Wrong(f"line {lines.line_num}: {wrong}") from wrong
    except csv.Error as error:
        raise _Wrong(f"after line {lines.line_num}: is not CSV: {error}") from error


def _parsed(line: Mapping[str, Any], name: str) -> float:
    try:
        return float(line[name])
    except (TypeError, ValueError) as error:
        raise _Wrong(f"{name} is {_shown(line[name])}, not a number") from error


def _answer(found: Mapping[str, Any]) -> Answer:
    """Make an Answer, checking each field. Raises _Wrong."""
    return Answer(
        test=_id(found, "test"),
        listener=_listener(found),
        started=_time(found, "started"),
        finished=_time(found, "finished"),
        trial=_id(found, "trial"),
        order=_count(found, "order"),
        seconds=_number(found, "seconds", MAX_SECONDS),
        condition=_id(found, "condition"),
        score=_number(found, "score", 100),
        plays=_count(found, "plays"),
        comment=_comment(found, "comment"),
        remarks=_comment(found, "remarks"),
    )


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(f"{what} is {_shown(value)}, not an object")
    return value


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise _Wrong(f"{name} is {_shown(value)}, not a list")
    return value


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise _Wrong(f"{name} is {_shown(value)}, not text")
    return value


def _id(found: Mapping[str, Any], name: str) -> str:
    value = _text(found, name)
    if not re.fullmatch(r"[0-9a-f]{1,32}", value):
        raise _Wrong(f"{name} is {_shown(value)}, not an id of a listening test")
    return value


def _listener(found: Mapping[str, Any]) -> str:
    """Check a name by the page's rule: letters of any script, digits, space . _ -"""
    value = _text(found, "listener").strip()
    if not 0 < len(value) <= MAX_NAME or not all(_in_names(letter) for letter in value):
        raise _Wrong(
            f"listener is {_shown(value)}; a name has 1 to {MAX_NAME} letters, digits, space . _ -"
        )
    return value


def _in_names(letter: str) -> bool:
    return letter in " ._-" or unicodedata.category(letter)[0] in "LNM"


def _time(found: Mapping[str, Any], name: str) -> str:
    value = _text(found, name)
    try:
        if value:
            datetime.fromisoformat(value)
    except ValueError as error:
        raise _Wrong(f"{name} is {_shown(value)}, not a date and time") from error
    return value


def _number(found: Mapping[str, Any], name: str, most: float) -> float:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"{name} is {_shown(value)}, not a number")
    if not 0 <= value <= most:  # NaN and infinity too
        raise _Wrong(f"{name} is {_shown(value)}; it must be from 0 to {most:g}")
    return float(value)


def _count(found: Mapping[str, Any], name: str) -> int:
    value = _number(found, name, MAX_COUNT)
    if value != int(value):
        raise _Wrong(f"{name} is {_shown(value)}, not a whole number")
    return int(value)


def _comment(found: Mapping[str, Any], name: str) -> str:
    value = _text(found, name)
    if len(value) > MAX_COMMENT:
        raise _Wrong(f"{name} has {len(value)} characters; {MAX_COMMENT} at most")
    return "".join(letter if letter.isprintable() else " " for letter in value).strip()


def _shown(value: object) -> str:
    """The value as one short line for a message, however long or odd it is."""
    if isinstance(value, dict | list):
        return f"a {type(value).__name__}"
    try:
        text = ascii(value)
    except ValueError:  # an int of more than 4300 digits
        text = "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."
