"""Runs a benchmark: pairs of workers, ours and one peer, for each operation, batch and length."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import audiocodec
from audiocodec.engine import Precision
from audiocodec.errors import ArgumentError, CodecError
from audiocodec.lab.speed.fidelity import (
    CLIPS,
    SEEDED_CLIPS,
    ComparedAudio,
    FidelityCounts,
    Wave,
    clips,
    find_audio,
)
from audiocodec.lab.speed.measure import (
    Round,
    TurnTaker,
    alternate,
    median_ratio,
    median_seconds,
    peak_mib,
)
from audiocodec.lab.speed.report import decibels
from audiocodec.lab.speed.results import (
    BenchmarkResults,
    BenchmarkRow,
    CodeAgreement,
    Fidelity,
    Missing,
    Rate,
)
from audiocodec.lab.speed.roofline import block_samples, product_flop
from audiocodec.lab.speed.worker import Worker
from audiocodec.lab.systems.base import Unavailable
from audiocodec.lab.systems.catalogue import OURS, TIMED, class_of
from audiocodec.lab.systems.shapes import flop_per_second
from audiocodec.lab.systems.workloads import (
    TENSORS,
    TimedSpec,
    Workload,
    codec_config,
    is_seeded,
    noise,
)
from audiocodec.model.config import ModelConfig

LONGEST_TENSOR_S = 60.0  # longer audio is measured from file to file only
COMPARED_SAMPLES = 22050  # samples of noise whose codes are compared
RATED_BLOCKS = 4  # blocks of audio with which encode and decode are rated
FILES_ONLY = "audio this long is measured from file to file only: compress and decompress"
PRODUCT = Workload("product", 0.0)


class Measurable(TurnTaker, Protocol):
    """The part of Worker that run() uses."""

    setting: dict[str, Any]

    @property
    def is_alive(self) -> bool: ...

    def prepare(self, workload: Workload) -> None: ...

    def codes(self, samples: Wave) -> Any: ...

    def decoded(self, codes: Any) -> Any: ...


Start = Callable[[TimedSpec], AbstractContextManager[Measurable]]


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to measure. Raises ArgumentError for unknown names and numbers out of range."""

    models: tuple[str, ...]
    systems: tuple[str, ...]
    lengths_s: tuple[float, ...] = (1.0, 10.0)
    batches: tuple[int, ...] = (1,)
    device: str = "cpu"
    precision: str = "exact"
    threads: int = 0
    rounds: int = 3
    budget_s: float = 30.0  # for the rounds of one comparison
    audio: tuple[str, ...] = ()  # files and folders for the comparison with exact float32

    def __post_init__(self) -> None:
        Precision(self.precision)
        for system in self.systems:
            if system not in TIMED:
                raise ArgumentError(f"no system {system!r}; there are {', '.join(TIMED)}")
        if not self.models or not self.systems:
            raise ArgumentError("name at least one model and one system")
        if min(self.lengths_s, default=0) <= 0:
            raise ArgumentError("lengths are in seconds and must be more than 0")
        if min(self.batches, default=0) < 1 or self.rounds < 1 or self.threads < 0:
            raise ArgumentError("batches and rounds must be 1 or more, threads 0 or more")


def run(plan: BenchmarkPlan, say: Callable[[str], None], start: Start = Worker) -> BenchmarkResults:
    """Measure all that can be measured; the results list the rest, with reasons, in `missing`.

    say: receives a line about each measurement.
    Raises ModelError for a model that cannot be loaded, ArgumentError for a device that cannot be
    used, AudioError for audio that is not there.
    """
    audio = find_audio(plan.audio)
    configs = {model: codec_config(model) for model in plan.models}
    with TemporaryDirectory() as folder:
        bench = _Bench(plan, folder, say, start)
        if max(plan.lengths_s) > LONGEST_TENSOR_S:
            bench.results.missing.append(
                Missing(f"tensors over {LONGEST_TENSOR_S:g} s", FILES_ONLY)
            )
        bench.rates(configs)
        bench.fidelities(configs, audio)
        for model in configs:
            for system in plan.systems:
                bench.compare(model, system)
    return bench.results


