"""Encodes the items of a task to rows: one thread reads and resamples, another encodes.

Each item takes the steps of Codec.compress, so its codes are those of encoding it alone.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from queue import Empty, Full, Queue
from threading import Event
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch

from audiocodec.audio import AudioSource
from audiocodec.codec import Codec
from audiocodec.compression import codes_of, measure, model_blocks
from audiocodec.container import DacFile, Header
from audiocodec.errors import AudioError, CodecError, ModelError, ModelMismatch, OutputError
from audiocodec.recordings import Recording, open_recording
from audiocodec.tokens.jobs.folder import Job, Problem, ShardTask
from audiocodec.tokens.shards import TokenRow

AHEAD = 16  # blocks that wait for the network: about 20 s of sound
PATIENCE_S = 0.1
Tick: TypeAlias = Callable[[int, float], None]  # more items, more seconds of audio
Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Loading:
    """The arguments of Codec.from_pretrained with which a worker loads the model."""

    model: str
    revision: str | None
    device: str
    precision: str

    def codec(self) -> Codec:
        """Load it. Raises ModelError."""
        return Codec.from_pretrained(
            self.model, self.revision, self.device, precision=self.precision
        )


@lru_cache(maxsize=1)
def loaded(loading: Loading, fingerprint: str) -> Codec:
    """Load the codec once per process. Raises ModelError, ModelMismatch for another codec."""
    codec = loading.codec()
    if codec.fingerprint != fingerprint:
        raise ModelMismatch(loading.model, f"the job's ({fingerprint[:8]})", codec.space.called)
    return codec


@dataclass(frozen=True)
class TaskDone:
    """Result of a task: its items, seconds of audio encoded, items that could not be used."""

    index: int
    n_items: int
    audio_s: float
    n_problems: int


@dataclass(frozen=True)
class _End:
    """Follows the pieces of an item; `problem` says why it could not be read to its end."""

    problem: str | None = None


Pieces: TypeAlias = Iterator[Header | np.ndarray | _End]  # of one item after the other
Made: TypeAlias = TokenRow | Problem


def reading_thread() -> ThreadPoolExecutor:
    """A thread for all tasks of a run, so that a compressed tar stays open between tasks."""
    return ThreadPoolExecutor(1, "reader")


def encode_task(
    codec: Codec, job: Job, task: ShardTask, reader: ThreadPoolExecutor, tick: Tick | None = None
) -> TaskDone:
    """Encode the items of a task and write its shard. Raises OutputError, JobError."""
    rows: list[TokenRow] = []
    problems: list[Problem] = []
    items = job.items(task)
    ahead: Ahead[Header | np.ndarray | _End] = Ahead(AHEAD, reader)
    encode = _together if codec.device.type == "cuda" else _one_by_one
    with closing(ahead):
        pieces = ahead.of(_read(codec, job, items, ahead.stop))
        for made in encode(codec, job, items, pieces):
            audio_s = 0.0
            if isinstance(made, Problem):
                problems.append(made)
            else:
                rows.append(made)
                audio_s = made.n_samples / made.sample_rate
            if tick:
                tick(1, audio_s)
    job.finish(task, rows, problems)
    total_s = sum(row.n_samples / row.sample_rate for row in rows)
    return TaskDone(task.index, task.n_items, total_s, len(problems))


def _read(codec: Codec, job: Job, items: Sequence[Recording], stop: Event) -> Pieces:
    """For each item its header, its blocks and an end, which says why if something failed."""
    for item in items:
        try:
            with open_recording(item, job.recipe.track) as whole:
                audio = _until(whole, stop)
                measured = measure(audio, codec.sample_rate, job.recipe.normalize)
                header = codec.header_for(audio, measured, job.recipe.n_codebooks, {})
                yield header
                yield from model_blocks(audio, header)
        except Exception as error:  # a defect that one hostile file meets must not stop the others
            yield _End(_reason(item, error))
        else:
            yield _End()


def _until(audio: AudioSource, stop: Event) -> AudioSource:
    """Audio whose reading ends with an error once `stop` is set."""

    def read(start: int) -> Iterator[np.ndarray]:
        for block in audio.blocks(start):
            if stop.is_set():
                raise AudioError(f"{audio.name}: is no longer wanted")
            yield block

    return replace(audio, _read=read)


def _reason(item: Recording, error: Exception) -> str:
    """The error as one line; raised again if it is not the item's fault."""
    if isinstance(error, OutputError | ModelError | MemoryError):
        raise error
    known = isinstance(error, CodecError)
    text = str(error) if known else f"unexpected {type(error).__name__}: {error}"
    line = " ".join(text.split())
    return line.removeprefix(f"{item.path}: ").removeprefix(f"{item.source}: ")


