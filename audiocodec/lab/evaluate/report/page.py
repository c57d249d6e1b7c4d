"""Writes the report's folder: index.html with players, and every file that it refers to.

Links are relative, so the folder works from a disk, without a server or a network.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from audiocodec.errors import OutputError
from audiocodec.files import make_folder, write_file
from audiocodec.lab.evaluate.figures import METRICS
from audiocodec.lab.evaluate.report import plots, spectrograms, tables
from audiocodec.lab.evaluate.report.plots import Look, looks
from audiocodec.lab.evaluate.report.tables import Line, Table, TableCell
from audiocodec.lab.evaluate.report_data import HeardClip, Report
from audiocodec.lab.evaluate.rows import ResultRow, printable, write_csv, write_parquet
from audiocodec.lab.evaluate.summary import ALL, Summaries, write_summary_csv

LISTENING_TEST = "listening_test.html"  # linked if the folder holds it
LONGEST_NAME = 60  # characters of a file's name without its ending
ON_BUTTONS = ("visqol", "mel")  # figures of a clip that its buttons show

SPEED_NOTE = '<p class="note">Each system ran alone, in a process of its own.</p>\n'
CODEBOOK_NOTE = (
    '<p class="note">Entropy says how many bits the codes of a codebook carry; efficiency is their '
    "sum over the bits spent. Grey bars are the maximum.</p>\n"
)
HOW_TO_LISTEN = (
    '<p class="note scripted">After switching, the sound continues at the same position. Keys, in '
    "the player last used: <kbd>space</kbd> plays and pauses, <kbd>0</kbd> is the reference, "
    "<kbd>1</kbd> to <kbd>9</kbd> and <kbd>←</kbd> <kbd>→</kbd> choose. A click in a spectrogram "
    "moves there.</p>"
)


@dataclass(frozen=True)
class Sound:
    """A sound of a player; paths are relative to the folder."""

    label: str
    audio: str
    spectrogram: str
    row: ResultRow | None = None  # None: the reference


@dataclass(frozen=True)
class Player:
    """A clip to hear: the reference first, then its decoded versions, system by system."""

    id: str
    heard: HeardClip
    sounds: tuple[Sound, ...]
    seconds: float
    nyquist_khz: float


def write_report(folder: Path, report: Report) -> None:
    """Write a folder with index.html. Replaces files of the same names; others stay.

    Raises OutputError if the folder cannot be made or written, AudioError for a clip that cannot
    be read.
    """
    try:
        make_folder(folder)
        _write_folder(folder, report)
    except OSError as error:
        name = error.filename or folder
        raise OutputError(
            f"{folder}: the report cannot be written: {name}: {error.strerror or error}"
        ) from error


def safe_names(names: Iterable[str]) -> list[str]:
    """File names for any texts: ASCII, short, and different even where letter case is ignored."""
    taken: set[str] = set()
    safe = []
    for name in names:
        ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Za-z0-9.-]+", "_", ascii_only).strip("._-")[:LONGEST_NAME] or "clip"
        candidate, n = stem, 1
        while candidate.lower() in taken:
            n += 1
            candidate = f"{stem}-{n}"
        taken.add(candidate.lower())
        safe.append(candidate)
    return safe


def _write_folder(folder: Path, report: Report) -> None:
    summaries = Summaries(report.rows)
    players = _write_sounds(folder, report)
    _write_plots(folder, report, summaries)
    write_csv(folder / "results.csv", report.rows)
    write_parquet(folder / "results.parquet", report.rows)
    write_summary_csv(folder / "summary.csv", summaries.lines)
    tables.write_codebooks_csv(folder / "codebooks.csv", report.usage)
    write_file(folder / "summary.md", tables.markdown(report, summaries))
    about = {
        "model": report.model,
        **report.about,
        "not_run": report.not_run,
        "failed": report.failed,
    }
    write_file(folder / "about.json", json.dumps(about, indent=2) + "\n")
    for name in ("style.css", "players.js"):
        write_file(folder / name, _resource(name))
    has_test = (folder / LISTENING_TEST).exists()
    page = _page(report, summaries, players, has_test)
    write_file(folder / "index.html", page)


def _write_plots(folder: Path, report: Report, summaries: Summaries) -> None:
    make_folder(folder / "plots")
    for name, kind in _named(summaries.kinds):
        figure = plots.rate_distortion(report, summaries, kind)
        plots.save_svg(figure, folder / "plots" / f"rates_{name}.svg")
    overview = plots.overview(report, summaries)
    plots.save_svg(overview, folder / "plots" / "overview.svg", for_page=False)
    for name, system in _named(_systems_with_codebooks(report)):
        figure = plots.codebook_use([usage for usage in report.usage if usage.system == system])
        plots.save_svg(figure, folder / "plots" / f"codebooks_{name}.svg")


def _write_sounds(folder: Path, report: Report) -> list[Player]:
    """Copy the sounds, and draw their spectrograms."""
    names = safe_names(re.sub(r"\.\w{1,5}$", "", heard.clip) for heard in report.heard)
    return [_write_clip(folder, name, heard) for name, heard in zip(names, report.heard)]


def _write_clip(folder: Path, name: str, heard: HeardClip) -> Player:
    """Write audio/<clip>/ and spectrograms/<clip>/, with a file for each sound of the player."""
    order = list(dict.fromkeys(condition.row.system for condition in heard.conditions))
    conditions = sorted(heard.conditions, key=lambda condition: order.index(condition.row.system))
    labels = ["reference", *(condition.row.label for condition in conditions)]
    sources = [heard.reference, *(condition.audio for condition in conditions)]
    for kind in ("audio", "spectrograms"):
        make_folder(folder / kind / name)
    reference, rate = spectrograms.read_mono(heard.reference)
    loudest = float(spectrograms.power(reference).max())
    sounds = []
    for stem, label, source, condition in zip(
        safe_names(labels), labels, sources, (None, *conditions)
    ):
        audio, picture = f"audio/{name}/{stem}.flac", f"spectrograms/{name}/{stem}.png"
        _copy(source, folder / audio)
        power = spectrograms.power(spectrograms.read_mono(source)[0])
        spectrograms.write_spectrogram(folder / picture, power, loudest)
        sounds.append(Sound(label, audio, picture, condition.row if condition else None))
    return Player(f"clip-{name}", heard, tuple(sounds), len(reference) / rate, rate / 2000)


def _copy(source: Path, target: Path) -> None:
    if not (target.exists() and source.samefile(target)):
        shutil.copyfile(source, target)


def _page(report: Report, summaries: Summaries, players: Sequence[Player], has_test: bool) -> str:
    sections = list(_sections(report, summaries, players, has_test))
    links = [f'<a href="#{anchor}">{_text(title)}</a>' for anchor, title, _ in sections]
    if has_test:
        links.append(f'<a class="test" href="{LISTENING_TEST}">Blind listening test</a>')
    return _filled(
        "page.html",
        model=_text(report.model),
        facts="\n".join(_facts(report)),
        links="\n".join(links),
        sections="\n".join(
            f'<section id="{anchor}">\n<h2>{_text(title)}</h2>\n{body}\n</section>'
            for anchor, title, body in sections
        ),
    )


def _sections(
    report: Report, summaries: Summaries, players: Sequence[Player], has_test: bool
) -> Iterator[tuple[str, str, str]]:
    """Anchor, title and HTML of each part of the page."""
    look = looks(report)
    yield "reading", "How to read this", _resource("reading.html")
    for name, kind in _named(summaries.kinds):
        title = "all classes" if kind == ALL else kind
        picture = _plot(f"plots/rates_{name}.svg", f"Rate-distortion curves, {title}")
        table = _table(tables.class_table(report, summaries, kind), look)
        yield f"class-{name}", title, picture + table
    if report.usage:
        yield "codebooks", "codebooks", "\n".join(_codebooks(report))
    if report.speed:
        yield "speed", "speed", SPEED_NOTE + _table(tables.speed_table(report), look)
    if report.not_run or report.failed:
        left_out = _table(tables.left_out_table(report), look, "text")
        yield "not-run", "not run, not measured", left_out
    if players:
        yield "listen", "listen", "\n".join(_players(players, report, look, has_test))


def _facts(report: Report) -> Iterator[str]:
    for name, value in report.about.items():
        shown = f"<code>{_text(value)}</code>" if name == "command" else _text(value)
        yield f"<dt>{_text(name)}</dt><dd>{shown}</dd>"


def _codebooks(report: Report) -> Iterator[str]:
    yield CODEBOOK_NOTE
    found = tables.usage_tables(report.usage)
    for (name, system), table in zip(_named(_systems_with_codebooks(report)), found):
        yield _plot(f"plots/codebooks_{name}.svg", f"Codebook use of {system}")
        yield _table(table, {})


def _plot(source: str, title: str) -> str:
    return (
        f'<div class="plot" tabindex="0" role="region" aria-label="{_text(title)}">'
        f'<img src="{source}" alt="{_text(title)}; the table below has the figures"></div>\n'
    )


def _table(table: Table, look: dict[str, Look], style: str = "") -> str:
    """The table in a box that scrolls sideways, and its notes. style: a class of the box."""
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in table.columns)
    lines = "\n".join(_line(line, look) for line in table.lines)
    notes = "".join(f"<li>{_text(note)}</li>" for note in table.notes)
    if not lines:
        return f'<ul class="notes">{notes}</ul>\n'
    return (
        f'<div class="scroll {style}" tabindex="0" role="region" aria-label="{_text(table.title)}">'
        f"<table><caption>{_text(table.title)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{lines}\n</tbody></table></div>\n"
        + (f'<ul class="notes">{notes}</ul>\n' if notes else "")
    )


def _line(line: Line, look: dict[str, Look]) -> str:
    head, *others = line.cells
    cells = "".join(f"<td>{_cell(cell)}</td>" for cell in others)
    style = ' class="model"' if line.of_model else ""
    return f'<tr{style}><th scope="row">{_swatch(head.text, look)}{_cell(head)}</th>{cells}</tr>'


def _cell(cell: TableCell) -> str:
    return _text(cell.text) + "".join(f"<small>{_text(line)}</small>" for line in cell.small)


def _swatch(label: str, look: dict[str, Look]) -> str:
    """A system's colour in the plots, found by a label that begins with the system's name."""
    system = max((name for name in look if label.startswith(f"{name}, ")), key=len, default=None)
    return f'<i class="swatch" style="--c:{look[system].colour}"></i>' if system else ""


def _players(
    players: Sequence[Player], report: Report, look: dict[str, Look], has_test: bool
) -> Iterator[str]:
    if has_test:
        yield f'<p><a class="button" href="{LISTENING_TEST}">Take the blind listening test</a></p>'
    yield HOW_TO_LISTEN
    for kind in dict.fromkeys(player.heard.kind for player in players):
        yield f"<h3>{_text(kind)}</h3>"
        yield from (_player(p, report, look) for p in players if p.heard.kind == kind)


def _player(player: Player, report: Report, look: dict[str, Look]) -> str:
    start = _first_heard(player.sounds, report.model)
    return _filled(
        "player.html",
        id=player.id,
        clip=_text(player.heard.clip),
        seconds=f"{player.seconds:.3f}",
        length=f"{player.seconds:.1f}",
        nyquist=f"{player.nyquist_khz:.3g}",
        start=str(start),
        spectrogram=player.sounds[0].spectrogram,
        chosen=_text(player.sounds[start].label),
        chosen_spectrogram=player.sounds[start].spectrogram,
        choices="\n".join(_choices(player.sounds, start, look)),
        sources="\n".join(_source(sound) for sound in player.sounds),
    )


def _first_heard(sounds: Sequence[Sound], model: str) -> int:
    """Index of the model's sound at its highest rate, or else of the reference."""
    own = [i for i, sound in enumerate(sounds) if sound.row and sound.row.system == model]
    return max(own, key=lambda i: sounds[i].row.kbps, default=0)  # type: ignore[union-attr]