class _Bench:
    """A benchmark in progress."""

    def __init__(
        self, plan: BenchmarkPlan, folder: str, say: Callable[[str], None], start: Start
    ) -> None:
        self.plan, self.folder, self.say, self.start = plan, folder, say, start
        asked = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(plan).items()}
        self.results = BenchmarkResults(setting={**asked, "audiocodec": audiocodec.__version__})
        self._unavailable: set[str] = set()

    def compare(self, model: str, system: str) -> None:
        """Measure all rows of one model beside one system."""
        for operation in class_of(TIMED[system]).operations:
            for batch in self.plan.batches if operation in TENSORS else (1,):
                if system not in self._unavailable:
                    self._pair(model, system, operation, batch)

    def _pair(self, model: str, system: str, operation: str, batch: int) -> None:
        """Measure all lengths, shortest first: a process's peak memory is then the latest one's."""
        with self._started(model, OURS, *([] if system == OURS else [system])) as workers:
            if operation == "encode" and batch == self.plan.batches[0] and len(workers) == 2:
                self._agreement(model, system, *workers)
            for length in sorted(self.plan.lengths_s):
                if operation in TENSORS and length > LONGEST_TENSOR_S:
                    continue
                if not workers or not all(worker.is_alive for worker in workers):
                    break
                self._row(model, system, Workload(operation, length, batch), workers)

    def _row(
        self, model: str, system: str, workload: Workload, workers: Sequence[Measurable]
    ) -> None:
        audio = f"{workload.audio_s:g} s, batch {workload.batch}"
        what = f"{model}: {workload.operation}, {audio}, beside {system}"
        rounds = self._rounds(what, workers, [workload] * len(workers))
        if not rounds:
            return
        computed_s, paired = workload.audio_s * workload.batch, len(workers) == 2
        row = BenchmarkRow(
            model=model,
            operation=workload.operation,
            audio_s=workload.audio_s,
            batch=workload.batch,
            system=system if paired else "",
            ours_s=median_seconds(rounds, 0) / computed_s,
            theirs_s=median_seconds(rounds, 1) / computed_s if paired else None,
            ratio=median_ratio(rounds) if paired else None,
            ours_mib=peak_mib(rounds, 0),
            theirs_mib=peak_mib(rounds, 1) if paired else None,
            n_rounds=len(rounds),
        )
        self.results.rows.append(row)
        beside = f", {row.ratio:.2f} times as fast" if row.ratio else ""
        self.say(f"{what}: {row.ours_s:.4g} s for each second{beside}")

    def _agreement(self, model: str, system: str, ours: Measurable, theirs: Measurable) -> None:
        try:
            samples = noise(COMPARED_SAMPLES, 1).numpy()
            codes, own = theirs.codes(samples), ours.codes(samples)
        except CodecError as error:
            self._miss(f"{model}: codes of {system}", error)
            return
        if codes is not None and codes.shape == own.shape:
            share = float((codes == own).mean())
            self.results.agreements.append(CodeAgreement(model, system, share))

    def fidelities(self, configs: Mapping[str, ModelConfig], audio: ComparedAudio) -> None:
        """Compare each model at this setting with exact float32 on the CPU; call after rates.

        Nothing is compared where the setting is the reference itself; the results say so if audio
        was named.
        """
        if self.plan.precision == "exact" and self.results.setting["device_type"] == "cpu":
            if self.plan.audio:
                error = ArgumentError("the setting is the reference itself, exact on the CPU")
                self._miss("agreement with float32 on the CPU", error)
            return
        for model, config in configs.items():
            reference = replace(self._spec(model, OURS), device="cpu", precision="exact")
            some = audio.some(SEEDED_CLIPS if is_seeded(model) else CLIPS)
            self.say(f"{model}: {some.n_clips} clips of {some.name}, in float32 on the CPU too")
            with self._workers(self._spec(model, OURS), reference) as workers:
                counts = self._compared(model, clips(some, config.sample_rate, self._miss), workers)
            if counts.n_frames:
                self._fidelity(counts.result(model, is_seeded(model), audio))

    def _compared(
        self, model: str, clips: Iterable[Wave], workers: Sequence[Measurable]
    ) -> FidelityCounts:
        """Counts over all clips; empty where they cannot be compared, and the results say why."""
        if not workers:
            return FidelityCounts()
        tested, reference = workers
        counts = FidelityCounts()
        try:
            for clip in clips:
                counts.add(tested, reference, clip)
        except CodecError as error:
            self._miss(f"{model}: agreement with float32 on the CPU", error)
            return FidelityCounts()
        return counts

    def _fidelity(self, found: Fidelity) -> None:
        self.results.fidelities.append(found)
        decoded = f"{decibels(found.snr_median_db)}, {decibels(found.snr_worst_db)} at worst"
        self.say(
            f"{found.model}: {found.codes_equal:.2%} of codes equal those of float32 on the CPU, "
            f"{found.first_equal:.2%} of the first codebook; decoding, in dB: {decoded}"
        )

    def rates(self, configs: Mapping[str, ModelConfig]) -> None:
        """Measure the rates of matrix products, then of each model, which take turns with them.

        Takes the setting of the whole run from the product's process. Raises ArgumentError if not
        even that process can compute on the device.
        """
        with ExitStack() as stack:
            try:
                worker = stack.enter_context(self.start(self._spec("", "product")))
            except CodecError as error:  # nothing can be measured, so this ends the run
                raise ArgumentError(str(error)) from error
            self.results.setting |= worker.setting
            products = {"float32": worker}
            if worker.setting["bfloat16"]:
                for worker in stack.enter_context(self._started("", "product_bfloat16")):
                    products["bfloat16"] = worker
            self._products(products)
            is_fast = self.plan.precision == "fast" and "bfloat16" in products
            against = "bfloat16" if is_fast else "float32"
            for model, config in configs.items():
                self._model_rates(model, config, against, products[against])

    def _products(self, products: Mapping[str, Measurable]) -> None:
        rounds = self._rounds("matrix product", list(products.values()), [PRODUCT] * len(products))
        for taker, dtype in enumerate(products if rounds else ()):
            gflops = self._product_flop / median_seconds(rounds, taker) / 1e9
            self.results.rates.append(Rate("", f"matrix product, {dtype}", gflops, None, dtype))
            self.say(f"matrix product, {dtype}: {gflops:.1f} GFLOP/s")

    def _model_rates(
        self, model: str, config: ModelConfig, against: str, product: Measurable
    ) -> None:
        block_s = block_samples(config) / config.sample_rate
        with self._started(model, OURS, "convolutions") as workers:
            for operation in TENSORS:
                whats = (operation, f"convolutions of {operation}")
                for worker, what, n_blocks in zip(workers, whats, (RATED_BLOCKS, 1)):
                    workload = Workload(operation, n_blocks * block_s)
                    where = f"{model}: rate of {what}"
                    if rounds := self._rounds(where, [worker, product], [workload, PRODUCT]):
                        flop = flop_per_second(config, operation) * workload.audio_s
                        self._rate(model, what, flop, against, rounds)

    def _rate(self, model: str, what: str, flop: float, against: str, rounds: list[Round]) -> None:
        gflops = flop / median_seconds(rounds, 0) / 1e9
        share = flop / self._product_flop * median_ratio(rounds)
        self.results.rates.append(Rate(model, what, gflops, share, against))
        self.say(f"{model}: {what} at {gflops:.1f} GFLOP/s, {share:.0%} of a matrix product's")

    @property
    def _product_flop(self) -> float:
        return product_flop(self.results.setting["device_type"])

    def _rounds(
        self, what: str, workers: Sequence[Measurable], workloads: Sequence[Workload]
    ) -> list[Round]:
        """Prepare the workers and let them take turns; none if that fails, and the results say why.

        workloads: one for each worker.
        """
        if not workers:
            return []
        try:
            for worker, workload in zip(workers, workloads):
                worker.prepare(workload)
            return alternate(workers, self.plan.rounds, self.plan.budget_s)
        except CodecError as error:
            self._miss(what, error)
            return []

    def _started(self, model: str, *systems: str) -> AbstractContextManager[list[Measurable]]:
        return self._workers(*[self._spec(model, system) for system in systems])

    @contextmanager
    def _workers(self, *specs: TimedSpec) -> Iterator[list[Measurable]]:
        """A worker for each system; none if one cannot start, and the results say why."""
        with ExitStack() as stack:
            workers: list[Measurable] = []
            starting = [self.start(spec) for spec in specs]
            for spec, worker in zip(specs, starting):  # enter all of them, so that all are stopped
                try:
                    workers.append(stack.enter_context(worker))
                except Unavailable as error:
                    self._unavailable.add(spec.system)
                    self._miss(spec.system, error)
                except CodecError as error:
                    self._miss(": ".join(filter(None, (spec.model, spec.system))), error)
            yield workers if len(workers) == len(specs) else []

    def _spec(self, model: str, system: str) -> TimedSpec:
        plan = self.plan
        return TimedSpec(system, model, self.folder, plan.device, plan.precision, plan.threads)

    def _miss(self, what: str, error: Exception) -> None:
        missing = Missing(what, str(error))
        if missing not in self.results.missing:  # an unusable file is met again with each model
            self.results.missing.append(missing)
            self.say(f"{what}: {error}")
