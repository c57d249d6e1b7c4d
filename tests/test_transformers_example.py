"""The example that extends a causal language model of transformers by tokens of sound."""

import sys
from pathlib import Path

import pytest
import soundfile as sf
import torch
from transformers import AutoModelForCausalLM

from audiocodec.errors import CodesError
from audiocodec.tokens.dataset import TokenBatch
from audiocodec.tokens.patterns import Vocabulary, flatten

EXAMPLE = Path(__file__).parents[1] / "examples" / "transformers_lm"
sys.path.insert(0, str(EXAMPLE))

import transformers_lm as run  # noqa: E402

FIRST = run.BYTES


def batch_of(codes: torch.Tensor, texts: list[str]) -> TokenBatch:
    """A batch of whole codes with texts."""
    n, _, frames = codes.shape
    zeros = torch.zeros(n, dtype=torch.int64)
    return TokenBatch(
        codes=codes,
        lengths=torch.full((n,), frames),
        mask=torch.ones(n, frames, dtype=torch.bool),
        ids=[str(i) for i in range(n)],
        starts=zeros,
        channels=zeros,
        columns={"text": list(texts)},
    )


def test_a_sequence_is_text_then_sound_and_only_sound_is_labelled():
    """Texts of different lengths end in padding, which is neither seen nor labelled."""
    vocabulary = Vocabulary.disjoint(2, 8, first=FIRST)
    codes = torch.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 0]]])
    ids, mask, labels = run.sequences(batch_of(codes, ["ab", "c"]), flatten(2), vocabulary)
    sound = [FIRST + 1, FIRST + 8 + 3, FIRST + 2, FIRST + 8 + 4]
    assert ids[0].tolist() == [97, 98, vocabulary.bos, *sound, vocabulary.eos]
    assert labels[0].tolist() == [-100, -100, *ids[0].tolist()[2:]]
    assert ids[1, -1] == vocabulary.pad
    assert mask[1].tolist() == [1] * 7 + [0]
    assert labels[1, -1] == -100


def test_generation_draws_only_what_can_stand_there_and_ends(small):
    """Even by a model that has learnt nothing; the codes are complete at the end."""
    torch.manual_seed(0)
    model, pattern = run.text_model(), flatten(3)
    vocabulary = run.extended(model, small, 3)
    assert model.get_input_embeddings().num_embeddings == vocabulary.size == FIRST + 3 * 1024 + 4
    codes = run.generate(model, "speech", 5, pattern, vocabulary)
    assert codes.shape == (1, 3, 5)
    assert 0 <= codes.min() <= codes.max() < 1024
    assert small.decode(codes).shape == (1, 1, 5 * small.hop)


def test_frames_are_there_while_generation_goes_on():
    """As soon as each is complete; a token that cannot stand there is refused."""
    pattern, vocabulary = flatten(2), Vocabulary.disjoint(2, 8, first=FIRST)
    only = run.CodesOnly(pattern, vocabulary, n_frames=2, n_text=1)
    sequence = [97, vocabulary.bos, FIRST + 1, FIRST + 8 + 3]
    for n in range(1, 5):
        scores = only(torch.tensor([sequence[:n]]), torch.zeros(1, vocabulary.size))
    assert torch.cat(only.frames, dim=-1).tolist() == [[1], [3]]
    possible = torch.isfinite(scores[0]).nonzero()[:, 0].tolist()
    assert possible == list(range(FIRST, FIRST + 8))
    with pytest.raises(CodesError):
        only(torch.tensor([[*sequence, 97]]), scores)


def test_the_command_trains_below_the_unigram_entropy_and_makes_a_wav(tmp_path, capsys):
    """On one clip and one codebook; the model that is kept opens in transformers."""
    clip, manifest = run.CLIPS / "speech_pd_voice.flac", tmp_path / "clips.csv"
    manifest.write_text(f"path,text,duration\n{clip},a voice,1.5\n")
    little = ["--codebooks", "1", "--seconds", "1", "--steps", "100", "--data", str(manifest)]
    assert run.main([*little, "--out", str(tmp_path / "out"), "--text", "a voice"]) == 0
    printed = capsys.readouterr().out
    last = next(line for line in reversed(printed.splitlines()) if line.startswith("step"))
    words = last.replace(")", "").split()
    assert float(words[2]) < float(words[-1])
    assert sf.info(tmp_path / "out" / "a voice.wav").frames == 44100
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model", local_files_only=True)
    assert model.config.vocab_size == FIRST + 1024 + 4


def test_a_manifest_that_is_not_there_is_told_in_one_line(tmp_path, capsys):
    """The line names it."""
    assert run.main(["--data", str(tmp_path / "none.csv"), "--out", str(tmp_path)]) == 1
    assert "none.csv" in capsys.readouterr().err