def _one_by_one(
    codec: Codec, job: Job, items: Sequence[Recording], pieces: Pieces
) -> Iterator[Made]:
    """Encode each item as its pieces come."""
    for item in items:
        blocks: Iterator[np.ndarray] = iter(())
        try:
            header = _header(pieces)
            blocks = _blocks(pieces)
            stream = codec.stream_encoder(header.channels, header.n_codebooks)
            codes = np.concatenate(list(codes_of(blocks, header, stream, None)), axis=-1)
            yield _row(job, item, header, codes)
        except CodecError as error:
            for _ in blocks:
                pass
            yield Problem(item.id, item.source, _reason(item, error))


def _together(codec: Codec, job: Job, items: Sequence[Recording], pieces: Pieces) -> Iterator[Made]:
    """Encode windows of several items at a time; keeps their samples until they are encoded."""
    begun: deque[tuple[Recording, Header | None, str]] = deque()  # no header: a problem

    def signals() -> Iterator[np.ndarray]:
        for item in items:
            try:
                header, samples = _samples(pieces)
            except CodecError as error:
                begun.append((item, None, _reason(item, error)))
            else:
                begun.append((item, header, ""))
                yield from samples

    codes = codec.encode_many(signals(), job.recipe.n_codebooks)
    for first in codes:
        item, header, problem = begun.popleft()
        while header is None:
            yield Problem(item.id, item.source, problem)
            item, header, problem = begun.popleft()
        channels = torch.stack([first, *islice(codes, header.channels - 1)])
        yield _row(job, item, header, channels.numpy().astype(np.uint16))
    for item, _, problem in begun:
        yield Problem(item.id, item.source, problem)


def _header(pieces: Pieces) -> Header:
    """The header that begins an item. Raises AudioError for an item that cannot be read."""
    header: Any = next(pieces)
    if isinstance(header, _End):
        raise AudioError(header.problem or "")
    return header  # type: ignore[no-any-return]


def _samples(pieces: Pieces) -> tuple[Header, np.ndarray]:
    """A whole item, float32 (channels, n_samples). Raises AudioError."""
    header = _header(pieces)
    samples = np.concatenate(list(_blocks(pieces)), axis=-1)
    if not np.isfinite(samples).all():
        raise AudioError("NaN or infinity among its samples")
    return header, samples


def _row(job: Job, item: Recording, header: Header, codes: np.ndarray) -> TokenRow:
    """codes: uint16 (channels, n_codebooks, frames). Raises CodecError for an invalid row."""
    row = TokenRow.of_dac(DacFile(header, codes), item.id, item.source, item.columns)
    job.header.dac(row)  # else the shard could not be written
    return row


def _blocks(pieces: Pieces) -> Iterator[np.ndarray]:
    for piece in pieces:
        if isinstance(piece, _End):
            if piece.problem is not None:
                raise AudioError(piece.problem)
            return
        if isinstance(piece, np.ndarray):
            yield piece


class Ahead(Generic[Piece]):
    """Lets a thread make pieces, up to n_ahead more than have been taken."""

    def __init__(self, n_ahead: int, thread: ThreadPoolExecutor) -> None:
        self.thread, self.stop = thread, Event()
        self._waiting: Queue[Piece] = Queue(n_ahead)

    def of(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Start the thread; yield the pieces, and raise what making them raised."""
        self._filled = self.thread.submit(self._fill, pieces)
        while True:
            try:
                yield self._waiting.get(timeout=PATIENCE_S)
            except Empty:
                if self._filled.done() and self._waiting.empty():
                    self._filled.result()
                    return

    def close(self) -> None:
        """End the thread, which reads one more block at most."""
        self.stop.set()
        if hasattr(self, "_filled"):
            self._filled.exception()

    def _fill(self, pieces: Iterator[Piece]) -> None:
        with closing(pieces):  # type: ignore[type-var]  # a generator
            for piece in pieces:
                while not self._put(piece):
                    if self.stop.is_set():
                        return

    def _put(self, piece: Piece) -> bool:
        try:
            self._waiting.put(piece, timeout=PATIENCE_S)
        except Full:
            return False
        return True
