"""Predictors of listeners' ratings: ViSQOL, PESQ, STOI, ESTOI, for mono signals (n_samples,).

They use packages of the extra "eval". All raise ArgumentError where such a package is missing or
the two signals differ in length, and NoFigure, with the reason, for signals that have no score, so
that failures are counted instead of averaged.
"""

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

from audiocodec.errors import ArgumentError
from audiocodec.extras import how_to_install
from audiocodec.lab.measures.signals import (
    NoFigure,
    Samples,
    at_rate,
    finite,
    refuse_other_lengths,
    refuse_silence,
)

VISQOL_RATES = {"audio": 48000, "speech": 16000}  # by mode; ViSQOL itself does not resample
VISQOL_SECONDS = 1.0  # ViSQOL fails on clips shorter than about 0.6 s
PESQ_RATE = 16000  # wide-band PESQ is defined at this rate only


def visqol(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """ViSQOL, audio mode with its support vector model: 1 to 4.73, higher is better.

    Both signals (n_samples,) are resampled to the 48 kHz that it expects. Raises NoFigure for clips
    under a second, silence (a silent reference would get the highest score) and where ViSQOL fails.
    Source: arXiv 2004.09584.
    """
    return _visqol("audio", estimate, reference, sample_rate)


def visqol_speech(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """ViSQOL, speech mode with its lattice model at 16 kHz: 1 to 5, higher is better.

    Signals (n_samples,); identical ones score about 4.5, depending on the speech. Raises as visqol
    does, and ArgumentError without the package that runs the lattice model: ViSQOL would fall back
    on a polynomial whose scores are 1 to 2 higher.
    """
    return _visqol("speech", estimate, reference, sample_rate)


def pesq_wide_band(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """PESQ of speech, wide band at 16 kHz (ITU-T P.862.2): 1.04 to 4.64, higher is better.

    Signals (n_samples,) at sample_rate. Raises NoFigure for silence, for clips under a quarter of a
    second and where it finds no speech.
    """
    pesq = _extra("pesq")
    _refuse_incomparable(estimate, reference)
    x, y = (at_rate(s, sample_rate, PESQ_RATE) for s in (reference, estimate))
    try:
        return finite(float(pesq.pesq(PESQ_RATE, x, y, "wb")))
    except pesq.PesqError as error:
        raise NoFigure(type(error).__name__) from error


def stoi(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """Short-time objective intelligibility of speech, up to 1 (pystoi; IEEE TASLP 2011).

    Signals (n_samples,) at sample_rate. Raises NoFigure for silence, and where fewer than 30 frames
    (0.4 s) of speech are within 40 dB of the loudest.
    """
    return _intelligibility(estimate, reference, sample_rate, extended=False)


def estoi(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """Extended short-time objective intelligibility of speech, up to 1 (pystoi; IEEE TASLP 2016).

    Signals (n_samples,) at sample_rate. Raises as stoi does.
    """
    return _intelligibility(estimate, reference, sample_rate, extended=True)


def _visqol(mode: str, estimate: Samples, reference: Samples, sample_rate: int) -> float:
    api, rate = _visqol_api(mode), VISQOL_RATES[mode]
    _refuse_incomparable(estimate, reference)
    if len(reference) < VISQOL_SECONDS * sample_rate:
        raise NoFigure(f"shorter than {VISQOL_SECONDS:g} s")
    x, y = (at_rate(s, sample_rate, rate) for s in (reference, estimate))
    try:
        return finite(float(api.measure_from_arrays(x, y, rate).moslqo))
    except (ValueError, RuntimeError, IndexError) as error:
        raise NoFigure(f"ViSQOL: {error}") from error


@lru_cache(maxsize=2)
def _visqol_api(mode: str) -> Any:
    api = _extra("visqol").VisqolApi()
    if mode == "speech":
        _extra("ai_edge_litert.interpreter")
    with _silent():  # the lattice's runtime prints to standard error when created
        api.create(mode=mode, use_lattice_model=True)  # which the speech mode alone has
    return api


@contextmanager
def _silent() -> Iterator[None]:
    """Discard what native code writes to standard error, which no setting suppresses."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _intelligibility(
    estimate: Samples, reference: Samples, sample_rate: int, extended: bool
) -> float:
    pystoi = _extra("pystoi")
    _refuse_incomparable(estimate, reference)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return finite(float(pystoi.stoi(reference, estimate, sample_rate, extended)))
        except (RuntimeWarning, IndexError) as error:  # it warns and returns 1e-5, or fails
            raise NoFigure("too little speech") from error


def _refuse_incomparable(estimate: Samples, reference: Samples) -> None:
    refuse_other_lengths(estimate, reference)
    refuse_silence(reference=reference, estimate=estimate)


def _extra(name: str) -> ModuleType:
    """Import a package of the extra. Raises ArgumentError where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ArgumentError(f"the evaluation needs {package}: {how_to_install('eval')}") from error
