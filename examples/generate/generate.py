"""Train a small transformer on tokens of a few minutes of audio, then let it make sound.

    python examples/generate/generate.py [--data FOLDER] [--out FOLDER]

Without --data it trains on music that it composes itself (music.py), so that nothing is downloaded.
The way: audio -> shards of tokens -> crops in the delay pattern -> next-step training -> steps
drawn one by one -> frames as soon as they are complete -> sound, written between the steps.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from corpus import pieces, split, tokenized, unigram_bits
from music import write_music
from torch import Tensor
from torch.utils.data import DataLoader
from transformer import Past, Settings, Transformer, load, save

from audiocodec import Codec
from audiocodec.errors import CodecError
from audiocodec.tokens import IterableTokenDataset, TokenDataset, collate
from audiocodec.tokens.dataset import TokenBatch
from audiocodec.tokens.patterns import Pattern, SpecialToken, Vocabulary, delay

CROP_FRAMES = 384  # 4.5 s of the built-in model
BITS = 1 / math.log(2)  # bits in a nat


# Training


def losses(
    model: Transformer, batch: TokenBatch, pattern: Pattern, vocabulary: Vocabulary
) -> tuple[Tensor, Tensor]:
    """The sum of nats and the number of tokens in each of S streams, both (S,); of codes only."""
    tokens = pattern.apply(batch.codes, vocabulary)  # (B, S, N)
    layout = pattern.layout(batch.codes.shape[-1], vocabulary)
    frame = torch.from_numpy(layout.frame)[:, 1:]
    counted = (frame >= 0) & (frame < batch.lengths[:, None, None])
    logits = model(tokens[..., :-1])
    nats = F.cross_entropy(logits.flatten(0, 2), tokens[..., 1:].flatten(), reduction="none")
    nats = nats.view(counted.shape) * counted
    return nats.sum(dim=(0, 2)), counted.sum(dim=(0, 2))


@torch.no_grad()
def held_out_bits(
    model: Transformer, held_out: TokenDataset, pattern: Pattern, vocabulary: Vocabulary
) -> np.ndarray:
    """Bits per held-out token, float64 (S,); each stream holds one codebook."""
    model.eval()
    nats, n = torch.zeros(pattern.n_streams), torch.zeros(pattern.n_streams)
    for sample in (held_out[i] for i in range(len(held_out))):
        row_nats, row_n = losses(model, collate([sample]), pattern, vocabulary)
        nats, n = nats + row_nats, n + row_n
    model.train()
    return (BITS * nats / n).double().numpy()


def batches(rows: TokenDataset, size: int) -> Iterator[TokenBatch]:
    """Random crops of all rows, epoch after epoch."""
    loader = DataLoader(IterableTokenDataset(rows), size, collate_fn=collate)
    for epoch in count():
        rows.set_epoch(epoch)
        yield from loader


def train(
    model: Transformer,
    rows: TokenDataset,
    held_out: TokenDataset,
    pattern: Pattern,
    vocabulary: Vocabulary,
    steps: int,
) -> Iterator[tuple[int, float, np.ndarray]]:
    """Train; yields (step, training bits, held-out bits (S,)) about 12 times.

    At the end, the model has the weights that were best on held-out tokens.
    """
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)
    best, weights, seen = math.inf, model.state_dict(), []
    for step, batch in zip(range(1, steps + 1), batches(rows, 8)):
        nats, n = losses(model, batch, pattern, vocabulary)
        loss = nats.sum() / n.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        seen.append(BITS * loss.item())
        if step % max(1, steps // 12) == 0 or step == steps:
            bits = held_out_bits(model, held_out, pattern, vocabulary)
            yield step, float(np.mean(seen)), bits
            seen = []
            if bits.mean() < best:
                best = bits.mean()
                weights = {name: one.clone() for name, one in model.state_dict().items()}
    model.load_state_dict(weights)


# Sampling


@torch.inference_mode()
def sampled(
    model: Transformer,
    pattern: Pattern,
    vocabulary: Vocabulary,
    n_frames: int,
    temperature: float = 0.9,
    top_k: int = 100,
) -> Iterator[Tensor]:
    """Draw step by step; yields the frames (1, n_codebooks, any) that each step completes."""
    model.eval()
    stream = pattern.stream(vocabulary, n_frames)
    step = torch.from_numpy(vocabulary.fill(np.full(pattern.n_streams, SpecialToken.BOS)))
    stream.push(step)
    past: Past = []
    for n in count():
        logits = model(step[None, :, None], past, first=n)[0, :, 0] / temperature  # (S, V)
        logits = logits.masked_fill(~torch.from_numpy(stream.allowed()), -math.inf)
        highest, token = logits.topk(top_k)
        drawn = torch.multinomial(highest.softmax(dim=-1), 1)
        step = token.gather(1, drawn)[:, 0]
        yield stream.push(step)[None]
        if stream.done:
            return


def streamed(frames: Iterator[Tensor], codec: Codec, path: Path) -> Iterator[int]:
    """Write sound as frames (1, n_codebooks, any) arrive; yields the file's number of samples."""
    decoder = codec.stream_decoder(block_frames=8)  # 0.2 s here: little latency
    with soundfile.SoundFile(path, "w", codec.sample_rate, 1) as wav:
        for codes in frames:
            wav.write(decoder.push(codes)[0, 0].numpy())
            wav.flush()
            yield wav.tell()
        wav.write(decoder.flush()[0, 0].numpy())
        yield wav.tell()


