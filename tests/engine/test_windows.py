"""Many windows at a time give the codes and the samples of one stream."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocodec.engine import windows
from audiocodec.engine.windows import BatchEncoder, WindowDecoder, WindowEncoder, WindowSplitter
from audiocodec.errors import ArgumentError, CodesError
from tests.conftest import noise
from tests.engine.test_streams import MODELS, cut, cuts, decoded, encoded

aligned = st.sampled_from([model for (_, name), model in MODELS.items() if name == "aligned"])


@given(
    size=st.integers(1, 9),
    context=st.integers(1, 3),
    n=st.integers(0, 200),
    most=st.integers(1, 4),
    sizes=cuts,
)
def test_windows_hold_every_step_once_and_what_is_around_it(size, context, n, most, sizes):
    """Whatever is pushed: the wanted parts make up the signal, the rest is its neighbourhood."""
    signal = torch.arange(1, n + 1)[None, None]
    splitter = WindowSplitter(size, context, most)
    found = [window for part in cut(signal, sizes) for window in splitter.push(part)]
    found += splitter.end()
    position, width = 0, size + 2 * context
    for x, spans in found:
        assert len(x) <= most
        for row, (first, wanted) in zip(x[:, 0].tolist(), spans, strict=True):
            assert len(row) == min(n, width)
            begin = position - first
            assert row == list(range(begin + 1, begin + len(row) + 1))
            assert begin == 0 or first >= context
            position += wanted
            assert position == n or begin + len(row) >= position + context
    assert position == n


@given(model=aligned, n_samples=st.integers(1, 6000), sizes=cuts, batch=st.integers(1, 2))
def test_codes_are_those_of_a_stream(model, n_samples, sizes, batch):
    """For any strides, lengths and cuts."""
    x = noise(n_samples, batch)
    encoder = WindowEncoder(model, batch, window_frames=20)
    parts = [encoder.push(part) for part in cut(x, sizes)]
    codes = torch.cat([*parts, encoder.flush()], dim=-1)
    assert torch.equal(codes, encoded(model, x))
    assert encoder.n_samples == n_samples


@given(model=aligned, n_frames=st.integers(1, 500), sizes=cuts, batch=st.integers(1, 2))
def test_samples_are_those_of_a_stream(model, n_frames, sizes, batch):
    """Likewise, within rounding."""
    codes = torch.randint(0, 64, (batch, 3, n_frames), generator=torch.Generator().manual_seed(2))
    decoder = WindowDecoder(model, batch, window_frames=20)
    parts = [decoder.push(part) for part in cut(codes, sizes)]
    audio = torch.cat([*parts, decoder.flush()], dim=-1)
    torch.testing.assert_close(audio, decoded(model, codes), atol=2e-5, rtol=0)


@pytest.mark.parametrize("n_frames", [3, 100])
def test_large_batches_take_turns(monkeypatch, n_frames):
    """No more steps at once than the windows that a single signal is cut into have."""
    monkeypatch.setattr(windows, "WINDOWS", 4)
    monkeypatch.setattr(windows, "WINDOW_FRAMES", 20)
    model = next(iter(MODELS.values()))
    x, sizes = noise(n_frames * model.config.hop - 5, 11), []
    encoder = WindowEncoder(model, 11, window_frames=20)
    encoder.encode.work = watched(encoder.encode.work, sizes)
    codes = torch.cat([encoder.push(x), encoder.flush()], dim=-1)
    assert torch.equal(codes, encoded(model, x))
    assert max(sizes) <= 4 * encoder.splitter.width
    sizes.clear()
    decoder = WindowDecoder(model, 11, window_frames=20)
    decoder.decode.work = watched(decoder.decode.work, sizes)
    audio = torch.cat([decoder.push(codes), decoder.flush()], dim=-1)
    torch.testing.assert_close(audio, decoded(model, codes), atol=2e-5, rtol=0)
    assert max(sizes) <= 4 * decoder.splitter.width


def watched(work, sizes):
    """The work, and how many steps it is given."""

    def with_size(x):
        sizes.append(len(x) * x.shape[-1])
        return work(x)

    return with_size


@settings(max_examples=20)
@given(
    model=aligned, lengths=st.lists(st.integers(0, 6000), max_size=30), window=st.integers(1, 30)
)
def test_many_signals_together_have_the_codes_of_each_alone(model, lengths, window):
    """Of any lengths, in their order, none filled up to another."""
    signals = [noise(n, seed=i)[0, 0] for i, n in enumerate(lengths)]
    together = BatchEncoder(model, window_frames=window)
    codes = [row for signal in signals for row in together.push(signal)]
    codes += together.flush()
    assert len(codes) == len(signals)
    for row, signal in zip(codes, signals, strict=True):
        assert torch.equal(row[None], encoded(model, signal[None, None]))


def test_they_refuse_what_a_stream_refuses():
    """And end once."""
    model = next(iter(MODELS.values()))
    with pytest.raises(ArgumentError, match="NaN"):
        WindowEncoder(model).push(torch.full((1, 1, 5), torch.nan))
    with pytest.raises(CodesError):
        WindowDecoder(model).push(torch.full((1, 3, 5), 64))
    encoder = WindowEncoder(model)
    assert encoder.flush().shape == (1, 3, 0)
    with pytest.raises(ArgumentError, match="flushed"):
        encoder.push(noise(5))
