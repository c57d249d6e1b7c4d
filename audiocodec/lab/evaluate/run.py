"""Runs the whole evaluation: measures all clips with all systems, and returns the report."""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audiocodec.errors import ArgumentError, AudioError, CodecError
from audiocodec.extras import check_installed
from audiocodec.lab.evaluate.clips import Reference, find_clips, make_reference
from audiocodec.lab.evaluate.measuring import (
    Candidate,
    Task,
    is_done,
    measured,
    package_versions,
    system_of,
)
from audiocodec.lab.evaluate.report_data import Condition, HeardClip, Report, Speed, Usage
from audiocodec.lab.evaluate.rows import ResultRow
from audiocodec.lab.evaluate.speed import speed_of
from audiocodec.lab.evaluate.store import Store
from audiocodec.lab.evaluate.summary import ALL
from audiocodec.lab.measures.usage import CodebookUsage
from audiocodec.lab.systems.base import Unavailable
from audiocodec.lab.systems.catalogue import SystemSpec, make_specs, matched_opus, model_spec
from audiocodec.threads import granted_cores
from audiocodec.workers import each_done, worker_pool

PACKAGES = ("visqol", "ai_edge_litert", "pesq", "pystoi", "scipy", "pyarrow", "matplotlib")


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate, and how."""

    data: Path  # sound file, folder or manifest
    out: Path  # folder of the report
    cache: Path  # folder of the store
    model: str  # name, folder, file, hub repository
    codebooks: tuple[int, ...] = ()  # counts of codebooks; empty: a few from one to all
    baselines: str = ""  # see catalogue.make_specs
    every: int = 1  # take every n-th clip
    seconds: float = 10.0  # longest clip; from the middle of longer recordings
    sample_rate: int = 44100  # of the references
    listen: int = 3  # players of each class in the report
    jobs: int = 1  # worker processes; 0: one per core
    command: str = ""  # the command line, which the report shows


Say = Callable[[str], None]


def evaluate(plan: EvaluationPlan, say: Say) -> Report:
    """Measure everything that is not in the store yet. Raises CodecError.

    say: receives a line for each system that cannot run, with the reason, and lines of progress.
    """
    store = Store(plan.cache)
    references, unusable = _references(plan, store)
    ours = _candidates(model_spec(plan.model, plan.codebooks))
    others, not_run = _baselines(plan.baselines, say)
    _refuse_namesakes([*ours, *others])
    rows, failed = _measured(plan, store, references, [*ours, *others], say)
    names = {candidate.name for candidate in others}
    if "Opus" in names and "Opus, matched" not in names:
        matched = _matched(rows, ours)
        more, worse = _measured(plan, store, references, matched, say)
        others, rows, failed = [*others, *matched], rows + more, failed + worse
    if not any(row.system == ours[0].name for row in rows):
        raise AudioError("; ".join([*unusable, *failed][:3]))
    candidates = [*ours, *others]
    return Report(
        model=ours[0].name,
        rows=tuple(rows),
        heard=tuple(_heard(plan.listen, store, references, candidates, rows)),
        usage=tuple(_usage(store, _tasks(references, candidates))),
        speed=tuple(_speeds(candidates, references)),
        failed=(*unusable, *failed),
        not_run=not_run,
        about=_about(plan, references, candidates),
    )


def _references(plan: EvaluationPlan, store: Store) -> tuple[list[Reference], list[str]]:
    """The references of all clips that can be used, and the reasons why others cannot."""
    found, unusable = [], []
    for clip in tqdm(find_clips(plan.data, plan.every), "clips", disable=None, leave=False):
        try:
            rate, seconds = plan.sample_rate, plan.seconds
            found.append(make_reference(clip, store.references, rate, seconds))
        except AudioError as error:
            unusable.append(str(error))
    if not found:
        raise AudioError(f"{plan.data}: no clip can be used: {unusable[0]}")
    return found, unusable


def _candidates(spec: SystemSpec) -> list[Candidate]:
    system = system_of(spec)
    return [
        Candidate(spec, system.name, system.identity, setting, system.codebook_size)
        for setting in system.settings
    ]


def _baselines(text: str, say: Say) -> tuple[list[Candidate], dict[str, str]]:
    """The baselines that can run here, and the reasons why others cannot, by name."""
    candidates: list[Candidate] = []
    not_run = {}
    for spec in make_specs(text):
        try:
            candidates += _candidates(spec)
        except Unavailable as reason:
            not_run[str(spec)] = str(reason)
            say(f"{spec} is not run: {reason}")
    return candidates, not_run


def _refuse_namesakes(candidates: Iterable[Candidate]) -> None:
    """Raise ArgumentError if two systems have the same name, and so the same rows."""
    spec_of: dict[str, SystemSpec] = {}
    for candidate in candidates:
        if spec_of.setdefault(candidate.name, candidate.spec) != candidate.spec:
            raise ArgumentError(
                f"two of the systems are called {candidate.name}; name it once, or save one of "
                "them under another name"
            )


def _matched(rows: Sequence[ResultRow], ours: Sequence[Candidate]) -> list[Candidate]:
    """Opus matched to the measured rates of the model's files."""
    rates = []
    for candidate in ours:
        kbps = [row.kbps for row in rows if row.label == candidate.label]
        rates.append(float(np.mean(kbps)) if kbps else 0.0)
    spec = matched_opus(rates)
    return _candidates(spec) if spec else []


