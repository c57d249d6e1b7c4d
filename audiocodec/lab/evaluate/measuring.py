"""Measures one clip with one system at one setting, as far as the store does not hold it yet."""

import traceback
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from audiocodec.errors import CodecError, OutputError
from audiocodec.lab.evaluate.clips import Reference, read_clip
from audiocodec.lab.evaluate.figures import figures_of
from audiocodec.lab.evaluate.rows import ResultRow
from audiocodec.lab.evaluate.store import Store, StoredClip, key_of
from audiocodec.lab.systems.base import Setting, System
from audiocodec.lab.systems.catalogue import SystemSpec

FIGURES_VERSION = "1"  # raise it when a figure changes, so that stored ones are not used
PACKAGES = ("visqol-python", "pesq", "pystoi")


@dataclass(frozen=True)
class Candidate:
    """A system at one of its settings, described without the system itself."""

    spec: SystemSpec
    name: str
    identity: str
    setting: Setting
    codebook_size: int  # 0: has none

    @property
    def label(self) -> str:
        """The same as ResultRow.label."""
        return f"{self.name}, {self.setting.label}"


@dataclass(frozen=True)
class Task:
    """A clip to encode, decode and measure with a candidate."""

    reference: Reference
    candidate: Candidate

    @property
    def decoded_key(self) -> str:
        """The decoded clip's key in the store."""
        candidate = self.candidate
        return key_of(self.reference.digest, candidate.identity, candidate.setting.label)

    @property
    def figures_key(self) -> str:
        """The key of its figures in the store."""
        kind = self.reference.clip.kind
        return key_of(self.decoded_key, kind, FIGURES_VERSION, *package_versions().values())

    def __str__(self) -> str:
        return f"{self.reference.clip.name}, {self.candidate.label}"


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Versions of the packages that compute figures; "" for those that are not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def is_done(task: Task, store: Store) -> bool:
    """Whether the store holds the decoded clip and its figures."""
    return store.find(task.decoded_key) is not None and bool(store.find_record(task.figures_key))


def measured(store: Store, task: Task) -> ResultRow | str:
    """The row of a task, or one line that says why the system failed on this clip.

    Raises OutputError if the store cannot be written, as then every other task would fail too.
    """
    try:
        return _row(store, task)
    except OutputError:
        raise
    except CodecError as error:
        return f"{task}: {error}"
    except Exception as error:  # a defect must not cost the hours spent on other tasks
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{task}: {type(error).__name__}: {error} ({where.name})"


def _row(store: Store, task: Task) -> ResultRow:
    candidate, clip, seconds = task.candidate, task.reference.clip, task.reference.seconds
    stored = store.find(task.decoded_key) or _decoded(store, task)
    record = store.find_record(task.figures_key)
    if record is None:
        reference, sample_rate = read_clip(task.reference.path)
        estimate, _ = read_clip(stored.audio)
        found, failures = figures_of(clip.kind, reference, estimate, sample_rate)
        record = {"figures": found, "failures": failures}
        store.put_record(task.figures_key, record)
    return ResultRow(
        clip=clip.name,
        kind=clip.kind,
        system=candidate.name,
        setting=candidate.setting.label,
        codebooks=candidate.setting.codebooks,
        kbps=stored.n_bytes * 8 / 1000 / seconds,
        nominal_kbps=candidate.setting.nominal_kbps,
        tokens_per_s=candidate.setting.tokens_per_s,
        encode_speed=seconds / stored.encode_s,
        decode_speed=seconds / stored.decode_s,
        **record,
    )


def _decoded(store: Store, task: Task) -> StoredClip:
    audio, sample_rate = read_clip(task.reference.path)
    decoded = system_of(task.candidate.spec).run(audio, sample_rate, task.candidate.setting)
    return store.put(task.decoded_key, decoded, sample_rate)


@lru_cache(maxsize=2)  # few, as tasks come system by system and models may be large
def system_of(spec: SystemSpec) -> System:
    """The system of a spec, made once in this process. Raises what SystemSpec.make raises."""
    return spec.make()
