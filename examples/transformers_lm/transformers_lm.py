"""Teach a causal language model of transformers to continue text with sound.

    pip install transformers
    python examples/transformers_lm/transformers_lm.py [--data MANIFEST]

The vocabulary of the text model is extended by the tokens of the codes, and its embeddings grow
by as many rows. A sequence is a text followed by a second of sound in the flatten pattern. During
generation, a LogitsProcessor allows only the tokens that are valid at each position.

The text model is a tiny Llama with random weights that reads bytes: `text_model` and `text_ids`
stand in for AutoModelForCausalLM and AutoTokenizer, so that nothing is downloaded. A manifest
(CSV or JSONL) has the columns path and text, and optionally start and duration. Without --data, the
clips of examples/audio are used, with their kind of sound as text.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    LogitsProcessorList,
)

from audiocodec import Codec
from audiocodec.errors import CodecError
from audiocodec.tokens import TokenDataset, TokenSampler, collate, open_shards, tokenize
from audiocodec.tokens.dataset import TokenBatch
from audiocodec.tokens.patterns import Pattern, Vocabulary, flatten
from audiocodec.tokens.shards import Shards

CLIPS = Path(__file__).parents[1] / "audio"
IGNORED = -100  # a label that the loss of transformers ignores
BYTES = 256  # size of the stand-in's text vocabulary
BITS = 1 / math.log(2)  # bits in a nat


def text_ids(text: str) -> list[int]:
    """Stands in for a tokenizer: the ids are the bytes."""
    return list(text.encode())


def text_model() -> LlamaForCausalLM:
    """Stands in for a text model: tiny and not trained."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=BYTES,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=2048,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def extended(model: LlamaForCausalLM, codec: Codec, n_codebooks: int) -> Vocabulary:
    """Add the tokens of codes after those of text; the model grows in place."""
    n_text = int(model.config.vocab_size)
    vocabulary = Vocabulary.disjoint(n_codebooks, codec.config.codebook_size, first=n_text)
    model.resize_token_embeddings(vocabulary.size)
    return vocabulary


