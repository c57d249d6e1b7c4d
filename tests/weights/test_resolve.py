"""From a name to files: built in, on disk, in the hub's cache, on a hub, or a clear error."""

import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from safetensors.torch import load_file, save_file

from audiocodec import Codec
from audiocodec.errors import ArgumentError, ModelError
from audiocodec.weights.hub import quiet_hub
from audiocodec.weights.registry import DEFAULT_MODEL, KNOWN_MODELS
from audiocodec.weights.resolve import resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/small-codec"
LOAD = "import sys; from audiocodec import Codec; print(Codec.from_pretrained(*sys.argv[1:]))"


def load_in_subprocess(*arguments, **environment):
    """Load the model that the arguments name, and print it."""
    return run_in_subprocess(LOAD, *arguments, **environment)


def run_in_subprocess(code, *arguments, **environment):
    """huggingface_hub reads its environment when imported, so each case is a process."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**clean, "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def model_folder(small, tmp_path):
    small.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def cache(model_folder, tmp_path):
    """A hub cache as huggingface_hub lays it out, with the model in it."""
    repo = tmp_path / "home" / "hub" / f"models--{REPO.replace('/', '--')}"
    shutil.copytree(model_folder, repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return tmp_path / "home"


@contextmanager
def failing_server():
    """Answers everything with 503, as the hub does when it is down."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(503)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(model_folder):
    """A hub on loopback that serves the model at COMMIT."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET(body=False)

        def do_GET(self, body=True):
            requests.append((self.path, self.headers.get("authorization")))
            parts = self.path.split("/")
            served = model_folder / parts[-1]
            known = self.path.startswith(f"/{REPO}/resolve/")
            if not known or parts[4] not in ("main", COMMIT) or not served.exists():
                what = "RevisionNotFound" if known else "RepoNotFound"
                if known and parts[4] in ("main", COMMIT):
                    what = "EntryNotFound"
                self.send_response(404)
                self.send_header("X-Error-Code", what)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = served.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()


def test_the_default_model_is_in_the_package():
    """No network, no cache: it loads."""
    codec = Codec.from_pretrained(device="cpu")
    assert codec.name == DEFAULT_MODEL
    assert codec.config == KNOWN_MODELS[DEFAULT_MODEL].config
    assert codec.config.kbps == pytest.approx(7.752, abs=1e-3)


def test_a_folder_and_a_file_are_taken_from_disk(model_folder):
    """Both ways lead to the same model, which carries its own name."""
    for path in (model_folder, str(model_folder / "model.safetensors")):
        assert Codec.from_pretrained(path, device="cpu").name == "small"


def test_a_cached_model_loads_offline(cache):
    """HF_HUB_OFFLINE: the cache is enough."""
    done = load_in_subprocess(REPO, HF_HOME=str(cache), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert f"Codec('{REPO}'" in done.stdout


def test_a_model_is_fetched_from_a_hub_then_cached(hub, tmp_path):
    """First from the server, with the token; then a pinned commit from the cache, offline."""
    address, requests = hub
    home = str(tmp_path / "fresh")
    done = load_in_subprocess(REPO, HF_ENDPOINT=address, HF_HOME=home, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert {path.rpartition("/")[2] for path, _ in requests} == {"config.json", "model.safetensors"}
    assert {token for _, token in requests} == {"Bearer hf_secret"}
    done = load_in_subprocess(REPO, COMMIT, HF_HOME=home, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("someone/else",), "RepositoryNotFound"), ((REPO, "v9"), "RevisionNotFound")],
)
def test_what_a_hub_does_not_have_is_said(hub, tmp_path, arguments, message):
    """The repository or the revision, and what to check."""
    done = load_in_subprocess(*arguments, HF_ENDPOINT=hub[0], HF_HOME=str(tmp_path / "fresh"))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "ModelError" in last
    assert message in last
    assert "check the name and the revision" in last


def test_no_network_is_said(tmp_path):
    """Nothing in the cache, nobody answers: what was tried, and what to do."""
    done = load_in_subprocess(
        "dac_44khz", HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "fresh")
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "descript/dac_44khz: it is not in the cache and the hub cannot be reached" in last
    assert DEFAULT_MODEL in last


@pytest.mark.parametrize("name", ["no_such_name", "no/such/file.pth", "a/b/c", "../x", "gone.pth"])
def test_a_name_that_is_nothing_is_said(name):
    """Neither a file nor a name nor a repository: the known names are listed."""
    with pytest.raises(ModelError, match="dac_44khz"):
        resolve(name)


def test_a_revision_of_what_is_not_on_the_hub_is_refused(model_folder):
    """It would have no effect."""
    for name, place in [(DEFAULT_MODEL, "built in"), (model_folder, "on this disk")]:
        with pytest.raises(ArgumentError, match=f"{name}: is {place} and has no revision v9"):
            resolve(name, "v9")


def test_weights_that_are_not_on_the_hub_are_explained():
    """The 16 kbps model is a file of the published release."""
    with pytest.raises(ModelError, match=r"weights_44khz_16kbps\.pth"):
        resolve("dac_44khz_16kbps")


def test_shards_are_fetched_with_the_options_given(model_folder, hub, tmp_path):
    """token, cache_dir and local_files_only reach the hub's library; needless shards stay there."""
    state = load_file(model_folder / "model.safetensors")
    (model_folder / "model.safetensors").unlink()
    places = {f"codec.{key}": f"model-{i % 2}.safetensors" for i, key in enumerate(state)}
    for name in set(places.values()):
        part = {key: state[key[6:]] for key, place in places.items() if place == name}
        save_file(part, model_folder / name)
    places["lm_head.weight"] = "model-2.safetensors"
    index = json.dumps({"weight_map": places})
    (model_folder / "model.safetensors.index.json").write_text(index)
    code = (
        "import sys; from audiocodec import Codec; repo, folder = sys.argv[1:]\n"
        "options = {'cache_dir': folder, 'token': 'hf_mine', 'device': 'cpu'}\n"
        "print(Codec.from_pretrained(repo, **options))\n"
        "print(Codec.from_pretrained(repo, local_files_only=True, **options))\n"
    )
    address, requests = hub
    done = run_in_subprocess(
        code, REPO, str(tmp_path / "mine"), HF_ENDPOINT=address, HF_HOME=str(tmp_path / "other")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"Codec('{REPO}'") == 2
    fetched = {path.rpartition("/")[2] for path, _ in requests}
    assert {"model-0.safetensors", "model-1.safetensors"} < fetched
    assert "model-2.safetensors" not in fetched
    assert {token for _, token in requests} == {"Bearer hf_mine"}
    assert not (tmp_path / "other" / "hub").exists()


