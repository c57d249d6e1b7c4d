"""Chooses the conditions of a listening test: few enough to be rated side by side."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audiocodec.lab.evaluate.report_data import Condition, HeardClip, Report

OF_MODEL = 3  # settings of the model, those of the highest rates
MAX_SYSTEMS = 8  # beside the hidden reference and the anchor (BS.1534: 12 conditions at most)


def blind_clips(report: Report) -> list[HeardClip]:
    """The clips of a report's players, each with the conditions to compare.

    The model is there at its highest rates, the highest first; every other system at the setting
    whose mean rate is nearest to the model's highest and, while there is room, at the next one
    above.
    """
    chosen = _chosen(report)
    clips = []
    for heard in report.heard:
        found = {condition.row.label: condition for condition in heard.conditions}
        clips.append(
            replace(heard, conditions=tuple(found[label] for label in chosen if label in found))
        )
    return clips


def _chosen(report: Report) -> list[str]:
    """The labels of the chosen conditions."""
    rates: dict[str, dict[str, float]] = {}  # system: label: mean kbps
    for label, conditions in _by_label([c for h in report.heard for c in h.conditions]).items():
        kbps = float(np.mean([condition.row.kbps for condition in conditions]))
        rates.setdefault(conditions[0].row.system, {})[label] = kbps
    ours = rates.pop(report.model, {})
    own = sorted(ours, key=lambda label: -ours[label])[:OF_MODEL]
    top = max(ours.values(), default=0.0)
    nearest = [min(r, key=lambda label: abs(r[label] - top)) for r in rates.values()]
    above = [
        min(higher, key=lambda label: higher[label])
        for r, label in zip(rates.values(), nearest, strict=True)
        if (higher := {name: kbps for name, kbps in r.items() if kbps > max(top, r[label])})
    ]
    return [*own, *nearest, *above][:MAX_SYSTEMS]


def _by_label(conditions: Sequence[Condition]) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for condition in conditions:
        found.setdefault(condition.row.label, []).append(condition)
    return found