def write_manifest(path: Path) -> None:
    """Write a manifest of 2 s pieces of the example clips; the name's first word is the text."""
    rows = [
        {"path": str(clip), "start": start, "duration": 2.0, "text": clip.stem.split("_")[0]}
        for clip in sorted(CLIPS.glob("*.flac"))
        for start in np.arange(0, soundfile.info(clip).duration - 1, 2.0).tolist()
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def sequences(
    batch: TokenBatch, pattern: Pattern, vocabulary: Vocabulary
) -> tuple[Tensor, Tensor, Tensor]:
    """Text, then codes: ids, attention mask and labels, each int64 (batch, steps).

    Labels cover only what the model has to generate: bos, codes and eos, but not the text.
    """
    rows, labels = [], []
    for codes, length, text in zip(batch.codes, batch.lengths, batch.columns["text"]):
        words = torch.tensor(text_ids(text))
        sound = pattern.apply(codes[:, :length], vocabulary)[0]
        rows.append(torch.cat([words, sound]))
        labels.append(torch.cat([torch.full_like(words, IGNORED), sound]))
    ids = torch.nn.utils.rnn.pad_sequence(rows, True, vocabulary.pad)
    labelled = torch.nn.utils.rnn.pad_sequence(labels, True, IGNORED)
    return ids, (ids != vocabulary.pad).long(), labelled


def batches(rows: TokenDataset, size: int) -> Iterator[TokenBatch]:
    """Random crops, epoch after epoch, without end."""
    sampler = TokenSampler(rows)
    loader = DataLoader(rows, size, sampler=sampler, collate_fn=collate)
    for epoch in count():
        rows.set_epoch(epoch)
        sampler.set_epoch(epoch)
        yield from loader


def train(
    model: LlamaForCausalLM,
    rows: TokenDataset,
    pattern: Pattern,
    vocabulary: Vocabulary,
    steps: int,
) -> Iterator[float]:
    """Train; yields the bits per code at each step, with those of bos and eos counted in."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    model.train()
    for _, batch in zip(range(steps), batches(rows, 8)):
        ids, mask, labels = sequences(batch, pattern, vocabulary)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        labelled = (labels[:, 1:] != IGNORED).sum() / (batch.lengths.sum() * pattern.n_codebooks)
        yield BITS * (loss * labelled).item()


def unigram_bits(shards: Shards, n_codebooks: int) -> float:
    """Unigram entropy of the codes in bits, the mean over the codebooks."""
    entropies = []
    for k in range(n_codebooks):
        counts = np.bincount(np.concatenate([row.codes[:, k].ravel() for row in shards.rows()]))
        share = counts[counts > 0] / counts.sum()
        entropies.append(-(share * np.log2(share)).sum())
    return float(np.mean(entropies))


class CodesOnly(LogitsProcessor):
    """Allows at each position of a single flattened sequence only the tokens that are valid there.

    `frames` collects complete codes, (n_codebooks, any) each, which can be decoded while generation
    goes on. Not for beam search, which changes earlier tokens.
    """

    def __init__(
        self, pattern: Pattern, vocabulary: Vocabulary, n_frames: int, n_text: int
    ) -> None:
        self.stream, self.n_text = pattern.stream(vocabulary, n_frames), n_text
        self.frames: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask scores (1, vocabulary) after input_ids (1, any)."""
        drawn = input_ids[:, self.n_text + self.stream.n_steps :]
        if drawn.shape[1]:
            self.frames.append(self.stream.push(drawn))
        allowed = torch.from_numpy(self.stream.allowed()).to(scores.device)
        return scores.masked_fill(~allowed, -math.inf)


def generate(
    model: LlamaForCausalLM, text: str, n_frames: int, pattern: Pattern, vocabulary: Vocabulary
) -> Tensor:
    """Generate codes (1, n_codebooks, n_frames) that continue a text."""
    model.eval()
    ids = torch.tensor([text_ids(text)])
    tokens = model.generate(  # type: ignore[misc]  # it wants a protocol that no model states
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=50,
        max_new_tokens=pattern.layout(n_frames, vocabulary).n_steps,
        eos_token_id=vocabulary.eos,
        pad_token_id=vocabulary.pad,
        logits_processor=LogitsProcessorList(
            [CodesOnly(pattern, vocabulary, n_frames, ids.shape[1])]
        ),
    )
    return pattern.invert(tokens[:, None, ids.shape[1] :], vocabulary)


def run(args: argparse.Namespace) -> None:
    """Audio -> tokens -> a model of text and sound -> sound for a text."""
    args.out.mkdir(parents=True, exist_ok=True)
    codec = Codec.from_pretrained(device="cpu")
    manifest = args.data
    if manifest is None:
        manifest = args.out / "clips.jsonl"
        write_manifest(manifest)
    tokenize(manifest, args.out / "shards", format="safetensors")
    shards = open_shards(args.out / "shards")

    model, pattern = text_model(), flatten(args.codebooks)
    vocabulary = extended(model, codec, args.codebooks)
    print(f"{BYTES} tokens of text, {vocabulary.size} with those of sound")
    n_frames = math.ceil(args.seconds * codec.config.frame_rate)
    rows = TokenDataset(shards, n_frames, n_codebooks=args.codebooks, seed=args.seed)
    unigram = unigram_bits(shards, args.codebooks)
    for step, bits in enumerate(train(model, rows, pattern, vocabulary, args.steps), 1):
        if step % 25 == 0 or step == args.steps:
            print(f"step {step}: {bits:.2f} bits a code (unigram {unigram:.2f})", flush=True)
    model.save_pretrained(args.out / "model")

    codes = generate(model, args.text, n_frames, pattern, vocabulary)
    wav = codec.decode(codes, round(args.seconds * codec.sample_rate))[0, 0].numpy()
    path = args.out / f"{args.text}.wav"
    soundfile.write(path, wav, codec.sample_rate)
    print(f"{path}: {len(wav) / codec.sample_rate:.1f} s from {codes.shape[-1]} frames")


def main(given: list[str] | None = None) -> int:
    """Run the command; returns 0, or 1 after a line that says what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    out = Path("text_to_sound")
    parser.add_argument("--data", type=Path, help="manifest; default: the clips of examples/audio")
    parser.add_argument("--out", type=Path, default=out, help="folder for all results")
    parser.add_argument("--text", default="music", help="text that the sound continues")
    parser.add_argument("--codebooks", type=int, default=2, help="number of codebooks, the first")
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of a sequence's sound")
    parser.add_argument("--seed", type=int, default=0, help="seed of training and sampling")
    args = parser.parse_args(given)
    torch.manual_seed(args.seed)
    try:
        run(args)
    except (CodecError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
