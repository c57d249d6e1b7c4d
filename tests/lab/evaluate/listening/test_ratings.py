"""What ratings say: means by hand, screening at its limits, hostile files."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.lab.evaluate.listening.answers import COLUMNS, FORMAT
from audiocodec.lab.evaluate.listening.key import (
    ANCHOR,
    REFERENCE,
    SYSTEM,
    Key,
    KeyCondition,
    KeyTrial,
    RatingsError,
    write_key,
)
from audiocodec.lab.evaluate.listening.ratings import Analysis, Mean, analyse, interval
from audiocodec.lab.evaluate.listening.tables import write_ratings

ROLES = {
    "a": (REFERENCE, "ref"),
    "b": (ANCHOR, "low"),
    "c": (SYSTEM, "ours"),
    "d": (SYSTEM, "opus"),
}
GOOD = {"a": 100, "b": 10, "c": 60, "d": 50}  # by the last letter of a condition's id


def make_key(n_trials: int = 2) -> Key:
    """Trials 0, 1, ... of music and speech in turn; conditions "0a", "0b", "0c", "0d" and so on."""
    return Key(
        "7e57",
        "Tones | & <b>",
        tuple(
            KeyTrial(
                str(number),
                f"clip {number}",
                ("music", "speech")[number % 2],
                {f"{number}{end}": KeyCondition(*what, 8.0) for end, what in ROLES.items()},
            )
            for number in range(n_trials)
        ),
    )


def session(listener: str, *scores: dict[str, float], **changes: object) -> dict:
    """What the page saves: a trial for each of `scores`."""
    trials = [
        {
            "trial": str(number),
            "order": number + 1,
            "seconds": 30,
            "comment": "",
            "ratings": [
                {"condition": f"{number}{end}", "score": score, "plays": 2}
                for end, score in of_trial.items()
            ],
        }
        for number, of_trial in enumerate(scores)
    ]
    return {
        "format": FORMAT,
        "test": "7e57",
        "listener": listener,
        "started": "2026-05-01T10:00:00.000Z",
        "finished": "2026-05-01T10:20:00.000Z",
        "remarks": "",
        "trials": trials,
        **changes,
    }


Analyser = Callable[..., Analysis]


@pytest.fixture
def analysed(tmp_path: Path) -> Analyser:
    """Analyse sessions, each from a JSON file of its own, with the key of make_key()."""

    def run(*sessions: object, n_trials: int = 2) -> Analysis:
        write_key(tmp_path / "listening_key.json", make_key(n_trials))
        paths = [tmp_path / f"{number}.json" for number in range(len(sessions))]
        for path, what in zip(paths, sessions, strict=True):
            path.write_text(json.dumps(what))
        return analyse(paths, tmp_path / "listening_key.json")

    return run


def mean_of(means: tuple[Mean, ...], system: str, kind: str = "all") -> Mean:
    """The one of a system in a class."""
    return next(mean for mean in means if (mean.system, mean.kind) == (system, kind))


def test_means_and_intervals_by_hand(analysed):
    """Two listeners, two trials: 40, 60, 70, 90 have mean 65, sd 20.82, t(3) 3.182."""
    analysis = analysed(
        session("Ada", GOOD | {"c": 40}, GOOD | {"c": 60}),
        session("Bob", GOOD | {"c": 70}, GOOD | {"c": 90}),
    )
    ours = mean_of(analysis.means, "ours")
    assert (ours.n, ours.mean, ours.median) == (4, 65, 65)
    assert (ours.low, ours.high) == pytest.approx((65 - 33.12, 65 + 33.12), abs=0.02)
    assert mean_of(analysis.means, "ours", "music").mean == 55
    assert mean_of(analysis.means, "ours", "speech").mean == 75
    assert analysis.kinds == ("all", "music", "speech")
    assert [mean.system for mean in analysis.means if mean.kind == "all"] == [
        *("ref", "ours", "opus", "low")
    ]


def test_differences_are_within_a_listener_and_trial(analysed):
    """The report's first system less the other: 10 and -10 by Ada, 20 by Bob."""
    analysis = analysed(
        session("Ada", GOOD | {"c": 40, "d": 30}, GOOD | {"c": 60, "d": 70}),
        session("Bob", GOOD | {"c": 70, "d": 50}),
    )
    assert analysis.compared_with == "ours"
    assert mean_of(analysis.differences, "opus").mean == pytest.approx(20 / 3)
    assert mean_of(analysis.differences, "opus", "speech").mean == -10
    assert {mean.system for mean in analysis.differences} == {"opus"}


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20))
def test_an_interval_lies_around_its_mean(values):
    """And has no width where all values are one."""
    low, high = interval(values)
    mean = sum(values) / len(values)
    assert low - 1e-9 <= mean <= high + 1e-9
    assert (low + high) / 2 == pytest.approx(mean, abs=1e-9)


