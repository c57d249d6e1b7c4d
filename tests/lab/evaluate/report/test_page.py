"""The folder: complete, self-contained, safe against what names may hold."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from audiocodec.errors import OutputError
from audiocodec.lab.evaluate.report.page import safe_names, write_report
from audiocodec.lab.evaluate.report_data import HeardClip, Report
from audiocodec.lab.evaluate.rows import read_csv

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Tags with their attributes, references, text; refuses tags that do not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def references(self) -> list[str]:
        """Every src and href, and the pictures that the script shows."""
        names = ("src", "href", "data-spectrogram")
        return [attrs[n] or "" for _, attrs in self.tags for n in names if n in attrs]


@pytest.fixture(scope="module")
def parsed(folder: Path) -> Page:
    """index.html."""
    return Page(folder / "index.html")


def test_tags_nest_and_ids_are_unique(parsed: Page) -> None:
    """Every tag that opens closes, and no id comes twice."""
    assert parsed.open == []
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids)) > 5


def test_every_reference_is_relative_and_there(parsed: Page, folder: Path) -> None:
    """Files in the folder, or places on the page; nothing else."""
    ids = {attrs.get("id") for _, attrs in parsed.tags}
    for reference in parsed.references():
        if reference.startswith("#"):
            assert reference[1:] in ids
        elif reference != "data:,":
            assert re.fullmatch(r"[\w./-]+", reference, re.ASCII)
            assert (folder / reference).resolve().is_relative_to(folder.resolve())
            assert (folder / reference).is_file()


def test_nothing_names_a_server(folder: Path) -> None:
    """No http in page, style or script."""
    for name in ("index.html", "style.css", "players.js"):
        assert "://" not in (folder / name).read_text(encoding="utf-8")


def test_names_of_clips_are_text_not_tags(parsed: Page, report: Report) -> None:
    """The page shows each name as it is; the only script is ours."""
    assert [attrs for tag, attrs in parsed.tags if tag == "script"] == [
        {"src": "players.js", "defer": None}
    ]
    titles = {text.strip() for text in parsed.texts}
    assert {heard.clip for heard in report.heard} <= titles
    assert "$x_{2}$ <b>" in titles


def test_each_clip_has_its_sounds_and_pictures(folder: Path, report: Report) -> None:
    """A FLAC and a PNG for the reference and each condition, in a folder a clip."""
    for kind, ending in (("audio", "flac"), ("spectrograms", "png")):
        clips = sorted(p for p in (folder / kind).iterdir())
        assert len(clips) == len(report.heard)
        assert {len(list(clip.glob(f"*.{ending}"))) for clip in clips} == {6}
    copied = next((folder / "audio").glob("script*")) / "reference.flac"
    assert copied.read_bytes() == report.heard[0].reference.read_bytes()


def test_tables_and_figures_lie_beside_the_page(folder: Path, report: Report) -> None:
    """The same rows in CSV and Parquet; summaries, codebooks, and how it was made."""
    assert read_csv(folder / "results.csv") == list(report.rows)
    assert parquet.read_table(folder / "results.parquet").num_rows == len(report.rows)
    assert "Opus, 6.5 kbps" in (folder / "summary.md").read_text(encoding="utf-8")
    assert json.loads((folder / "about.json").read_text())["command"].startswith("audiocodec")
    names = {path.name for path in (folder / "plots").iterdir()}
    assert names == {
        "rates_speech.svg",
        "rates_music.svg",
        "rates_all.svg",
        "codebooks_ours.svg",
        "overview.svg",
    }
    assert {"summary.csv", "codebooks.csv"} <= {path.name for path in folder.iterdir()}


def test_the_listening_test_is_linked_where_there_is_one(parsed: Page) -> None:
    """From the navigation and above the players."""
    assert parsed.references().count("listening_test.html") == 2


def test_a_report_of_little_is_a_page_all_the_same(report: Report, tmp_path: Path) -> None:
    """One row, no audio, no codebooks, no listening test, nothing about how it was made."""
    write_report(tmp_path / "new" / "folder", Report("nothing of ours", report.rows[:1]))
    page = Page(tmp_path / "new" / "folder" / "index.html")
    assert not any(attrs.get("id") in ("codebooks", "listen", "not-run") for _, attrs in page.tags)
    assert "listening_test.html" not in page.references()


def test_audio_that_lies_in_the_folder_already_is_kept(report: Report, tmp_path: Path) -> None:
    """A clip decoded into its own place is not copied over itself."""
    place = tmp_path / "audio" / "kept" / "reference.flac"
    place.parent.mkdir(parents=True)
    shutil.copyfile(report.heard[0].reference, place)
    heard = HeardClip("kept", "speech", place, ())
    write_report(tmp_path, Report("ours", report.rows[:1], (heard,)))
    assert place.read_bytes() == report.heard[0].reference.read_bytes()


def test_a_file_in_the_way_is_named(report: Report, tmp_path: Path) -> None:
    """OutputError in one line."""
    (tmp_path / "report").write_text("mine")
    with pytest.raises(OutputError, match=r"report: cannot be made: [^\n]+$"):
        write_report(tmp_path / "report", report)


def test_a_sound_that_is_gone_is_named(report: Report, tmp_path: Path) -> None:
    """An error that a person can act on, with the file's name."""
    gone = replace(report.heard[0], reference=tmp_path / "gone.flac")
    with pytest.raises(Exception, match=r"gone\.flac"):
        write_report(tmp_path / "report", replace(report, heard=(gone,)))


@given(names=st.lists(st.text(max_size=80), max_size=8))
def test_safe_names_are_plain_and_differ(names: list[str]) -> None:
    """ASCII, short, no leading dot, different even where case is ignored."""
    safe = safe_names(names)
    assert len({name.lower() for name in safe}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,65}", name) for name in safe)


def test_safe_names_keep_what_they_can() -> None:
    """Umlauts lose their dots, slashes become underscores, doubles are numbered."""
    assert safe_names(["Grüße/1.flac", "a", "A", "..", "日本"]) == [
        "Grue_1.flac",
        "a",
        "A-2",
        "clip",
        "clip-2",
    ]
