"""Speed and memory of a system alone in its process."""

import math

import numpy as np
import soundfile as sf

from audiocodec.lab.evaluate.clips import find_clips, make_reference
from audiocodec.lab.evaluate.measuring import Candidate
from audiocodec.lab.evaluate.speed import speed_of
from audiocodec.lab.systems.catalogue import SystemSpec
from audiocodec.weights.store import save_model


def timed(spec: SystemSpec, folder):
    """Speed of a system on a second of noise."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(44100)
    sf.write(folder / "a.wav", noise, 44100)
    (clip,) = find_clips(folder / "a.wav")
    reference = make_reference(clip, folder, 44100, 10)
    system = spec.make()
    setting = system.settings[-1]
    return speed_of(Candidate(spec, system.name, system.identity, setting, 0), reference)


def test_a_network_counts_the_memory_of_its_process(small, tmp_path):
    """With torch in it; nothing of this process, which has seen more."""
    save_model(small.model, tmp_path / "model", "small")
    speed = timed(SystemSpec("codec", str(tmp_path / "model")), tmp_path)
    assert (speed.system, speed.setting) == ("small", "9 codebooks")
    assert speed.encode_speed > 0
    assert speed.decode_speed > 0
    assert 100 < speed.peak_mib < 2000


def test_programs_count_their_own_memory(programs, tmp_path):
    """opusenc takes a few MiB, however large the process that calls it."""
    speed = timed(SystemSpec("opus", "12"), tmp_path)
    assert speed.encode_speed > 1
    assert math.isnan(speed.peak_mib) or speed.peak_mib < 60
