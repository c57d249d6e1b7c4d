"""Tokens in and out for a generative model: a file to integers, new integers to sound.

    python examples/tokens.py [INPUT]

The "model" here only knows which frames of the clip followed one with the same first code. It shows
shapes and the round trip, not a way to make music.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from audiocodec import Codec
from audiocodec.tokens.patterns import Vocabulary, flatten

CLIP = Path(__file__).with_name("audio") / "music_guitar_em9.flac"


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else CLIP
    codec = Codec.from_pretrained()

    file = codec.compress(source)  # without a target it returns the codes
    channels, n_codebooks, frames = file.codes.shape
    print(
        f"codes {file.codes.dtype} (channels {channels}, codebooks {n_codebooks}, frames {frames})"
    )

    # One token for each frame and codebook, frame by frame; each codebook has its own token range.
    pattern = flatten(n_codebooks)
    vocabulary = Vocabulary.disjoint(n_codebooks, codec.config.codebook_size)
    tokens = pattern.apply(file.codes[0], vocabulary)
    print(f"{tokens.size} tokens of a vocabulary of {vocabulary.size}; the first: {tokens[0, :9]}")

    # Walk through the frames of the clip: go on after a random frame with the same first code.
    rng = np.random.default_rng(0)
    frames_of_clip = pattern.invert(tokens, vocabulary)  # (n_codebooks, frames)
    first = frames_of_clip[0]
    walk = [0]
    while len(walk) < 3 * round(codec.config.frame_rate):
        same = np.flatnonzero(first[:-1] == first[walk[-1]])
        walk.append(int(rng.choice(same)) + 1 if same.size else 0)

    codes = frames_of_clip[None, :, walk]  # (batch, n_codebooks, frames)
    wav = codec.decode(codes)
    soundfile.write("generated.wav", wav[0, 0], codec.sample_rate)
    print(f"generated.wav: {wav.shape[-1] / codec.sample_rate:.1f} s from {codes.shape[-1]} frames")


if __name__ == "__main__":
    main()
