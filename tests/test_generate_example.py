"""The example that trains a small transformer on tokens and streams what it samples."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec import Codec
from audiocodec.tokens import TokenDataset, TokenRow
from audiocodec.tokens.patterns import Vocabulary, delay
from audiocodec.tokens.shards import ShardHeader, open_shards, write_shard

EXAMPLE = Path(__file__).parents[1] / "examples" / "generate"
sys.path.insert(0, str(EXAMPLE))

import corpus  # noqa: E402
import generate as run  # noqa: E402
import music  # noqa: E402
import transformer  # noqa: E402

TINY = transformer.Settings(2, 36, dim=24, layers=2, heads=2, window=5, dropout=0.0)


def shards_of(folder: Path, codec: Codec, all_codes: list[np.ndarray]):
    """Shards with rows of given codes, each (n_codebooks, frames)."""
    dac = codec.compress(np.zeros(600, np.float32), sample_rate=codec.sample_rate)
    rows = [
        TokenRow(
            id=str(number),
            source="made here",
            sample_rate=codec.sample_rate,
            channels=1,
            n_codebooks=len(codes),
            frames=codes.shape[1],
            n_samples=codes.shape[1] * codec.hop,
            codes=codes.astype(np.uint16)[None],
            model=codec.name,
            fingerprint=codec.fingerprint,
        )
        for number, codes in enumerate(all_codes)
    ]
    folder.mkdir()
    write_shard(folder / "tokens-00000.safetensors", rows, ShardHeader.of(dac.header))
    return open_shards(folder)


def melody(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Codes (2, n_frames) below 32 that go up by 1 or 3, and whose second row follows the first."""
    first = np.cumsum(rng.choice([1, 3], n_frames)) % 32
    return np.stack([first, (5 * first + 7) % 32])


