"""Plots: what they hold, and that the same figures give the same bytes."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from audiocodec.errors import OutputError
from audiocodec.lab.evaluate.report import plots, spectrograms
from audiocodec.lab.evaluate.report_data import Report
from audiocodec.lab.evaluate.summary import Summaries


def texts(path: Path) -> list[str]:
    """All text of an SVG."""
    root = ElementTree.parse(path).getroot()
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_each_shown_metric_has_a_panel_and_each_system_a_line(report: Report) -> None:
    """Speech: ten panels of three systems, points at the measured rates, intervals as bars."""
    figure = plots.rate_distortion(report, Summaries(report.rows), "speech")
    assert len(figure.axes) == 10
    visqol = next(panel for panel in figure.axes if panel.get_title("left") == "ViSQOL")
    assert visqol.get_xscale() == "log"
    assert [len(container[0].get_xdata()) for container in visqol.containers] == [2, 2, 1]
    assert list(visqol.containers[0][0].get_xdata()) == [2.0, 8.0]


def test_text_stays_text_and_names_are_no_formulas(tmp_path: Path, report: Report) -> None:
    """A system called $x_{2}$ is shown as it is called, the model in bold."""
    figure = plots.rate_distortion(report, Summaries(report.rows), "music")
    plots.save_svg(figure, tmp_path / "a.svg")
    assert {"$x_{2}$ <b>", "ours", "Opus", "mel distance", "kbps, measured"} <= set(
        texts(tmp_path / "a.svg")
    )


def test_a_name_with_an_underscore_is_in_the_legend(tmp_path: Path, report: Report) -> None:
    """Matplotlib hides such names unless told otherwise."""
    odd = replace(report, rows=tuple(replace(row, system="_x") for row in report.rows))
    plots.save_svg(plots.overview(odd, Summaries(odd.rows)), tmp_path / "a.svg")
    assert "_x" in texts(tmp_path / "a.svg")


def test_same_figures_give_the_same_bytes(tmp_path: Path, report: Report) -> None:
    """No date, no random names."""
    for name in ("a.svg", "b.svg"):
        plots.save_svg(plots.overview(report, Summaries(report.rows)), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_system_looks_the_same_everywhere(report: Report) -> None:
    """Also where another system is missing from a class; all looks differ."""
    found = plots.looks(report)
    assert len({(look.colour, look.marker) for look in found.values()}) == len(found) == 3
    assert [name for name, look in found.items() if look.is_model] == ["ours"]


def test_overview_has_three_metrics_of_each_class_and_what_speech_has(report: Report) -> None:
    """Classes in columns; on white, for a README."""
    figure = plots.overview(report, Summaries(report.rows))
    assert [panel.get_title("left") for panel in figure.axes][:3] == [
        "speech: ViSQOL",
        "music: ViSQOL",
        "speech: mel distance",
    ]
    assert [panel.get_title("left") for panel in figure.axes][6:] == [
        "speech: ViSQOL speech",
        "speech: PESQ",
    ]


def test_bars_show_entropy_against_the_bits_of_a_codebook(report: Report) -> None:
    """Grey up to ten bits, coloured up to the entropy."""
    figure = plots.codebook_use(report.usage)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [10, 10, 9.5, 8.25]


def test_a_plot_that_cannot_be_written_says_so(tmp_path: Path, report: Report) -> None:
    """OutputError, as for every output."""
    with pytest.raises(OutputError):
        plots.save_svg(plots.codebook_use(report.usage), tmp_path / "no" / "a.svg")


def test_a_tone_is_a_line_at_its_frequency(tmp_path: Path) -> None:
    """4 kHz of 16 kHz: the brightest row is half way up, Nyquist being on top."""
    tone = np.sin(2 * np.pi * 4000 * np.arange(32000) / 16000)
    power = spectrograms.power(tone)
    assert power.shape == (spectrograms.HEIGHT, spectrograms.WIDTH)
    assert abs(int(power.sum(axis=1).argmax()) - spectrograms.HEIGHT // 2) <= 1
    spectrograms.write_spectrogram(tmp_path / "a.png", power, float(power.max()))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (spectrograms.WIDTH, spectrograms.HEIGHT)


def test_noise_stays_a_small_file(tmp_path: Path) -> None:
    """The worst case for PNG: under 64 kB."""
    power = spectrograms.power(np.random.default_rng(0).normal(size=441000))
    spectrograms.write_spectrogram(tmp_path / "a.png", power, float(power.max()))
    assert (tmp_path / "a.png").stat().st_size < 64_000


@pytest.mark.parametrize("n_samples", [0, 1, 500])
def test_silence_and_very_short_clips_are_dark(tmp_path: Path, n_samples: int) -> None:
    """No warning about the logarithm of nothing."""
    power = spectrograms.power(np.zeros(n_samples))
    spectrograms.write_spectrogram(tmp_path / "a.png", power, 0.0)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.convert("L").getextrema()[1] < 5