def test_one_rating_has_no_interval(analysed):
    """Not a width of nothing."""
    ours = mean_of(analysed(session("Ada", GOOD)).means, "ours")
    assert ours.n == 1
    assert math.isnan(ours.low)
    assert math.isnan(ours.high)


@pytest.mark.parametrize(
    ("change", "n_wrong", "n_trials", "excluded"),
    [
        ({"a": 89}, 3, 20, ""),  # 15 %: no more than that
        ({"a": 89}, 4, 20, "hidden reference below 90 in 4 of 20 trials"),
        ({"a": 90}, 20, 20, ""),  # 90 is not below 90
        ({"b": 91}, 3, 20, ""),
        ({"b": 91}, 4, 20, "anchor above 90 in 4 of 20 trials"),
        ({"b": 90}, 20, 20, ""),
        ({"a": 0}, 1, 6, "hidden reference below 90 in 1 of 6 trials"),
        ({"a": 0}, 1, 7, ""),
        (
            {"a": 0, "b": 100},
            2,
            2,
            "hidden reference below 90 in 2 of 2 trials; anchor above 90 in 2 of 2 trials",
        ),
    ],
)
def test_screening_at_its_limits(analysed, change, n_wrong, n_trials, excluded):
    """BS.1534-3, 4.1.2: in more than 15 % of the trials."""
    scores = [GOOD | (change if number < n_wrong else {}) for number in range(n_trials)]
    analysis = analysed(session("Ada", *scores), n_trials=n_trials)
    assert [listener.excluded for listener in analysis.listeners] == [excluded]
    assert bool(analysis.means) == (not excluded)


