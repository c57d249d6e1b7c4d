"""What a GPU repeats: recorded once, replayed, and the same codes.

No GPU is needed. A tape stands in for a CUDA graph and is as strict: it knows what ran and nothing
of why, does the same again with the same memory, and cannot wait for a number. Where the networks
would put a tensor is asked of tensors that only say that they are on CUDA.
"""

import warnings

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from audiocodec.engine import cuda_graphs, kernels, precision
from audiocodec.engine.blocks import StreamDecoder, StreamEncoder, look_up
from audiocodec.engine.precision import Precision
from audiocodec.engine.windows import BatchEncoder, WindowDecoder, WindowEncoder
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from tests.conftest import noise
from tests.engine.test_streams import MODELS, cut

ALIGNED = [model for (_, name), model in MODELS.items() if name == "aligned"]
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal")  # need a number from the GPU


class Tape(TorchDispatchMode):
    """Keeps what is computed, and can compute it again into the same memory."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Compute and keep."""
        if any(name in str(function) for name in WAITS):
            raise RuntimeError(f"{function}: operation not permitted when stream is capturing")
        y = function(*args, **(kwargs or {}))
        self.steps.append((function, args, kwargs or {}, y))
        return y

    def replay(self):
        """All of it, once more."""
        for function, args, kwargs, before in self.steps:
            after = function(*args, **kwargs)
            for old, new in zip(tree_leaves(before), tree_leaves(after), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@pytest.fixture
def tapes(monkeypatch):
    """The tapes that are made; nothing compiled is used, as on a GPU without Triton."""
    made = []

    def capture(work, x):
        held = torch.full_like(x, torch.nan)  # a graph is recorded without being run
        made.append(tape := Tape())
        with tape:
            y = work(held)
        return cuda_graphs.CapturedGraph(tape, held, y)

    monkeypatch.setattr(cuda_graphs, "capture", capture)
    monkeypatch.setattr(cuda_graphs, "can_capture", lambda x: True)
    monkeypatch.setattr(kernels, "_kernels", None)
    return made


def test_a_second_input_of_a_shape_is_recorded_and_a_third_replayed(tapes):
    """Shapes that come once are not worth it; another shape ends the recording."""
    calls = []

    def work(x):
        calls.append(len(x))
        return 2 * x + 1

    repeated = cuda_graphs.CUDAGraphed(work)
    for n in (3, 4, 4, 4, 4, 3, 3):
        x = torch.randn(n)
        torch.testing.assert_close(repeated(x), 2 * x + 1)
    assert calls == [3, 4, 4, 3, 3]
    assert len(tapes) == 2


def test_results_outlive_the_next_replay(tapes):
    """Although every replay writes to the same memory."""
    repeated = cuda_graphs.CUDAGraphed(lambda x: x + 1)
    results = [repeated(torch.full((2,), float(i))) for i in range(5)]
    assert [int(y[0]) for y in results] == [1, 2, 3, 4, 5]


def test_what_cannot_be_recorded_is_done_as_it_is(tapes):
    """With a warning, once."""
    repeated = cuda_graphs.CUDAGraphed(lambda x: x * float(x.sum()))
    x = torch.ones(3)
    repeated(x)
    with pytest.warns(RuntimeWarning, match=r"continuing without a CUDA graph, .*capturing"):
        torch.testing.assert_close(repeated(x), 3 * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(repeated(x), 3 * x)


def test_a_cpu_records_nothing():
    """Every input is computed."""
    calls = []
    repeated = cuda_graphs.CUDAGraphed(lambda x: calls.append(x) or x)
    for _ in range(4):
        repeated(torch.ones(2))
    assert len(calls) == 4


@pytest.mark.parametrize("sizes", [[], [700, 1, 2000, 0, 30]])
@pytest.mark.parametrize("model", ALIGNED)
def test_recorded_windows_give_the_same_codes_and_samples(tapes, model, sizes):
    """Whatever is pushed: nothing in the networks depends on what is in a window."""
    several = WindowEncoder(model, window_frames=4)
    x = noise(40 * several.splitter.size)
    codes = torch.cat([*map(several.push, cut(x, sizes)), several.flush()], dim=-1)
    assert torch.equal(codes, streamed(StreamEncoder(model), [x]))
    n_tapes = len(tapes)
    assert n_tapes
    decoder = WindowDecoder(model, window_frames=4)
    audio = torch.cat([*map(decoder.push, cut(codes, sizes)), decoder.flush()], dim=-1)
    expected = streamed(StreamDecoder(model), [codes])
    torch.testing.assert_close(audio, expected, atol=2e-5, rtol=0)


def test_recorded_windows_of_many_signals_give_the_same_codes(tapes):
    """Windows of several signals side by side, one batch of them like the other."""
    model = ALIGNED[0]
    together = BatchEncoder(model, window_frames=20)
    signals = [noise(5000, seed=i)[0, 0] for i in range(8)]
    codes = [row for signal in signals for row in together.push(signal)] + [*together.flush()]
    for row, signal in zip(codes, signals, strict=True):
        assert torch.equal(row[None], streamed(StreamEncoder(model), [signal[None, None]]))
    assert tapes


def streamed(stream, parts):
    """All that a stream gives."""
    return torch.cat([*map(stream.push, parts), stream.flush()], dim=-1)


class WithoutDriver(TorchFunctionMode):
    """What asks for the driver of a tensor's device, done by what does not."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Take over a few functions."""
        instead = {
            torch.Tensor.__getitem__: part,
            torch.Tensor.__setitem__: fill_part,
            torch.Tensor.copy_: torch.ops.aten.copy_.default,
            torch.Tensor.contiguous: torch.clone,
            torch.conv1d: pointwise,
        }
        return instead.get(function, function)(*args, **(kwargs or {}))


def pointwise(x, weight, bias=None, *_):
    """A convolution of one tap."""
    y = torch.einsum("oi,bit->bot", weight.squeeze(2), x)
    return y if bias is None else y + bias.unsqueeze(1)


def fill_part(x, key, value):
    """x[key] = value"""
    if isinstance(value, torch.Tensor):
        torch.ops.aten.copy_.default(part(x, key), value)
    else:
        part(x, key).fill_(value)


def part(x, key):
    """x[key]"""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        n_left_out = x.dim() + keys.count(None) - len(keys) + 1
        keys = (*keys[:at], *[slice(None)] * n_left_out, *keys[at + 1 :])
    dim = 0
    for one in keys:
        if isinstance(one, int):
            x = x.select(dim, one)
            continue
        if one is None:
            x = x.unsqueeze(dim)
        else:
            start, stop, _ = one.indices(x.shape[dim])
            x = x.narrow(dim, start, max(0, stop - start))
        dim += 1
    return x


@pytest.mark.parametrize("name", ["exact", "fast"])
def test_all_tensors_are_on_the_gpu(monkeypatch, name):
    """Encoding and decoding there mixes no devices, waits for no number and gives float32."""
    monkeypatch.setattr(kernels, "HAS_TRITON", False)  # its kernel does not take what is not there
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    config = ModelConfig(encoder_dim=16, decoder_dim=128, n_codebooks=3)
    with FakeTensorMode(), WithoutDriver(), torch.no_grad():
        with torch.device("meta"):
            model = DAC(config)
        state = {k: torch.empty_like(v, device="cuda") for k, v in model.state_dict().items()}
        model.load_state_dict(state, assign=True)
        x = torch.empty(2, 1, 40 * config.hop, device="cuda")
        codes = StreamEncoder(model, 2, precision=Precision(name)).encode_block(x, last=True)
        assert (codes.device.type, codes.dtype, codes.shape) == ("cuda", torch.int64, (2, 3, 40))
        decoder = StreamDecoder(model, 2, precision=Precision(name))
        y = decoder.step(look_up(model.quantizer, codes), last=True)
        assert (y.device.type, y.dtype, y.shape) == ("cuda", torch.float32, x.shape)