def _tasks(references: Sequence[Reference], candidates: Iterable[Candidate]) -> list[Task]:
    """All tasks, system by system, so that a worker holds few systems at a time."""
    return [Task(reference, candidate) for candidate in candidates for reference in references]


def _measured(
    plan: EvaluationPlan,
    store: Store,
    references: Sequence[Reference],
    candidates: Sequence[Candidate],
    say: Say,
) -> tuple[list[ResultRow], list[str]]:
    """The rows of all tasks in order, and the failures; shows progress on a terminal."""
    tasks = _tasks(references, candidates)
    missing = [task for task in tasks if not is_done(task, store)]
    if missing:
        found = len(tasks) - len(missing)
        say(f"measuring {len(missing)} decoded clips; {found} are in {plan.cache} already")
        failures = _work_off(missing, store, plan.jobs, found)
    else:
        failures = {}
    outcomes = [failures.get(task) or measured(store, task) for task in tasks]
    rows = [outcome for outcome in outcomes if isinstance(outcome, ResultRow)]
    return rows, [outcome for outcome in outcomes if isinstance(outcome, str)]


def _work_off(tasks: list[Task], store: Store, jobs: int, n_found: int) -> dict[Task, str]:
    """Fill the store in worker processes of one thread each; returns the failures by task."""
    bar = tqdm(total=n_found + len(tasks), initial=n_found, unit="clip", disable=None)
    failures = {}
    try:
        with bar, worker_pool(min(jobs, len(tasks)), 1) as pool:
            for task, outcome in each_done(pool, measured, tasks, store):
                if isinstance(outcome, str):
                    failures[task] = outcome
                bar.update()
    except BrokenProcessPool as error:
        raise CodecError(
            "a worker process died, perhaps out of memory; run it again with fewer --jobs to resume"
        ) from error
    return failures


def _heard(
    n: int,
    store: Store,
    references: Sequence[Reference],
    candidates: Sequence[Candidate],
    rows: Sequence[ResultRow],
) -> Iterable[HeardClip]:
    """n clips of each class, evenly spaced, with all their decoded versions."""
    row_of = {(row.clip, row.label): row for row in rows}
    for kind in dict.fromkeys(reference.clip.kind for reference in references):
        own = [reference for reference in references if reference.clip.kind == kind]
        chosen = np.linspace(0, len(own) - 1, min(n, len(own))).astype(int)
        for reference in (own[i] for i in chosen):
            name, conditions = reference.clip.name, []
            for candidate in candidates:
                row = row_of.get((name, candidate.label))
                stored = store.find(Task(reference, candidate).decoded_key)
                if row and stored:
                    conditions.append(Condition(row, stored.audio))
            yield HeardClip(name, kind, reference.path, tuple(conditions))


