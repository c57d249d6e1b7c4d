"""How exact the arithmetic is does not depend on what the caller has set for itself."""

import threading

import pytest
import torch

from audiocodec import Codec
from audiocodec.engine.precision import Precision

BACKENDS = torch.backends
PRODUCTS = {
    "cuda": (BACKENDS.cuda.matmul, BACKENDS.cudnn.conv),
    "cpu": (BACKENDS.mkldnn.matmul, BACKENDS.mkldnn.conv),
}
CALLERS = {
    "nothing": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "the old way": lambda: setattr(BACKENDS.cuda.matmul, "allow_tf32", True),
    "the new way": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
    "one by one": lambda: setattr(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
}


@pytest.fixture
def untouched():
    """The settings of this process are as before afterwards."""
    every = [BACKENDS, BACKENDS.mkldnn, BACKENDS.cudnn, *PRODUCTS["cuda"], *PRODUCTS["cpu"]]
    before = [one.fp32_precision for one in every]
    yield
    torch.set_float32_matmul_precision("highest")
    for one, value in zip(every, before, strict=True):
        one.fp32_precision = value


def settings():
    """All that a block might change."""
    products = [one.fp32_precision for ones in PRODUCTS.values() for one in ones]
    return [*products, BACKENDS.cudnn.benchmark, BACKENDS.cudnn.deterministic]


@pytest.mark.parametrize("name", ["exact", "fast"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("caller", CALLERS)
def test_a_block_has_its_own_settings(untouched, caller, device, name):
    """float32 is float32 unless asked otherwise, and the caller finds everything as it was."""
    CALLERS[caller]()
    before = settings()
    with Precision(name).context(torch.device(device)):
        found = {one.fp32_precision for one in PRODUCTS[device]}
        assert (
            found == {"tf32"} if (device, name) == ("cuda", "fast") else found <= {"ieee", "none"}
        )
    assert settings() == before


def test_a_block_that_fails_leaves_the_settings(untouched):
    """They are the caller's, whatever happens."""
    torch.set_float32_matmul_precision("medium")
    before = settings()
    with pytest.raises(ZeroDivisionError), Precision().context(torch.device("cpu")):
        raise ZeroDivisionError
    assert settings() == before


def test_a_setting_that_was_inherited_stays_inherited(untouched):
    """What the caller changes later above it still reaches it."""
    BACKENDS.fp32_precision = "tf32"
    with Precision().context(torch.device("cpu")):
        pass
    BACKENDS.fp32_precision = "ieee"
    assert BACKENDS.mkldnn.matmul.fp32_precision == "ieee"


def test_threads_share_the_settings(untouched):
    """The last of them puts back what was there before the first; others wait for their own."""
    torch.set_float32_matmul_precision("medium")
    before, cuda, found = settings(), torch.device("cuda"), []

    def blocks(name, wanted):
        for _ in range(300):
            with Precision(name).context(cuda):
                found.append(all(one.fp32_precision in wanted for one in PRODUCTS["cuda"]))

    kinds = [("exact", ("ieee", "none")), ("fast", ("tf32",))] * 2
    threads = [threading.Thread(target=blocks, args=kind) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 1200
    assert all(found)
    assert settings() == before


def test_sound_does_not_depend_on_the_settings_of_the_caller(untouched):
    """Lightning, for one, asks its users to lower them."""
    codec = Codec.from_pretrained(device="cpu")
    codes = torch.randint(codec.config.codebook_size, (1, codec.n_codebooks, 64))
    expected = codec.decode(codes)
    torch.set_float32_matmul_precision("medium")
    assert torch.equal(codec.decode(codes), expected)
