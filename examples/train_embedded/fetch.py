"""Fetch the training set of the embedded model from Debian: audio and a manifest.

    python examples/train_embedded/fetch.py --out DIR [--permissive-only] [--packages NAME ...]

Packages are downloaded and unpacked below DIR/.work; nothing is installed. Run `apt-get update`
once before. A stopped run resumes when it is started again. The manifest names package, licence and
authors of every file.
"""

import argparse
import csv
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import midi
from convert import AUDIO_SUFFIXES, Job, convert
from packages import PACKAGES, SCORES, SOUND_FONT, chosen

COLUMNS = (
    *("path", "class", "package", "licence", "author", "seconds", "rate", "channels"),
    *("source_rate", "full_band", "source", "md5"),  # of the package's file
)
STEMS = ("guitar.ogg", "rhythm.ogg")  # beside a song.ogg that lacks them
SAVE_EVERY = 200  # recordings between writes of the manifest, from which a stopped run resumes
Rows = dict[str, dict[str, str]]  # by path


def missing_tools(packages: Iterable[str], pieces: int) -> list[str]:
    """Programs that these packages need and that are not installed."""
    packages = list(packages)
    needed = {"apt-get", "dpkg-deb"}
    if any(name.endswith("g722") for name in packages):
        needed.add("ffmpeg")
    if pieces or SCORES in packages:
        needed.add("fluidsynth")
    return sorted(tool for tool in needed if shutil.which(tool) is None)


def unpacked(package: str, work: Path) -> Path:
    """Download and unpack a package unless that is done; returns the folder with its files."""
    tree, done = work / "x" / package, work / "x" / f"{package}.done"
    if done.exists():
        return tree
    debs = work / "deb"
    debs.mkdir(parents=True, exist_ok=True)
    if not list(debs.glob(f"{package}_*.deb")):
        subprocess.run(["apt-get", "download", package], check=True, cwd=debs)
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    deb = next(debs.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(deb), str(tree)], check=True)
    for pk3 in tree.rglob("*.pk3"):  # a zip, as in ufoai-sound
        with zipfile.ZipFile(pk3) as archive:
            archive.extractall(pk3.with_suffix(".d"))
    done.touch()
    return tree


