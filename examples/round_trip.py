"""Compress a sound file, decompress it, and print its bit rate and the distance to the original.

    python examples/round_trip.py [INPUT [OUTPUT_FOLDER]]

Distances are measured on the mean of the channels, at the file's sample rate. SI-SDR compares
waveforms (higher is closer); the log-spectral distance compares levels over time and frequency,
roughly as an ear does (lower is closer).
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from audiocodec import Codec, DacFile

CLIP = Path(__file__).with_name("audio") / "music_guitar_em9.flac"


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508).

    reference, estimate: (n_samples,).
    """
    reference, estimate = reference - reference.mean(), estimate - estimate.mean()
    target = reference * (estimate @ reference) / (reference @ reference)
    return 10 * np.log10((target @ target) / np.sum((estimate - target) ** 2))


def log_spectral_distance(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Mean difference in dB between spectra of 2048 samples, limited to -80 dB below full scale.

    reference, estimate: (n_samples,).
    """
    spectra = []
    for x in (reference, estimate):
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, 2048), 2048)[::512]
        magnitudes = np.abs(np.fft.rfft(frames * np.hanning(2048))) / 512
        spectra.append(20 * np.log10(np.maximum(magnitudes, 1e-4)))
    return float(np.mean(np.abs(spectra[0] - spectra[1])))


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else CLIP
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
    packed, unpacked = folder / f"{source.stem}.dac", folder / f"{source.stem}_decoded.wav"

    codec = Codec.from_pretrained()
    print(codec)
    codec.compress(source, packed, overwrite=True)
    codec.decompress(packed, unpacked, overwrite=True)

    original, rate = soundfile.read(source, always_2d=True)
    decoded, _ = soundfile.read(unpacked, always_2d=True)
    n_bytes, seconds = packed.stat().st_size, len(original) / rate
    header = DacFile.load(packed).header
    raw_kbps = original.shape[1] * rate * 16 / 1000
    kbps = n_bytes * 8 / seconds / 1000
    print(f"{source.name}: {seconds:.2f} s, {original.shape[1]} channel(s) at {rate} Hz")
    print(
        f"{packed}: {n_bytes} bytes, {kbps:.2f} kbps "
        f"(nominal {header.nominal_kbps:.2f}, {raw_kbps / kbps:.0f} times smaller than 16 bit)"
    )
    mono = original.mean(axis=1), decoded.mean(axis=1)
    print(
        f"{unpacked}: same length {len(decoded) == len(original)}, SI-SDR {si_sdr(*mono):.1f} dB, "
        f"log-spectral distance {log_spectral_distance(*mono):.1f} dB"
    )


if __name__ == "__main__":
    main()