def test_a_listener_left_out_counts_in_no_mean_but_stays_in_the_raw_ratings(analysed, tmp_path):
    """The reason is in the tables."""
    deaf = session("Bob", GOOD | {"a": 10, "c": 0}, GOOD | {"a": 10, "c": 0})
    analysis = analysed(session("Ada", GOOD, GOOD), deaf)
    write_ratings(tmp_path / "out", analysis)
    assert mean_of(analysis.means, "ours").mean == 60
    with (tmp_path / "out/raw_ratings.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 16
    assert {line["excluded"] for line in lines if line["listener"] == "Bob"} == {
        "hidden reference below 90 in 2 of 2 trials"
    }
    assert "left out: hidden reference below 90" in (tmp_path / "out/ratings.md").read_text()


def test_the_tables_hold_the_means(analysed, tmp_path):
    """ratings.csv by class and system, Markdown and page with what came out; texts are inert."""
    remarks = "<script>x</script> | =1+1"
    analysis = analysed(session("Ada", GOOD, GOOD | {"c": 70}, remarks=remarks))
    write_ratings(tmp_path, analysis)
    with (tmp_path / "ratings.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    ours = next(line for line in lines if (line["system"], line["class"]) == ("ours", "all"))
    assert (ours["of"], ours["n"], ours["mean"], ours["median"]) == (
        *("rating", "2", "65.000", "65.000"),
    )
    one = next(line for line in lines if (line["system"], line["class"]) == ("ours", "music"))
    assert one["low"] == ""
    assert "| ours | 2 | 65.0 | 1.5 to 128.5 | 65.0 |" in (tmp_path / "ratings.md").read_text()
    page = (tmp_path / "ratings.html").read_text()
    assert "<svg" in page
    assert "currentColor" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")  # names of SVG, not loaded


def test_without_a_listener_left_the_tables_say_so(analysed, tmp_path):
    """No mean, no plot, no failure."""
    write_ratings(tmp_path, analysed(session("Bob", GOOD | {"a": 0}, GOOD | {"a": 0})))
    assert "0 of 1 listeners kept" in (tmp_path / "ratings.md").read_text()
    assert "<svg" not in (tmp_path / "ratings.html").read_text()


def test_the_page_of_ratings_shows_in_a_browser(analysed, tmp_path, page):
    """Plot and tables, without an error."""
    write_ratings(tmp_path, analysed(session("Ada", GOOD, GOOD), session("Bob", GOOD, GOOD)))
    page.goto((tmp_path / "ratings.html").as_uri())
    assert page.locator("svg").bounding_box()["height"] > 50
    assert page.locator("table").count() == 7


def changed(**changes: object) -> dict:
    """A good session with top fields changed."""
    return session("Ada", GOOD, GOOD) | changes


def with_rating(**changes: object) -> dict:
    """A good session with its first rating changed."""
    found = session("Ada", GOOD, GOOD)
    found["trials"][0]["ratings"][0].update(changes)
    return found


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (changed(test="beef"), "ratings of test beef, but .* is of test 7e57"),
        (changed(test=["x"]), "test is a list, not text"),
        (changed(format="other"), "was not saved by the listening page"),
        (changed(listener=""), "listener is ''"),
        (changed(listener="x" * 500), r"listener is 'x+\.\.\."),
        (changed(listener="a\nb"), r"listener is 'a\\nb'"),
        (changed(started="soon"), "started is 'soon', not a date"),
        (changed(remarks="x" * 5000), "remarks has 5000 characters; 2000 at most"),
        (changed(trials={}), "trials is a dict, not a list"),
        (changed(trials=[]), "holds no rating"),
        (changed(trials=[3]), "a trial is 3, not an object"),
        (with_rating(score=101), "score is 101; it must be from 0 to 100"),
        (with_rating(score=-1), "score is -1"),
        (with_rating(score=float("nan")), "score is nan"),
        (with_rating(score=float("inf")), "score is inf"),
        (with_rating(score=10**400), "score is 1000+"),
        (with_rating(score=True), "score is True, not a number"),
        (with_rating(score="50"), "score is '50', not a number"),
        (with_rating(score=None), "score is None, not a number"),
        (with_rating(plays=1.5), "plays is 1.5, not a whole number"),
        (with_rating(condition="../x"), r"condition is '\.\./x', not an id"),
        (with_rating(condition="ffff"), "trial 0 has no condition ffff"),
        (with_rating(condition="0b"), "rates 0b of trial 0 twice"),
        (session("Ada", {"a": 100, "b": 1, "c": 1}), "trial 0 lacks a rating of 0d"),
        (session("Ada", *[GOOD] * 3), "the test has no trial 2"),
        ([], "the file is a list, not an object"),
        (None, "the file is None, not an object"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(analysed, found, message):
    """One line, first the file."""
    with pytest.raises(RatingsError, match=rf"^[^\n]*0\.json: [^\n]*{message}[^\n]*$"):
        analysed(found)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("r.json", b'{"format": "audioc', "not whole JSON"),
        ("r.json", b"\xff\xfe\x00", "not UTF-8"),
        ("r.json", b"[" * 200_000, "not whole JSON"),
        ("r.json", b'{"x": ' + b"9" * 5000 + b"}", "not whole JSON"),
        ("r.json", b"", "not whole JSON"),
        ("r.json", b" " * (16 * 2**20 + 1), "longer than 16 MiB"),
        ("r.csv", b"", "lacks the column 'test'"),
        ("r.csv", b"test,listener\n7e57,Ada\n", "lacks the column 'started'"),
        ("r.csv", ",".join(COLUMNS).encode(), "holds no rating"),
        ("r.csv", ",".join(COLUMNS).encode() + b"\n7e57,Ada\n", "line 2: order is None"),
        (
            "r.csv",
            ",".join(COLUMNS).encode() + b'\n"7e57',
            "after line 1: is not CSV: unexpected end",
        ),
        ("r.csv", b'"' + b"x" * 200_000 + b'"\n', "is not CSV: field larger"),
        ("r.txt", b"x", r"are \.json or \.csv"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, name, data, message):
    """Cut, deep, huge, of another kind."""
    write_key(tmp_path / "key.json", make_key())
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RatingsError, match=rf"{name}: .*{message}"):
        analyse([tmp_path / name], tmp_path / "key.json")


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_do_more_than_a_refusal(tmp_path_factory, data):
    """Whatever a file holds, the error is ours."""
    folder = tmp_path_factory.mktemp("odd")
    write_key(folder / "key.json", make_key())
    for name in ("r.json", "r.csv"):
        (folder / name).write_bytes(data)
        with pytest.raises(RatingsError):
            analyse([folder / name], folder / "key.json")


def test_a_trial_rated_twice_by_one_name_is_refused(analysed, tmp_path):
    """As where JSON and CSV of one listener are both given; both files are named."""
    with pytest.raises(RatingsError, match=r"1\.json: Ada rated trial 0 in .*0\.json already"):
        analysed(session("Ada", GOOD), session("Ada", GOOD))
    with pytest.raises(RatingsError, match="Ada rated trial 0"):
        analyse([tmp_path / "0.json"] * 2, tmp_path / "listening_key.json")


def test_no_file_and_a_missing_file_are_refused(analysed, tmp_path):
    """With what to do, or which file."""
    with pytest.raises(RatingsError, match="no ratings files given"):
        analysed()
    with pytest.raises(RatingsError, match=r"none\.json: cannot be read"):
        analyse([tmp_path / "none.json"], tmp_path / "listening_key.json")


@pytest.mark.parametrize("found", [{}, [], {"test": "x", "title": "t", "trials": [{}]}, 3, None])
def test_a_key_that_is_none_is_refused(tmp_path, found):
    """A results file in its place, say."""
    (tmp_path / "key.json").write_text(json.dumps(found))
    with pytest.raises(RatingsError, match=r"key\.json: is not the key"):
        analyse([tmp_path / "0.json"], tmp_path / "key.json")