def test_a_repository_without_weights_is_said(model_folder, hub, tmp_path):
    """What could be given instead."""
    (model_folder / "model.safetensors").unlink()
    done = load_in_subprocess(REPO, HF_ENDPOINT=hub[0], HF_HOME=str(tmp_path / "fresh"))
    last = done.stderr.strip().splitlines()[-1]
    assert f"{REPO}: has no model.safetensors or pytorch_model.bin; if it holds" in last


def test_without_an_answer_the_cache_decides_soon(cache):
    """Nobody answers, a server that fails, or none is to be asked: no retries, no log lines."""
    code = (
        "import sys, time; from audiocodec import Codec; from audiocodec.errors import ModelError\n"
        "start = time.monotonic()\n"
        "print(Codec.from_pretrained(sys.argv[1], device='cpu'))\n"
        "for options in ({}, {'local_files_only': True}):\n"
        "    try:\n"
        "        Codec.from_pretrained('someone/else', device='cpu', **options)\n"
        "    except ModelError as error:\n"
        "        print(error)\n"
        "assert time.monotonic() - start < 10, time.monotonic() - start\n"
    )
    with failing_server() as failing:
        for address in ("http://127.0.0.1:9", failing):
            done = run_in_subprocess(code, REPO, HF_ENDPOINT=address, HF_HOME=str(cache))
            assert (done.returncode, done.stderr) == (0, "")
            found, unreachable, local = done.stdout.splitlines()
            assert found.startswith(f"Codec('{REPO}'")
            assert "it is not in the cache and the hub cannot be reached" in unreachable
            assert "local_files_only=True forbids to contact the hub" in local


def test_the_hubs_logger_is_left_as_it_was():
    """Quiet for the length of a call, in its thread only; errors and wishes of the user pass."""
    logger, stream = logging.getLogger("huggingface_hub"), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        with quiet_hub():
            logger.warning("inside")
            logger.error("an error")
            thread = threading.Thread(target=logger.warning, args=["elsewhere"])
            thread.start()
            thread.join()
        logger.warning("after")
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue().split("\n") == ["an error", "elsewhere", "after", ""]
    assert not handler.filters


def test_push_to_hub_uploads_the_saved_model(small, monkeypatch):
    """A repository is made where it is missing; the three files of save_pretrained go up."""
    import huggingface_hub

    calls = {}

    class Api:
        def __init__(self, token):
            calls["token"] = token

        def create_repo(self, repo_id, private, exist_ok):
            calls["repo"] = (repo_id, private, exist_ok)

        def upload_folder(self, repo_id, folder_path):
            calls["files"] = sorted(path.name for path in folder_path.iterdir())
            calls["config"] = json.loads((folder_path / "config.json").read_text())
            return type("Commit", (), {"commit_url": f"https://hub/{repo_id}/commit/1"})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    url = small.push_to_hub("me/mine", private=True, token="t")
    assert url == "https://hub/me/mine/commit/1"
    assert calls["repo"] == ("me/mine", True, True)
    assert calls["token"] == "t"
    assert calls["files"] == ["README.md", "config.json", "model.safetensors"]
    assert calls["config"]["format"] == "audiocodec"


def test_a_hub_that_cannot_be_reached_is_said_when_uploading(small, monkeypatch):
    """One line, with what to check."""
    from huggingface_hub import HfApi

    def refuse(*arguments, **named):
        raise ConnectionError("nobody there")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    with pytest.raises(ModelError, match="cannot be uploaded: ConnectionError: nobody there"):
        small.push_to_hub("me/mine")
