"""Results as Markdown."""

from collections.abc import Iterable, Sequence

from audiocodec.lab.reporting.tables import markdown_table
from audiocodec.lab.speed.results import BenchmarkResults, BenchmarkRow, Rate
from audiocodec.lab.systems.catalogue import TIMED, class_of


def title_of(system: str) -> str:
    """A system's name in tables; one unknown here, from an older benchmark, keeps its own."""
    if not system:
        return "alone"
    return str(class_of(TIMED[system]).timed_title) if system in TIMED else system


def markdown(results: BenchmarkResults) -> str:
    """All tables, each with an explanation."""
    parts = [f"# Speed\n\n{_setting(results)}"]
    for model in dict.fromkeys(row.model for row in results.rows):
        rows = [row for row in results.rows if row.model == model]
        parts.append(f"## {model}\n\n{COMPARED}\n\n{_compared(rows)}")
        if grown := growth(rows):
            parts.append(f"### {model}: longer files\n\n{_growth(grown)}")
    if results.rates:
        parts.append(f"## What the hardware allows\n\n{ALLOWED}\n\n{_rates(results.rates)}")
    if results.agreements:
        parts.append(f"## Codes of the same weights\n\n{_agreements(results)}")
    if results.fidelities:
        text = FIDELITY + (NO_AUDIO if any(f.audio == "noise" for f in results.fidelities) else "")
        parts.append(f"## Beside exact float32 on the CPU\n\n{text}\n\n{_fidelities(results)}")
    if results.missing:
        parts.append(f"## Not measured\n\n{_missing(results)}")
    return "\n\n".join(parts) + "\n"


COMPARED = (
    "Seconds of computing for each second of audio. The two take turns, and the ratio is the "
    "median over rounds; above 1, ours is that many times as fast. Memory is the peak of the "
    "process, weights and torch included; on CUDA, the peak of the device."
)
ALLOWED = (
    "Only the floating-point operations of convolutions are counted. The share is that of the rate "
    "of a large matrix product that took turns with them."
)
FIDELITY = (
    "The setting measured here and exact float32 on the CPU encoded the same audio: the first 10 s "
    "of each file, or of evenly spaced ones among many, each channel on its own, at the file's own "
    "level. Then both decoded the codes of float32; the dB are the energy of the signal from "
    "float32 over that of the difference, clip by clip. Seeded weights were never trained, so "
    "their figures say nothing about a model in use."
)
NO_AUDIO = " Noise says little about real audio; name recordings with --audio."


def growth(rows: Iterable[BenchmarkRow]) -> list[BenchmarkRow]:
    """The first row of each length from file to file; none unless there are several lengths."""
    first: dict[tuple[str, float], BenchmarkRow] = {}
    for row in rows:
        if row.operation in ("compress", "decompress"):
            first.setdefault((row.operation, row.audio_s), row)
    several = len({length for _, length in first}) > 1
    return [first[key] for key in sorted(first)] if several else []


def _setting(results: BenchmarkResults) -> str:
    s = results.setting
    return (
        f"audiocodec {s.get('audiocodec')}, torch {s.get('torch')}, Python {s.get('python')}, "
        f"{s.get('cpu')}, {s.get('threads')} threads, device {s.get('device')}, "
        f"precision {s.get('precision')}; up to {s.get('rounds')} rounds."
    )


def _compared(rows: Sequence[BenchmarkRow]) -> str:
    head = "operation", "audio, s", "batch", "beside", "ours, s/s", "theirs, s/s", "ratio"
    return markdown_table(
        (*head, "ours, MiB", "theirs, MiB", "rounds"),
        (
            (
                row.operation,
                f"{row.audio_s:g}",
                str(row.batch),
                title_of(row.system),
                f"{row.ours_s:.4f}",
                _number(row.theirs_s, 4),
                _number(row.ratio, 2),
                _number(row.ours_mib, 0),
                _number(row.theirs_mib, 0),
                str(row.n_rounds),
            )
            for row in rows
        ),
    )


def _growth(rows: Sequence[BenchmarkRow]) -> str:
    return markdown_table(
        ("operation", "audio, s", "s/s", "times real time", "MiB", "theirs, s/s", "theirs, MiB"),
        (
            (
                row.operation,
                f"{row.audio_s:g}",
                f"{row.ours_s:.4f}",
                f"{1 / row.ours_s:.1f}",
                _number(row.ours_mib, 0),
                _number(row.theirs_s, 4),
                _number(row.theirs_mib, 0),
            )
            for row in rows
        ),
    )


def _rates(rates: Sequence[Rate]) -> str:
    return markdown_table(
        ("model", "what", "GFLOP/s", "share of the matrix product"),
        (
            (rate.model, rate.what, f"{rate.gflops:.1f}", _share(rate.share, rate.against))
            for rate in rates
        ),
    )


def _share(share: float | None, against: str) -> str:
    return "" if share is None else f"{share:.0%} of {against}"


def _agreements(results: BenchmarkResults) -> str:
    return markdown_table(
        ("model", "system", "codes equal to ours"),
        ((one.model, title_of(one.system), f"{one.share:.4%}") for one in results.agreements),
    )


def _fidelities(results: BenchmarkResults) -> str:
    s = results.setting
    fast = "fast, bfloat16" if s.get("bfloat16") else "fast, no bfloat16"
    setting = f"{fast if s.get('precision') == 'fast' else 'exact'}, {s.get('device')}"
    head = "model", "weights", "setting", "audio", "clips", "frames", "codes equal"
    return markdown_table(
        (*head, "in the first codebook", "decoding, median, dB", "worst clip, dB"),
        (
            (
                one.model,
                "seeded" if one.seeded else "as loaded",
                setting,
                one.audio,
                f"{one.n_clips} of {one.n_available}",
                str(one.n_frames),
                f"{one.codes_equal:.3%}",
                f"{one.first_equal:.3%}",
                decibels(one.snr_median_db),
                decibels(one.snr_worst_db),
            )
            for one in results.fidelities
        ),
    )


def decibels(value: float | None) -> str:
    """A ratio of Fidelity as text; None means that nothing differs."""
    return "no difference" if value is None else f"{value:.1f}"


def _missing(results: BenchmarkResults) -> str:
    return "\n".join(f"- {one.what}: {one.reason}" for one in results.missing)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
