"""A toy model, and other programs that tests need: encoders, a real browser without a window.

`page` is a fresh page that fails its test where the console had an error or where a request left
the machine: the pages must work from a folder, without a server or a network.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audiocodec import Codec, ModelConfig
from tests.conftest import random_model

TOY = ModelConfig(encoder_dim=4, decoder_dim=16, n_codebooks=3, codebook_size=32)
BROWSER = "pip install playwright, and Debian's chromium or `playwright install chromium`"
PROGRAMS = "install opus-tools and ffmpeg"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
LOCAL = ("file:", "data:", "blob:")  # what a page may ask for


def missing(what: str, way_out: str = BROWSER) -> None:
    """Skip, saying how to install it; fail where the tools are said to be there."""
    reason = f"no {what}: {way_out}"
    if os.environ.get("AUDIOCODEC_TEST_TOOLS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def chromium_program(bundled: str) -> str | None:
    """Chromium of the system, or the one that playwright installed."""
    found = [path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))]
    return next(iter(found), bundled if Path(bundled).exists() else None)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy model, seeded."""
    folder = tmp_path_factory.mktemp("toy")
    Codec(random_model(TOY), "toy", device="cpu").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def programs() -> None:
    """The encoders that baselines run."""
    for name in ("opusenc", "opusdec", "ffmpeg"):
        if shutil.which(name) is None:
            missing(name, PROGRAMS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, started once."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        program = chromium_program(playwright.chromium.executable_path)
        if program is None:
            missing("Chromium")
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of its own; no errors in the console and no request that leaves the machine."""
    context = browser.new_context()
    tab = context.new_page()
    troubles: list[str] = []
    tab.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    context.on(
        "request",
        lambda request: None if request.url.startswith(LOCAL) else troubles.append(request.url),
    )
    yield tab
    context.close()
    assert not troubles
