"""Encode and decode block by block, as with a microphone and a loudspeaker.

    python examples/live_stream.py [INPUT [OUTPUT.wav]]

Blocks of 20 ms go into the encoder, which returns codes as soon as the network has seen enough
samples; the decoder turns them into sound at once. The result equals that of coding the whole file.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from audiocodec import Codec

CLIP = Path(__file__).with_name("audio") / "speech_pd_voice.flac"


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else CLIP
    target = sys.argv[2] if len(sys.argv) > 2 else "live.wav"
    codec = Codec.from_pretrained()
    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    if rate != codec.sample_rate:
        sys.exit(f"{source} has {rate} Hz; this model takes {codec.sample_rate} Hz")
    microphone = samples.mean(axis=1)

    encoder = codec.stream_encoder(block_frames=8)  # few frames per block: low latency
    decoder = codec.stream_decoder(block_frames=8)
    latency_ms = 1000 * (encoder.latency + decoder.latency) / rate
    print(f"latency at most {latency_ms:.0f} ms")

    heard, n_codes = [], 0
    for block in np.array_split(microphone, max(1, len(microphone) // (rate // 50))):
        codes = encoder.push(block)
        n_codes += codes.numel()
        heard.append(decoder.push(codes))
    heard += [decoder.push(encoder.flush()), decoder.flush()]

    decoded = np.concatenate([part.numpy().ravel() for part in heard])[: len(microphone)]
    soundfile.write(target, decoded, rate)
    whole = codec.decode(codec.encode(microphone), len(microphone)).ravel()
    farthest = np.abs(decoded - whole).max()
    print(f"{target}: {n_codes} codes; farthest from the whole file: {farthest:.1e}")


if __name__ == "__main__":
    main()