def _usage(store: Store, tasks: Iterable[Task]) -> Iterable[Usage]:
    """Codebook use of each system with codes, at its most codebooks: by class, and over all."""
    most: dict[str, int] = {}
    counted: dict[tuple[str, str], CodebookUsage] = {}
    own = [task for task in tasks if task.candidate.codebook_size]
    for task in own:
        name = task.candidate.name
        most[name] = max(most.get(name, 0), task.candidate.setting.codebooks)
    for task in own:
        candidate, stored = task.candidate, store.find(task.decoded_key)
        n = candidate.setting.codebooks
        if n != most[candidate.name] or stored is None or stored.codes is None:
            continue
        codes = np.load(stored.codes)[None]
        for kind in dict.fromkeys((ALL, task.reference.clip.kind)):
            key = (candidate.name, kind)
            usage = counted.setdefault(key, CodebookUsage(n, candidate.codebook_size))
            usage.update(codes)
    for (name, kind), usage in counted.items():
        yield Usage(
            system=name,
            kind=kind,
            n_frames=int(usage.counts[0].sum()),
            codebook_size=usage.counts.shape[1],
            entropy=tuple(usage.entropy().tolist()),
            used_share=tuple(usage.used_share().tolist()),
            efficiency=usage.efficiency(),
        )


def _speeds(candidates: Sequence[Candidate], references: Sequence[Reference]) -> Iterable[Speed]:
    """Time each system at its last setting on the longest clip, one after the other.

    The store does not keep these figures, so that one from a busy machine does not stay for good.
    """
    reference = max(references, key=lambda one: one.path.stat().st_size)
    last = {candidate.name: candidate for candidate in candidates}
    for candidate in tqdm(last.values(), "speed", disable=None, leave=False):
        yield speed_of(candidate, reference)


def _about(
    plan: EvaluationPlan, references: Sequence[Reference], candidates: Sequence[Candidate]
) -> dict[str, str]:
    kinds = [reference.clip.kind for reference in references]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    packages = {"audiocodec": version("audiocodec"), "torch": version("torch")}
    versions = packages | package_versions()
    return {
        "date": date.today().isoformat(),
        "data": f"{plan.data.name}: {counts}",
        "references": f"mono, {plan.sample_rate} Hz, 16 bit, -16 LUFS, at most {plan.seconds:g} s",
        "command": plan.command,
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items() if text),
        "systems": "; ".join(dict.fromkeys(candidate.identity for candidate in candidates)),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def checked(plan: EvaluationPlan) -> EvaluationPlan:
    """The plan with its number of jobs.

    Raises ArgumentError for numbers out of range, for a report or store within the data, and for
    missing packages.
    """
    check_installed("the evaluation", "eval", PACKAGES)
    if plan.every < 1 or plan.jobs < 0 or plan.listen < 0:
        raise ArgumentError("--every must be 1 or more, --jobs and --listen 0 or more")
    for folder in (plan.out, plan.cache):
        if plan.data.is_dir() and folder.resolve().is_relative_to(plan.data.resolve()):
            raise ArgumentError(
                f"{folder}: is inside {plan.data}, so that the report's sounds would be taken for "
                "clips; name another --out"
            )
    if not plan.seconds > 0:
        raise ArgumentError(f"--seconds {plan.seconds:g}: must be more than 0")
    if not 8000 <= plan.sample_rate <= 192_000:
        raise ArgumentError(f"--rate {plan.sample_rate}: must be from 8000 to 192000 Hz")
    return replace(plan, jobs=plan.jobs or granted_cores())