def recordings(package: str, tree: Path, out: Path, seen: set[str]) -> Iterator[Job]:
    """Jobs for the recordings of an unpacked package, without those whose md5 is in `seen`."""
    files = sorted(p for p in tree.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    for path in files:
        source = path.relative_to(tree).as_posix()
        kind = PACKAGES[package].class_of(source)
        if kind is None or path.is_symlink() or not path.is_file():
            continue
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        if md5 in seen:
            continue
        seen.add(md5)
        stems = [path.with_name(name) for name in STEMS if path.name == "song.ogg"]
        parts = Path(source).with_suffix("").parts[-3:]
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", "_".join(parts))
        target = out / kind / package / f"{name}_{md5[:8]}.flac"
        sources = (path, *(stem for stem in stems if stem.exists()))
        yield Job(sources, target, _row(target, out, kind, package, source, md5))


def rendered(scores: list[tuple[str, Path]], font: Path, work: Path, out: Path) -> Iterator[Job]:
    """Render scores, (package, MIDI file) each, unless that is done; yields a job for each."""
    for package, score in scores:
        md5 = hashlib.md5(score.read_bytes()).hexdigest()
        wav = work / "rendered" / f"{score.stem}_{md5[:8]}.wav"
        target = out / "music" / package / f"{wav.stem}.flac"
        if not wav.exists() and not target.exists():
            wav.parent.mkdir(exist_ok=True)
            midi.render(font, score, wav)
        yield Job((wav,), target, _row(target, out, "music", package, score.name, md5))


def _row(target: Path, out: Path, kind: str, package: str, source: str, md5: str) -> dict[str, str]:
    known = {"path": target.relative_to(out).as_posix(), "class": kind, "package": package}
    owner = {"licence": PACKAGES[package].licence, "author": PACKAGES[package].authors}
    return known | owner | {"source": source, "md5": md5}


def music_jobs(packages: list[str], pieces: int, work: Path, out: Path) -> Iterator[Job]:
    """Jobs for the package of scores, if it was chosen, and for `pieces` random pieces."""
    scores = []
    if SCORES in packages:
        scores = [(SCORES, path) for path in sorted(unpacked(SCORES, work).rglob("*.mid"))]
    folder = work / "midi"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(pieces if SOUND_FONT in packages else 0):
        path = folder / f"random_{seed:03d}.mid"
        path.write_bytes(midi.random_piece(seed))
        scores.append((SOUND_FONT, path))
    if scores:
        font = next(unpacked(SOUND_FONT, work).rglob("*.sf3"))
        yield from rendered(scores, font, work, out)


def read_manifest(path: Path) -> Rows:
    """The rows of an earlier run by path; none if there was no earlier run."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def write_manifest(path: Path, rows: Rows) -> None:
    """Write all rows, sorted by path; the file is replaced as a whole."""
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
    partial.rename(path)


def converted(jobs: list[Job], manifest: Path, workers: int) -> Rows:
    """Convert what the manifest does not list yet, and write it; returns the rows of all."""
    rows, todo = read_manifest(manifest), []
    for job in jobs:
        if job.target.exists() and job.row["path"] in rows:
            rows[job.row["path"]] |= job.row  # updates authors and licences
        else:
            todo.append(job)
    print(f"{len(jobs)} recordings, {len(todo)} to convert", flush=True)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for n, row in enumerate(pool.map(convert, todo, chunksize=8), 1):
            if row:
                rows[row["path"]] = row
            if n % SAVE_EVERY == 0:
                write_manifest(manifest, rows)
    write_manifest(manifest, rows)
    return rows


def fetch(out: Path, packages: list[str], pieces: int, workers: int = 2) -> Rows:
    """Fetch, deduplicate, decode and render into `out`; returns the rows of out/manifest.csv.

    pieces: number of random pieces of music to render, each about a minute long.
    """
    out = out.resolve()
    work, seen = out / ".work", set[str]()
    work.mkdir(parents=True, exist_ok=True)
    jobs = chain.from_iterable(
        recordings(name, unpacked(name, work), out, seen)
        for name in packages
        if PACKAGES[name].rules
    )
    music = music_jobs(packages, pieces, work, out)
    return converted([*jobs, *music], out / "manifest.csv", workers)


def summary(rows: Rows) -> Iterator[str]:
    """A line for each class: number of files, minutes, and minutes with full bandwidth."""
    for kind in sorted({row["class"] for row in rows.values()}):
        mine = [row for row in rows.values() if row["class"] == kind]
        minutes = sum(float(row["seconds"]) for row in mine) / 60
        full = sum(float(row["seconds"]) for row in mine if row["full_band"] == "yes") / 60
        yield f"{kind}: {len(mine)} files, {minutes:.1f} min, full band {full:.1f} min"


def main() -> int:
    """Run the command; returns 0, or 1 after a line that says what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    permissive = "fetch only packages without GPL or share-alike licences"
    parser.add_argument("--out", type=Path, required=True, help="output folder, about 6 GB")
    parser.add_argument("--permissive-only", action="store_true", help=permissive)
    parser.add_argument(
        "--packages", nargs="+", metavar="NAME", help="packages to fetch; default: all"
    )
    parser.add_argument("--pieces", type=int, default=60, help="random pieces of music to render")
    parser.add_argument("--workers", type=int, default=2, help="processes that convert recordings")
    args = parser.parse_args()
    try:
        packages = chosen(args.packages, args.permissive_only)
    except ValueError as error:
        return _failed(str(error))
    if tools := missing_tools(packages, args.pieces if SOUND_FONT in packages else 0):
        return _failed(f"not installed: {', '.join(tools)} (Debian packages of these names)")
    try:
        rows = fetch(args.out, packages, args.pieces, args.workers)
    except subprocess.CalledProcessError as error:
        return _failed(f"{' '.join(error.cmd)} failed; was `apt-get update` run?")
    print(*summary(rows), sep="\n")
    return 0


def _failed(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
