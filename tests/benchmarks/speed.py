"""Seconds of computing per second of audio: the engine in blocks, and one pass over the whole.

python tests/benchmarks/speed.py [SECONDS [ROUNDS]]
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from audiocodec import Codec, ModelConfig
from audiocodec.model.network import DAC


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.manual_seed(0)
    codec = Codec(DAC(ModelConfig()), "published width, seeded weights")
    print(f"{codec}, {torch.get_num_threads()} threads, {seconds:g} s of audio, {rounds} rounds")
    wav = 0.1 * torch.randn(1, 1, round(seconds * codec.sample_rate) // codec.hop * codec.hop)
    codes = codec.encode(wav)
    model, device = codec.model, codec.device
    with torch.inference_mode():
        compare(
            "encode",
            lambda: codec.encode(wav),
            lambda: model.quantizer.encode(model.encoder(wav.to(device))).cpu(),
            seconds,
            rounds,
        )
        compare(
            "decode",
            lambda: codec.decode(codes),
            lambda: model.decoder(model.quantizer.decode(codes.to(device))).cpu(),
            seconds,
            rounds,
        )


def compare(
    name: str,
    blocks: Callable[[], object],
    whole: Callable[[], object],
    seconds: float,
    rounds: int,
) -> None:
    """Time both in turns; print the medians per second of audio and their ratio."""
    times: dict[str, list[float]] = {"blocks": [], "whole": []}
    for _ in range(rounds):
        for which, run in (("blocks", blocks), ("whole", whole)):
            started = time.perf_counter()
            run()
            times[which].append((time.perf_counter() - started) / seconds)
    in_blocks, in_whole = (statistics.median(times[which]) for which in ("blocks", "whole"))
    print(
        f"{name}: {in_blocks:.3f} s per second in blocks, {in_whole:.3f} in one pass, "
        f"ratio {in_blocks / in_whole:.2f}"
    )


if __name__ == "__main__":
    main()