def train_anew(args: argparse.Namespace, codec: Codec) -> Transformer:
    """Audio -> tokens -> a model; prints the bits per held-out token."""
    data = args.data
    if data is None:
        data = args.out / "music"
        write_music(data, args.minutes, args.seed)
    began = time.perf_counter()
    parts = zip(split(pieces(data, args.minutes, args.seed)), ("train", "held_out"))
    shards, held = (tokenized(rows, args.out / name) for rows, name in parts)
    minutes = [one.lengths.sum() / codec.config.frame_rate / 60 for one in (shards, held)]
    print(
        f"tokens of {minutes[0]:.1f} minutes to train on, {minutes[1]:.1f} held out, "
        f"in {time.perf_counter() - began:.0f} s"
    )
    pattern, vocabulary = delay(args.codebooks), vocabulary_of(args.codebooks, codec)
    unigram = unigram_bits(shards, held, args.codebooks, codec.config.codebook_size)
    model = Transformer(Settings(args.codebooks, vocabulary.size, args.dim, args.layers))
    began = time.perf_counter()
    best = np.full(args.codebooks, math.inf)
    for step, seen, bits in train(
        model,
        TokenDataset(shards, CROP_FRAMES, n_codebooks=args.codebooks, seed=args.seed),
        TokenDataset(held, n_codebooks=args.codebooks, channel="all"),
        pattern,
        vocabulary,
        args.steps,
    ):
        print(
            f"step {step}: {seen:.2f} bits a token in training, {bits.mean():.2f} held out "
            f"(unigram {unigram.mean():.2f}), {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        best = min(best, bits, key=np.mean)
    print("bits a held-out token:", *(f"codebook {k + 1}" for k in range(args.codebooks)), "mean")
    for name, row in (("unigram", unigram), ("model", best)):
        print(f"{name:>22}", *(f"{value:10.2f}" for value in row), f"{row.mean():6.2f}")
    return model


def vocabulary_of(n_codebooks: int, codec: Codec) -> Vocabulary:
    """Each stream has its own embedding table, so that the tokens of all may start at 0."""
    return Vocabulary.shared(n_codebooks, codec.config.codebook_size)


def speak(model: Transformer, codec: Codec, seconds: float, temperature: float, path: Path) -> None:
    """Sample into a WAV file, and print how fast that was."""
    n_codebooks = model.settings.n_streams
    n_frames = math.ceil(seconds * codec.config.frame_rate)
    frames = sampled(
        model, delay(n_codebooks), vocabulary_of(n_codebooks, codec), n_frames, temperature
    )
    began, first, n_samples = time.perf_counter(), 0.0, 0
    for n_samples in streamed(frames, codec, path):
        if n_samples and not first:
            first = time.perf_counter() - began
    took, length = time.perf_counter() - began, n_samples / codec.sample_rate
    print(
        f"{path}: {length:.1f} s of sound in {took:.1f} s, real-time factor {took / length:.2f}; "
        f"the first after {first:.2f} s"
    )


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The command's flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of recordings; default: composed music")
    parser.add_argument(
        "--out", type=Path, default=Path("generated"), help="folder for all results"
    )
    parser.add_argument("--minutes", type=float, default=6.0, help="minutes of audio to use")
    parser.add_argument("--codebooks", type=int, default=4, help="number of codebooks, the first")
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    parser.add_argument("--dim", type=int, default=192, help="width, a multiple of 12")
    parser.add_argument("--layers", type=int, default=4, help="transformer layers")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of sound to make")
    parser.add_argument("--temperature", type=float, default=0.9, help="sampling temperature")
    parser.add_argument("--seed", type=int, default=0, help="seed of music, training and sampling")
    parser.add_argument(
        "--sample-only", action="store_true", help="sample with the model of an earlier run"
    )
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Run the command; returns 0, or 1 after a line that says what is wrong."""
    args = arguments(given)
    torch.manual_seed(args.seed)
    weights = args.out / "model.safetensors"
    try:
        codec = Codec.from_pretrained(device="cpu")
        if not args.sample_only:
            save(train_anew(args, codec), weights)
        model = load(weights)
        speak(model, codec, args.seconds, args.temperature, args.out / "generated.wav")
    except (CodecError, OSError, soundfile.LibsndfileError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
