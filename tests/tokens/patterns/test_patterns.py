"""Patterns are exact inverses, whole or streamed, and agree with the published ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError, CodesError
from audiocodec.tokens.patterns import (
    Pattern,
    Place,
    SpecialToken,
    Vocabulary,
    coarse_then_fine,
    delay,
    flatten,
    parallel,
    partial_flatten,
)

SIZE = 10
SMALL = Vocabulary.shared(3, SIZE)


@st.composite
def patterns(draw):
    """Any pattern of up to 5 codebooks."""
    n = draw(st.integers(1, 5))
    late = st.lists(st.integers(0, 6), min_size=n, max_size=n)
    slots = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    coarse = st.builds(
        coarse_then_fine, st.just(n), st.integers(1, n), st.sampled_from(["parallel", "levels"])
    )
    shared = st.builds(
        partial_flatten,
        st.just(range(n)),
        delays=late,
        streams=st.just([k // 2 for k in range(n)]),
    )
    return draw(
        st.one_of(
            st.sampled_from([parallel(n), flatten(n), delay(n)]),
            st.builds(delay, st.just(n), late),
            st.builds(partial_flatten, slots, delays=late),
            shared,
            coarse,
        )
    )


@st.composite
def cases(draw):
    """A pattern, a vocabulary with or without bos and eos, and codes."""
    pattern, n_frames = draw(patterns()), draw(st.integers(0, 12))
    make = draw(st.sampled_from([Vocabulary.shared, Vocabulary.disjoint]))
    vocabulary = make(pattern.n_codebooks, SIZE, draw(st.integers(0, 5)))
    without = dict.fromkeys(draw(st.sets(st.sampled_from(["bos", "eos"]))))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    codes = rng.integers(0, SIZE, (pattern.n_codebooks, n_frames))
    return pattern, replace(vocabulary, **without), codes


def streamed(stream, tokens, cuts=()):
    """What comes out of a stream when tokens are pushed in such parts."""
    parts = np.split(tokens, sorted(min(cut, tokens.shape[1]) for cut in cuts), axis=1)
    return [stream.push(part) for part in parts]


def n_frames_to_tell(pattern, vocabulary, codes):
    """The number of frames for a stream that has to know it, else None."""
    blocks = any(place.blocks for place in pattern.places)
    return codes.shape[1] if blocks and vocabulary.eos is None else None


@given(cases())
def test_the_inverse_is_exact(case):
    """Any codes come back from the tokens of any pattern, without being told how many."""
    pattern, vocabulary, codes = case
    tokens = pattern.apply(codes, vocabulary)
    np.testing.assert_array_equal(pattern.invert(tokens, vocabulary), codes)


@given(cases(), st.integers(0, 4))
def test_a_padded_sequence_comes_back_if_its_length_is_given(case, n_more):
    """What follows a sequence in a padded batch changes nothing."""
    pattern, vocabulary, codes = case
    tokens = np.pad(
        pattern.apply(codes, vocabulary), ((0, 0), (0, n_more)), constant_values=vocabulary.pad
    )
    found = pattern.invert(tokens, vocabulary, n_frames=codes.shape[1])
    np.testing.assert_array_equal(found, codes)


@given(cases(), st.lists(st.integers(0, 70), max_size=6))
def test_a_stream_gives_the_whole_however_it_is_pushed(case, cuts):
    """Any cutting of the tokens gives the codes of the whole, and the stream knows the end."""
    pattern, vocabulary, codes = case
    tokens = pattern.apply(codes, vocabulary)
    stream = pattern.stream(vocabulary, n_frames_to_tell(pattern, vocabulary, codes))
    found = np.concatenate([*streamed(stream, tokens, cuts), stream.flush()], axis=1)
    np.testing.assert_array_equal(found, codes)
    assert stream.done == (stream.n_frames is not None)


@given(cases())
def test_a_frame_comes_out_with_the_step_that_completes_it(case):
    """Step by step, so many frames are out as have all their codes in the steps so far."""
    pattern, vocabulary, codes = case
    layout = pattern.layout(codes.shape[1], vocabulary)
    tokens = pattern.apply(codes, vocabulary)
    stream = pattern.stream(vocabulary, codes.shape[1])
    for step in range(layout.n_steps):
        assert stream.allowed()[range(layout.n_streams), tokens[:, step]].all()
        stream.push(tokens[:, step])
        assert stream.n_out == (layout.steps <= step).all(axis=0).sum()
    assert stream.done


@given(cases())
def test_a_stream_that_does_not_know_the_end_allows_what_apply_made(case):
    """The tokens that a model was trained on are allowed when it draws them."""
    pattern, vocabulary, codes = case
    stream = pattern.stream(vocabulary, n_frames_to_tell(pattern, vocabulary, codes))
    tokens = pattern.apply(codes, vocabulary)
    leader = pattern.places[pattern.leader].stream
    for step in tokens.T:
        may = stream.allowed()[range(pattern.n_streams), step]
        ends = (step == pattern.end_token(vocabulary)) & (stream.n_frames is None)
        assert may[leader] or vocabulary.eos is None
        assert (may | ends).all()  # beside the leader, who decides, streams may say eos in step
        stream.push(step)


CUT_IN_FINE = (coarse_then_fine(2), Vocabulary.shared(2, SIZE), np.array([[8, 6], [5, 2]]))


@given(cases(), st.integers(0, 70))
@example(CUT_IN_FINE, 5)
def test_a_prefix_decodes_to_the_frames_complete_so_far(case, n_steps):
    """Cut tokens give the first frames, to a stream and whole."""
    pattern, vocabulary, codes = case
    tokens = pattern.apply(codes, vocabulary)[:, :n_steps]
    complete = (pattern.layout(codes.shape[1], vocabulary).steps < n_steps).all(axis=0).sum()
    told = n_frames_to_tell(pattern, vocabulary, codes)
    stream = pattern.stream(vocabulary, told)
    np.testing.assert_array_equal(stream.push(tokens), codes[:, :complete])
    if told is None:
        np.testing.assert_array_equal(pattern.invert(tokens, vocabulary), codes[:, :complete])


@given(cases())
def test_masks_count_every_code_once(case):
    """As many places hold codes as there are codes, and each names its codebook and frame."""
    pattern, vocabulary, codes = case
    layout = pattern.layout(codes.shape[1], vocabulary)
    mask = layout.code_mask
    assert mask.sum() == codes.size
    assert layout.eos_mask.sum(axis=1).tolist() == [vocabulary.eos is not None] * layout.n_streams
    np.testing.assert_array_equal(layout.frame >= 0, mask)
    offsets = np.array(vocabulary.offsets)[layout.codebook[mask]]
    named = codes[layout.codebook[mask], layout.frame[mask]]
    np.testing.assert_array_equal(pattern.apply(codes, vocabulary)[mask], named + offsets)


@given(cases(), st.lists(st.integers(0, 3), min_size=1, max_size=2))
def test_a_batch_is_its_rows(case, batch):
    """Any leading dimensions, none of length 0 excepted."""
    pattern, vocabulary, codes = case
    codes = (codes + np.arange(np.prod(batch)).reshape(*batch, 1, 1)) % SIZE
    tokens = pattern.apply(codes, vocabulary)
    for place in np.ndindex(*batch):
        np.testing.assert_array_equal(tokens[place], pattern.apply(codes[place], vocabulary))
    n_frames = None if codes.size else codes.shape[-1]  # an empty batch holds no eos
    np.testing.assert_array_equal(pattern.invert(tokens, vocabulary, n_frames), codes)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint16, torch.uint8])
def test_torch_gives_torch(dtype):
    """Tensors of any integer type give int64 tensors of the same numbers as arrays do."""
    codes = torch.arange(9).reshape(3, 3).to(dtype)
    tokens = delay(3).apply(codes, SMALL)
    assert tokens.dtype == torch.int64
    expected = delay(3).apply(codes.numpy(), SMALL)
    assert expected.dtype == np.int64
    np.testing.assert_array_equal(tokens.numpy(), expected)
    assert torch.equal(delay(3).invert(tokens, SMALL), codes.long())
    stream = delay(3).stream(SMALL)
    parts = [stream.push(step) for step in tokens.T] + [stream.flush()]
    assert torch.equal(torch.cat(parts, dim=1), codes.long())


def test_each_pattern_looks_as_it_should():
    """Codes 1, 2, 3 of each codebook, codebook k from 10 * k; special tokens as 0."""
    codes = np.array([[1, 2, 3], [11, 12, 13], [21, 22, 23]])
    plain = Vocabulary(100, (1, 1, 1), pad=0, mask=0)  # tokens are codes + 1

    def looks(pattern):
        return np.maximum(pattern.apply(codes, plain) - 1, 0).tolist()

    assert looks(parallel(3)) == codes.tolist()
    assert looks(delay(3)) == [[1, 2, 3, 0, 0], [0, 11, 12, 13, 0], [0, 0, 21, 22, 23]]
    assert looks(delay(3, [1, 0, 0])) == [[0, 1, 2, 3], [11, 12, 13, 0], [21, 22, 23, 0]]
    assert looks(flatten(3)) == [[1, 11, 21, 2, 12, 22, 3, 13, 23]]
    assert looks(partial_flatten([0, 1, 1])) == [
        [1, 0, 2, 0, 3, 0],
        [0, 11, 0, 12, 0, 13],
        [0, 21, 0, 22, 0, 23],
    ]
    assert looks(partial_flatten([0, 1, 0], delays=[0, 0, 1], streams=[0, 0, 1])) == [
        [1, 11, 2, 12, 3, 13, 0],
        [0, 0, 21, 0, 22, 0, 23],
    ]
    assert looks(coarse_then_fine(3)) == [
        [1, 2, 3, 0, 0, 0],
        [0, 0, 0, 11, 12, 13],
        [0, 0, 0, 21, 22, 23],
    ]
    assert looks(coarse_then_fine(3, 2)) == [
        [1, 11, 2, 12, 3, 13, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 21, 22, 23],
    ]
    assert looks(coarse_then_fine(3, fine="levels")) == [[1, 2, 3, 11, 12, 13, 21, 22, 23]]


def test_the_places_without_codes():
    """bos first, mask before a code, eos where one more frame would begin, pad after it."""
    layout = delay(2, [0, 2]).layout(2, Vocabulary.shared(2))
    bos, eos, pad, mask = SpecialToken.BOS, SpecialToken.EOS, SpecialToken.PAD, SpecialToken.MASK
    assert layout.codebook.tolist() == [
        [bos, 0, 0, eos, pad, pad],
        [bos, mask, mask, 1, 1, eos],
    ]
    vocabulary = Vocabulary.shared(2, codebook_size=4)
    fine = coarse_then_fine(3).layout(2, Vocabulary.shared(3)).codebook
    assert fine[:2].tolist() == [
        [bos, 0, 0, eos, pad, pad, pad],
        [bos, mask, mask, mask, 1, 1, eos],
    ]
    levels = coarse_then_fine(2, fine="levels").layout(2, Vocabulary.shared(2)).codebook
    assert levels.tolist() == [[bos, 0, 0, eos, 1, 1]]
    assert delay(2).apply(np.zeros((2, 1), int), vocabulary).tolist() == [
        [4, 0, 5, 6],
        [4, 7, 0, 5],
    ]


@pytest.mark.parametrize(("channels", "delays"), [(1, [0, 1, 2, 3]), (2, [0, 0, 1, 1])])
def test_the_delay_is_that_of_musicgen(channels, delays):
    """The same tokens as transformers makes of a prompt that fills the whole sequence."""
    from transformers import MusicgenDecoderConfig
    from transformers.models.musicgen.modeling_musicgen import MusicgenForCausalLM

    sizes = {"num_hidden_layers": 1, "ffn_dim": 4, "hidden_size": 4, "num_attention_heads": 1}
    config = MusicgenDecoderConfig(vocab_size=64, num_codebooks=4, audio_channels=channels, **sizes)
    codes = torch.randint(0, 64, (4, 9), generator=torch.Generator().manual_seed(1))
    vocabulary = Vocabulary(64, (0,) * 4, bos=64, pad=64, mask=64)
    prompt = torch.cat([torch.full((4, 1), 64), codes], dim=1)  # its bos is not delayed
    theirs = MusicgenForCausalLM(config).build_delay_pattern_mask(
        prompt, 64, max_length=1 + 9 + max(delays)
    )[1]
    assert torch.equal(delay(4, delays).apply(codes, vocabulary), theirs)


@pytest.mark.parametrize(
    "pattern",
    [parallel(3), delay(3), flatten(3), coarse_then_fine(3), coarse_then_fine(3, 2, "levels")],
)
def test_drawing_what_is_allowed_ends_in_codes(pattern):
    """A model that knows nothing, held to what is allowed, makes frames until it says eos."""
    rng, stream = np.random.default_rng(3), pattern.stream(SMALL)
    drawn, out = [], []
    while not stream.done:
        step = [rng.choice(np.flatnonzero(may)) for may in stream.allowed()]
        drawn.append(step)
        out.append(stream.push(np.array(step)))
    out = np.concatenate([*out, stream.flush()], axis=1)
    assert out.shape == (3, stream.n_frames)
    np.testing.assert_array_equal(pattern.invert(np.array(drawn).T, SMALL), out)


def test_a_token_that_is_no_code_is_refused_and_can_be_replaced():
    """The message names token, codebook and frame; the stream goes on with another token."""
    stream = delay(2).stream(vocabulary := Vocabulary.disjoint(2, SIZE))
    stream.push(np.array([[20, 1], [20, 23]]))
    with pytest.raises(CodesError, match=r"token 22 \(pad\) in the place of codebook 0, frame 1"):
        stream.push(np.array([22, 11]))
    with pytest.raises(
        CodesError, match=r"token 5 .* codebook 1, frame 0; its tokens are 10 to 19"
    ):
        stream.push(np.array([2, 5]))
    assert stream.push(np.array([2, 11])).tolist() == [[1], [1]]
    whole = np.array([[20, 1, 22], [20, 23, 11]])
    with pytest.raises(CodesError, match="codebook 0, frame 1"):
        delay(2).invert(np.pad(whole, ((0, 0), (0, 1)), constant_values=11), vocabulary)


def test_a_stream_that_ends_early_says_so():
    """Frames that were announced and did not come are an error at the end."""
    stream = parallel(3).stream(SMALL, n_frames=2)
    stream.push(np.array([[10, 1]] * 3))
    with pytest.raises(CodesError, match="end after 1 of 2 frames"):
        stream.flush()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.full((3, 2), SIZE), "code 10 in codebook 0, frame 0 is not 0 to 9"),
        (np.array([[0], [0], [-1]]), "code -1 in codebook 2, frame 0"),
        (np.zeros((2, 4), int), r"codes of shape \(2, 4\); the pattern takes \(..., 3, frames\)"),
        (np.zeros(3, int), "shape"),
        (np.zeros((3, 4)), "float64; they must be integers"),
        (torch.zeros(3, 4, dtype=torch.bfloat16), "bfloat16; they must be integers"),
        (np.zeros((3, 4), bool), "bool; they must be integers"),
        (np.full((3, 4), 2**64 - 1, np.uint64), "which no codebook has"),
    ],
)
def test_wrong_codes_are_refused(codes, message):
    """Shape, type or range, in one line."""
    with pytest.raises(CodesError, match=message):
        delay(3).apply(codes, SMALL)


@pytest.mark.parametrize(
    ("pattern", "tokens", "n_frames", "message"),
    [
        (delay(3), np.zeros((2, 9), int), None, "tokens of shape"),
        (delay(3), np.zeros((3, 9), int), 8, "9 steps do not hold 8 frames"),
        (delay(3), np.zeros((3, 9), int), 2**40, "n_frames=1099511627776"),
        (delay(3), np.zeros((3, 9), int), -1, "n_frames=-1"),
        (parallel(3), np.array([[[10, 11]] * 3, [[10, 1]] * 3]), None, "one by one"),
    ],
)
def test_wrong_tokens_are_refused(pattern, tokens, n_frames, message):
    """Shapes and lengths that cannot be are named."""
    with pytest.raises(ArgumentError, match=message):
        pattern.invert(tokens, SMALL, n_frames)


def test_wrong_pushes_are_refused():
    """A stream takes one sequence only."""
    with pytest.raises(CodesError, match=r"a stream takes \(3,\) or \(3, steps\)"):
        delay(3).stream(SMALL).push(np.zeros((1, 3, 4), int))
    with pytest.raises(ArgumentError, match="depend on n_frames"):
        coarse_then_fine(3).stream(replace(SMALL, eos=None))


def test_a_cut_sequence_that_does_not_say_its_length_is_refused():
    """Without eos, the places of the fine codes follow from the number of steps alone."""
    with pytest.raises(CodesError, match="8 steps are no whole sequence"):
        coarse_then_fine(3, fine="levels").invert(np.zeros((1, 8), int), replace(SMALL, eos=None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: delay(0), "streams"),
        (lambda: delay(2, [0]), "1 delays for 2 codebooks"),
        (lambda: delay(2, [0, -1]), "codebook 1 at offset=-1"),
        (lambda: delay(2, [0, 10**30]), "offset=1000000"),
        (lambda: delay(2, [0, 1.5]), "offset=1.5"),
        (lambda: partial_flatten([0, -1]), "slots"),
        (lambda: partial_flatten([0, 0], streams=[0, 0]), "share their places"),
        (lambda: partial_flatten([0, 1], streams=[0, 2]), "streams"),
        (lambda: coarse_then_fine(3, 4), "n_coarse=4 of 3"),
        (lambda: coarse_then_fine(3, fine="beside"), "fine='beside'"),
        (lambda: Pattern((Place(0, 0, blocks=1),)), "starts at once"),
        (lambda: Pattern((Place(0, 0), Place(0, 0, 2, 0))).layout(3, replace(SMALL)), "codebooks"),
        (
            lambda: Pattern((Place(0, 0), Place(0, 1, 2))).layout(3, Vocabulary.shared(2)),
            "share a place",
        ),
        (lambda: Vocabulary.shared(0), "codebook"),
        (lambda: Vocabulary(4, (0, 4), pad=7, mask=8), "pad=7"),
        (lambda: Vocabulary(4, (0, 4), pad=8, mask=-1), "mask=-1"),
        (lambda: delay(3).apply(np.zeros((3, 1), int), Vocabulary.shared(4)), "vocabulary 4"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    """Patterns and vocabularies that cannot be."""
    with pytest.raises(ArgumentError, match=message):
        make()


def test_a_vocabulary_goes_on_after_that_of_a_text_model():
    """`first` leaves the text tokens alone, and `size` counts all."""
    vocabulary = Vocabulary.disjoint(2, codebook_size=8, first=100)
    assert vocabulary.offsets == (100, 108)
    assert (vocabulary.bos, vocabulary.mask, vocabulary.size) == (116, 119, 120)
    allowed = vocabulary.allowed([1, SpecialToken.EOS])
    assert np.flatnonzero(allowed[0]).tolist() == list(range(108, 116))
    assert np.flatnonzero(allowed[1]).tolist() == [vocabulary.eos]
