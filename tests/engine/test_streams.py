"""One engine: any cutting of a signal gives what one pass over the whole gives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.engine import StreamDecoder, StreamEncoder
from audiocodec.engine.stream import stream_of
from audiocodec.errors import ArgumentError, CodesError
from audiocodec.model.config import ModelConfig
from audiocodec.model.layers import UpConv
from tests.conftest import noise, random_model

STRIDES = [(2, 4), (8, 2), (2, 5), (5, 3), (4, 5, 2), (1, 3)]
MODELS = {
    (strides, alignment): random_model(
        ModelConfig(
            sample_rate=8000,
            encoder_dim=4,
            decoder_dim=16,
            encoder_strides=strides,
            decoder_strides=strides[::-1],
            n_codebooks=3,
            codebook_size=64,
            alignment=alignment,
        )
    )
    for strides in STRIDES
    for alignment in ("aligned", "published")
}
models = st.sampled_from(list(MODELS.values()))
cuts = st.lists(st.integers(0, 700), max_size=12)


def cut(x: torch.Tensor, sizes: list[int]) -> list[torch.Tensor]:
    """The signal in parts of these sizes, and the rest."""
    ends = torch.tensor([0, *sizes]).cumsum(0).clamp(max=x.shape[-1]).tolist()
    return [x[..., a:b] for a, b in zip(ends, [*ends[1:], x.shape[-1]], strict=True)]


def encoded(model, x, sizes=(), block_frames=8):
    stream = StreamEncoder(model, len(x), block_frames=block_frames)
    parts = [stream.push(part) for part in cut(x, list(sizes))]
    return torch.cat([*parts, stream.flush()], dim=-1)


def decoded(model, codes, sizes=(), block_frames=8):
    stream = StreamDecoder(model, len(codes), block_frames=block_frames)
    parts = [stream.push(part) for part in cut(codes, list(sizes))]
    return torch.cat([*parts, stream.flush()], dim=-1)


def whole_codes(model, x):
    padding = -x.shape[-1] % model.config.hop
    return model.quantizer.encode(model.encoder(torch.nn.functional.pad(x, (0, padding))))


@given(model=models, n_samples=st.integers(1, 3000), sizes=cuts, batch=st.integers(1, 3))
def test_codes_do_not_depend_on_how_the_audio_was_pushed(model, n_samples, sizes, batch):
    """Any cutting gives the codes of the whole signal, one frame a hop."""
    x = noise(n_samples, batch)
    codes = encoded(model, x, sizes)
    assert torch.equal(codes, encoded(model, x))
    assert torch.equal(codes, whole_codes(model, x))
    assert codes.shape == (batch, 3, model.config.n_frames(n_samples))


@given(model=models, n_frames=st.integers(1, 300), sizes=cuts, batch=st.integers(1, 2))
def test_audio_does_not_depend_on_how_the_codes_were_pushed(model, n_frames, sizes, batch):
    """Any cutting gives the samples of one pass over the whole, as many as the config says."""
    codes = torch.randint(0, 64, (batch, 3, n_frames), generator=torch.Generator().manual_seed(2))
    audio = decoded(model, codes, sizes)
    whole = model.decoder(model.quantizer.decode(codes))
    assert audio.shape == whole.shape
    assert audio.shape[-1] == model.config.decoded_length(n_frames)
    torch.testing.assert_close(audio, whole, atol=1e-5, rtol=0)


@given(model=models, n_samples=st.integers(1, 2000), block_frames=st.integers(1, 40))
def test_the_block_length_does_not_change_the_codes(model, n_samples, block_frames):
    """Low-latency blocks give the codes of long ones."""
    x = noise(n_samples)
    assert torch.equal(encoded(model, x, block_frames=block_frames), encoded(model, x))


@given(model=models, n_samples=st.integers(1, 4000), block_frames=st.integers(1, 20))
def test_codes_come_out_within_the_stated_latency(model, n_samples, block_frames):
    """A frame whose first sample lies `latency` back has been given out."""
    stream = StreamEncoder(model, block_frames=block_frames)
    n_frames = stream.push(noise(n_samples)).shape[-1]
    assert n_frames >= (n_samples - stream.latency) // model.config.hop + 1


@given(model=models, n_frames=st.integers(1, 200), block_frames=st.integers(1, 20))
def test_audio_comes_out_within_the_stated_latency(model, n_frames, block_frames):
    """Samples of a frame that lies `latency` back have been given out."""
    stream = StreamDecoder(model, block_frames=block_frames)
    audio = stream.push(torch.zeros(1, 3, n_frames, dtype=torch.int64))
    assert audio.shape[-1] >= n_frames * model.config.hop - stream.latency


@given(model=models, n_samples=st.integers(1, 2000), batch=st.integers(2, 4))
def test_company_changes_nothing_to_the_last_bit(model, n_samples, batch):
    """On a CPU, each signal of a batch has the codes and the samples that it has alone."""
    x = noise(n_samples, batch)
    codes = encoded(model, x)
    audio = decoded(model, codes)
    for i in range(batch):
        assert torch.equal(codes[i : i + 1], encoded(model, x[i : i + 1]))
        assert torch.equal(audio[i : i + 1], decoded(model, codes[i : i + 1]))


def test_an_aligned_decoder_is_the_published_one_moved_into_place():
    """An odd stride: the published crop loses the first sample of every up-convolution."""
    x = noise(50)
    aligned, published = UpConv(1, 2, 5), UpConv(1, 2, 5, "published")
    published.load_state_dict(aligned.state_dict())
    assert aligned(x).shape[-1] == 250
    assert torch.equal(aligned(x)[..., 1:], published(x))


def test_streams_share_a_model_and_hold_their_own_state():
    """Two streams over one model, taking turns, do not disturb each other."""
    model = next(iter(MODELS.values()))
    x, y = noise(999, seed=3), noise(999, seed=4)
    first, second = StreamEncoder(model, block_frames=4), StreamEncoder(model, block_frames=4)
    parts = [
        (first.push(a), second.push(b))
        for a, b in zip(x.split(100, -1), y.split(100, -1), strict=True)
    ]
    parts.append((first.flush(), second.flush()))
    for signal, column in zip((x, y), zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(column, dim=-1), encoded(model, signal))


@pytest.mark.parametrize("model", MODELS.values())
def test_an_unpadded_pass_is_what_every_layer_gives_without_padding(model):
    """Without padding and cropping: how the published tool decodes its windows."""
    codes = torch.randint(0, 64, (1, 3, 60), generator=torch.Generator().manual_seed(5))
    stream = StreamDecoder(model, padded=False)
    audio = torch.cat([stream.push(codes), stream.flush()], dim=-1)
    z = model.quantizer.decode(codes)
    torch.testing.assert_close(audio, _unpadded(model.decoder, z), atol=1e-5, rtol=0)


def _unpadded(module, x):
    functional = torch.nn.functional
    if isinstance(module, UpConv):
        return functional.conv_transpose1d(x, module.weight, module.bias, module.stride)
    if isinstance(module, torch.nn.Conv1d):
        return functional.conv1d(x, module.weight, module.bias, module.stride, 0, module.dilation)
    if hasattr(module, "conv2"):
        y = x
        for part in (module.snake1, module.conv1, module.snake2, module.conv2):
            y = _unpadded(part, y)
        crop = (x.shape[-1] - y.shape[-1]) // 2
        return x[..., crop : crop + y.shape[-1]] + y
    children = list(module.children())
    if not children:
        return module(x)
    for child in children:
        x = _unpadded(child, x)
    return x


def test_an_ended_stream_says_so():
    """A stream is one signal; after flush() it takes no more."""
    model = next(iter(MODELS.values()))
    for stream in (StreamEncoder(model), StreamDecoder(model)):
        assert stream.flush().shape[-1] == 0
        with pytest.raises(ArgumentError, match="flushed"):
            stream.flush()


def test_bad_input_is_refused():
    """Wrong shapes, integers for samples, NaN, and codes that no such model makes."""
    model = next(iter(MODELS.values()))
    encoder, decoder = StreamEncoder(model), StreamDecoder(model)
    for samples in (
        torch.zeros(2, 1, 5),
        torch.zeros(1, 5),
        torch.zeros(1, 1, 5, dtype=torch.int16),
    ):
        with pytest.raises(ArgumentError, match="shaped"):
            encoder.push(samples)
    with pytest.raises(ArgumentError, match="NaN"):
        encoder.push(torch.tensor([0.0, float("nan")]))
    for codes in (
        torch.full((1, 3, 4), 64),
        torch.full((1, 3, 4), -1),
        torch.zeros(1, 4, 4, dtype=torch.int64),
        torch.zeros(1, 0, 4, dtype=torch.int64),
        torch.zeros(2, 3, 4, dtype=torch.int64),
        torch.zeros(3, 4, dtype=torch.int64),
        torch.zeros(1, 3, 4),
    ):
        with pytest.raises(CodesError):
            decoder.push(codes)


def test_an_unknown_layer_is_a_programming_error():
    """The walk over a network does not pass over what it does not know."""
    with pytest.raises(TypeError, match="Linear"):
        stream_of(torch.nn.Linear(1, 1), 1)