def _choices(sounds: Sequence[Sound], start: int, look: dict[str, Look]) -> Iterator[str]:
    """A row of buttons for the reference and for each system."""
    groups: dict[str, list[int]] = {}
    for i, sound in enumerate(sounds):
        groups.setdefault(sound.row.system if sound.row else "", []).append(i)
    for system, indices in groups.items():
        colour = f'<i class="swatch" style="--c:{look[system].colour}"></i>' if system else ""
        buttons = "".join(_button(i, sounds[i], i == start) for i in indices)
        yield (
            f'<div class="system"><span>{colour}{_text(system)}</span>'
            f'<div class="settings">{buttons}</div></div>'
        )


def _button(index: int, sound: Sound, pressed: bool) -> str:
    key = f'<kbd aria-hidden="true">{index}</kbd>' if index < 10 else ""
    name, lines = "reference", ["the original"]
    if sound.row is not None:
        name, lines = sound.row.setting, [f"{sound.row.kbps:.2f} kbps"]
        lines += filter(None, (_short_figure(sound.row, name) for name in ON_BUTTONS))
    small = "".join(f"<small>{_text(line)}</small>" for line in lines)
    spoken = _text(", ".join([sound.label, *lines]))
    return (
        f'<button type="button" aria-pressed="{str(pressed).lower()}" aria-label="{spoken}">'
        f"{_text(name)}{small}{key}</button>"
    )