@given(cuts=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_steps_one_by_one_are_guessed_as_a_whole_sequence_is(cuts):
    """However a sequence is cut, and also where it is longer than the window."""
    torch.manual_seed(0)
    model = transformer.Transformer(TINY).eval()
    tokens = torch.randint(36, (1, 2, sum(cuts)))
    past: transformer.Past = []
    first, parts = 0, []
    with torch.no_grad():
        for part in tokens.split(cuts, dim=-1):
            parts.append(model(part, past, first))
            first += part.shape[-1]
        whole = model(tokens)
    assert torch.allclose(torch.cat(parts, dim=2), whole, atol=1e-5)


def test_a_step_sees_what_was_before_it_only():
    """A later token changes nothing before it."""
    model = transformer.Transformer(TINY).eval()
    tokens = torch.randint(36, (1, 2, 9))
    changed = tokens.clone()
    changed[..., 6] = (changed[..., 6] + 1) % 36
    with torch.no_grad():
        one, other = model(tokens), model(changed)
    assert torch.equal(one[:, :, :6], other[:, :, :6])
    assert not torch.equal(one[:, :, 6:], other[:, :, 6:])


def test_training_falls_below_the_unigram_entropy_on_held_out_tokens(tmp_path, small):
    """Of codes that follow a rule, in every codebook; and what is sampled keeps to the rule."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    train = shards_of(tmp_path / "train", small, [melody(100, rng) for _ in range(24)])
    held = shards_of(tmp_path / "held_out", small, [melody(100, rng) for _ in range(4)])
    pattern, vocabulary = delay(2), Vocabulary.shared(2, 32)
    unigram = corpus.unigram_bits(train, held, 2, 32)
    assert unigram == pytest.approx([5, 5], abs=0.1)

    settings = transformer.Settings(2, vocabulary.size, 32, 2, 2, window=16, dropout=0.0)
    model = transformer.Transformer(settings)
    rows = TokenDataset(train, 48, n_codebooks=2), TokenDataset(held, n_codebooks=2)
    reports = list(run.train(model, *rows, pattern, vocabulary, steps=240))
    assert len(reports) == 12
    _, _, bits = reports[-1]
    assert bits[0] < 1.5 < unigram[0]  # the rule leaves 1 bit
    assert bits[1] < 0.5 < unigram[1]  # and nothing of the second codebook

    codes = torch.cat(list(run.sampled(model, pattern, vocabulary, 60, top_k=8)), dim=-1)[0]
    assert codes.shape == (2, 60)
    followed = (codes[1] == (5 * codes[0] + 7) % 32).double().mean()
    assert followed > 0.8


def test_sound_is_written_while_sampling_goes_on(tmp_path, small):
    """The file grows long before the last step is drawn; in the end it holds every frame."""
    vocabulary = Vocabulary.shared(2, small.config.codebook_size)
    model = transformer.Transformer(transformer.Settings(2, vocabulary.size, 24, 1, 2))
    drawn = 0

    def counted():
        nonlocal drawn
        for codes in run.sampled(model, delay(2), vocabulary, 100):
            drawn += 1
            yield codes

    path = tmp_path / "out.wav"
    sizes = []
    for n_samples in run.streamed(counted(), small, path):
        sizes.append((drawn, n_samples, path.stat().st_size))
    steps, samples, n_bytes = zip(*sizes)
    assert steps[-1] == 101  # one more than frames: the delay
    half = samples[steps.index(50)]
    assert half >= 20 * small.hop
    assert n_bytes[steps.index(50)] >= 2 * half
    assert samples[-1] == 100 * small.hop == sf.info(path).frames


def test_weights_are_kept_with_their_settings(tmp_path):
    """In a file that holds no code; what is loaded guesses the same."""
    model = transformer.Transformer(TINY).eval()
    transformer.save(model, tmp_path / "model.safetensors")
    again = transformer.load(tmp_path / "model.safetensors").eval()
    assert again.settings == TINY
    tokens = torch.randint(36, (1, 2, 7))
    assert torch.equal(model(tokens), again(tokens))


def test_the_command_runs_and_again_with_its_model(tmp_path, capsys):
    """A few steps on little music: losses of both kinds, and a wav of the length asked for."""
    tiny = ["--codebooks", "2", "--steps", "2", "--dim", "24", "--layers", "1"]
    common = ["--out", str(tmp_path), "--seconds", "1"]
    assert run.main([*common, *tiny, "--minutes", "0.35"]) == 0
    printed = capsys.readouterr().out
    unigram = re.search(r"unigram +([\d.]+) +([\d.]+) +([\d.]+)\n", printed)
    model = re.search(r"model +([\d.]+) +([\d.]+) +([\d.]+)\n", printed)
    assert 5 < float(unigram[3]) < 10
    assert 5 < float(model[3]) < 11
    assert "real-time factor" in printed
    first, rate = sf.read(tmp_path / "generated.wav")
    assert len(first) == 87 * 512  # 1 s in whole frames
    assert rate == 44100
    assert run.main([*common, "--sample-only"]) == 0
    assert sf.info(tmp_path / "generated.wav").frames == 87 * 512


def test_recordings_of_ones_own_are_cut_and_split(tmp_path):
    """Into pieces, up to so many minutes; what is held out is of other recordings."""
    for name, seconds in (("a", 12), ("b", 11), ("c", 25), ("d", 40)):
        sf.write(tmp_path / f"{name}.wav", np.zeros(8000 * seconds), 8000)
    rows = corpus.pieces(tmp_path, minutes=1, seed=0)
    train, held = corpus.split(rows)
    assert train + held == rows
    assert not {row["path"] for row in train} & {row["path"] for row in held}
    assert all(row["duration"] <= 10 for row in rows)


def test_one_recording_alone_is_split_in_time():
    """There is no other one to hold out."""
    rows = [{"path": "a", "start": 10.0 * i, "duration": 10.0} for i in range(16)]
    train, held = corpus.split(rows)
    assert (len(train), len(held)) == (14, 2)


def test_a_folder_without_sound_is_refused_in_one_line(tmp_path, capsys):
    """The line names the folder."""
    (tmp_path / "empty").mkdir()
    assert run.main(["--data", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 1
    assert str(tmp_path / "empty") in capsys.readouterr().err


def test_music_is_the_same_for_the_same_seed():
    """And of full length, inside full scale."""
    one, again = (music.piece(np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, again)
    assert len(one) == music.PIECE_SECONDS * music.RATE
    assert np.abs(one).max() < 1
