"""Which conditions of a report a listening test takes."""

from pathlib import Path

from audiocodec.lab.evaluate.listening.condition_selection import blind_clips
from audiocodec.lab.evaluate.report_data import Condition, HeardClip, Report
from audiocodec.lab.evaluate.rows import ResultRow

RATES = {"ours": (1, 3, 5, 8), "Opus": (6, 7.5, 12, 24), "MP3": (16, 32), "AAC": (4, 6)}


def condition(clip: str, system: str, kbps: float) -> Condition:
    """A decoded clip of made-up rate."""
    row = ResultRow(clip, "music", system, f"{kbps} kbps", 0, kbps, kbps, 0, 1, 1, {}, {})
    return Condition(row, Path("decoded.flac"))


def report(**rates) -> Report:
    """Two clips through systems at these rates."""
    clips = tuple(
        HeardClip(
            clip,
            "music",
            Path("reference.flac"),
            tuple(condition(clip, name, kbps) for name, own in rates.items() for kbps in own),
        )
        for clip in ("a", "b")
    )
    return Report(model="ours", rows=(), heard=clips)


def labels(clip: HeardClip) -> list[str]:
    """Of its conditions."""
    return [condition.row.label for condition in clip.conditions]


def test_the_model_meets_what_is_nearest_in_rate():
    """Its three highest rates, the nearest setting of others, and the next above."""
    first, second = blind_clips(report(**RATES))
    assert labels(first) == labels(second)
    assert [text for text in labels(first) if text.startswith("ours")] == [
        "ours, 8 kbps",
        "ours, 5 kbps",
        "ours, 3 kbps",
    ]
    assert [text for text in labels(first) if text.startswith("Opus")] == [
        "Opus, 7.5 kbps",
        "Opus, 12 kbps",
    ]
    assert "AAC, 6 kbps" in labels(first)
    assert "AAC, 4 kbps" not in labels(first)


def test_a_trial_is_not_too_long():
    """Eight systems at most, every other system once before any comes twice."""
    many = {f"other {i}": (7, 9) for i in range(4)}
    [clip, _] = blind_clips(report(ours=RATES["ours"], **many))
    assert len(clip.conditions) == 8
    assert {condition.row.system for condition in clip.conditions} == {"ours", *many}


def test_a_model_alone_is_tested_alone():
    """Against the hidden reference and the anchor."""
    assert labels(blind_clips(report(ours=(8,)))[0]) == ["ours, 8 kbps"]