def _short_figure(row: ResultRow, name: str) -> str:
    metric = next(metric for metric in METRICS if metric.name == name)
    value = row.figures.get(name)
    title = metric.title.removesuffix(", dB")
    unit = " dB" if title != metric.title else ""
    return "" if value is None else f"{title} {value:.{metric.digits}f}{unit}"


def _source(sound: Sound) -> str:
    """A native player, used by browsers without scripts and by the script."""
    figures = "The recording as it is, mono."
    if sound.row is not None:
        shown = [_short_figure(sound.row, metric.name) for metric in METRICS if metric.shown]
        failed = [f"{tables.TITLES[name]}: {why}" for name, why in sound.row.failures.items()]
        figures = " · ".join([f"{sound.row.kbps:.2f} kbps", *filter(None, shown), *failed])
    return (
        f'<li data-label="{_text(sound.label)}" data-spectrogram="{sound.spectrogram}">'
        f'<b>{_text(sound.label)}</b> <audio controls preload="none" src="{sound.audio}" '
        f'aria-label="{_text(sound.label)}"></audio><p class="figures">{_text(figures)}</p></li>'
    )


def _systems_with_codebooks(report: Report) -> list[str]:
    return list(dict.fromkeys(usage.system for usage in report.usage))


def _named(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each name, after a name for its file."""
    return zip(safe_names(names), names)


def _text(text: str) -> str:
    """Any text, escaped for HTML, also within quotes."""
    return escape(printable(text), quote=True)


def _filled(template: str, **values: str) -> str:
    return Template(_resource(template)).substitute(values)


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
