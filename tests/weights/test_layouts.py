"""Three layouts, one model; nothing in a file is executed; what does not fit is refused."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audiocodec import Codec
from audiocodec.errors import ArgumentError, ModelError, OutputError
from audiocodec.weights.layouts import published_names, transformers_names
from audiocodec.weights.resolve import BUILTIN
from audiocodec.weights.store import load_model, save_model
from tests.conftest import noise

OWN = {"format": "audiocodec", "name": "small_16k"}


def pth_of(codec, path, change=None):
    """Write a codec's weights in the published layout, weight norm applied."""
    ours_to_theirs = {v: k for k, v in published_names(codec.config).items()}
    state = {}
    for key, tensor in codec.model.state_dict().items():
        module, _, name = key.rpartition(".")
        theirs = ours_to_theirs[module]
        if name == "weight" and "codebook" not in key:
            norm = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
            state[f"{theirs}.weight_g"], state[f"{theirs}.weight_v"] = norm, tensor * 3.0
        else:
            state[f"{theirs}.{name}"] = tensor.clone()  # which `change` may alter
    c = codec.config
    kwargs = {
        "encoder_dim": c.encoder_dim,
        "encoder_rates": list(c.encoder_strides),
        "latent_dim": None,
        "decoder_dim": c.decoder_dim,
        "decoder_rates": list(c.decoder_strides),
        "n_codebooks": c.n_codebooks,
        "codebook_size": c.codebook_size,
        "codebook_dim": c.codebook_dim,
        "quantizer_dropout": False,
        "sample_rate": c.sample_rate,
    }
    content = {"state_dict": state, "metadata": {"kwargs": kwargs}}
    if change:
        change(content)
    torch.save(content, path)
    return path


def hf_of(codec, folder, parametrized=False, **config):
    """Write a codec's weights in the layout of transformers; hop_length wrong on purpose."""
    ours_to_theirs = {v: k for k, v in transformers_names(codec.config).items()}
    state = {}
    for key, tensor in codec.model.state_dict().items():
        module, _, name = key.rpartition(".")
        theirs = ours_to_theirs[module]
        if parametrized and name == "weight" and "codebook" not in key:
            norm = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
            state[f"{theirs}.parametrizations.weight.original0"] = norm
            state[f"{theirs}.parametrizations.weight.original1"] = tensor * 0.5
        else:
            state[f"{theirs}.{name}"] = tensor.clone()
    folder.mkdir(exist_ok=True)
    save_file(state, folder / "model.safetensors")
    c = codec.config
    values = {
        "model_type": "dac",
        "encoder_hidden_size": c.encoder_dim,
        "downsampling_ratios": c.encoder_strides,
        "decoder_hidden_size": c.decoder_dim,
        "upsampling_ratios": c.decoder_strides,
        "n_codebooks": c.n_codebooks,
        "codebook_size": c.codebook_size,
        "codebook_dim": c.codebook_dim,
        "sampling_rate": c.sample_rate,
        "hop_length": 999,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def prefixed(path, prefix, to, **more):
    """The tensors of a safetensors file under a prefix, among others."""
    state = {prefix + key: tensor for key, tensor in load_file(path).items()}
    to.parent.mkdir(exist_ok=True)
    save_file(state | {key: torch.zeros(2) for key in more}, to)
    return to


def with_config(folder, **values):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def parler_of(codec, folder):
    """The wrapper of Parler-TTS: published names under `model.`, parametrized, settings its own.

    It has no settings for widths and strides, because it only knows those of the 44.1 kHz model.
    """
    pth = torch.load(pth_of(codec, folder.with_suffix(".pth")), weights_only=True)
    news = {"weight_g": "parametrizations.weight.original0"}
    news["weight_v"] = "parametrizations.weight.original1"
    state = {}
    for key, tensor in pth["state_dict"].items():
        module, _, name = key.rpartition(".")
        state[f"model.{module}.{news.get(name, name)}"] = tensor
    c = codec.config
    with_config(
        folder,
        architectures=["DACModel"],
        codebook_size=c.codebook_size,
        frame_rate=86,
        latent_dim=c.latent_dim,
        model_bitrate=8,
        model_type="dac_on_the_hub",
        num_codebooks=c.n_codebooks,
        sampling_rate=c.sample_rate,
        **{name: pth["metadata"]["kwargs"][name] for name in ("encoder_dim", "decoder_dim")},
        **{name: pth["metadata"]["kwargs"][name] for name in ("encoder_rates", "decoder_rates")},
    )
    save_file(state, folder / "model.safetensors")
    return folder


def composite_of(hf, folder):
    """A model of which the codec is a part, as Parler-TTS: other parts have other names."""
    inner = json.loads((hf / "config.json").read_text())
    with_config(folder, model_type="parler_tts", audio_encoder=inner, decoder={"num_codebooks": 9})
    more = {"decoder.lm_heads.0.weight": 0, "text_encoder.encoder.conv1.weight": 0}
    prefixed(hf / "model.safetensors", "audio_encoder.", folder / "model.safetensors", **more)
    return folder


def sharded_of(source, folder, suffix="safetensors"):
    """The same weights in three files with an index; only two hold the codec's."""
    state = load_file(source / "model.safetensors")
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    shards = [f"{stem}-{number:05d}-of-00003.{suffix}" for number in (1, 2, 3)]
    places = {key: shards[number % 2] for number, key in enumerate(sorted(state))}
    with_config(folder, **json.loads((source / "config.json").read_text()))
    for shard in shards[:2]:
        part = {key: state[key] for key in state if places[key] == shard}
        (save_file if suffix == "safetensors" else torch.save)(part, folder / shard)
    index = {"metadata": {}, "weight_map": places}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    return folder


def bin_of(source, folder):
    with_config(folder, **json.loads((source / "config.json").read_text()))
    torch.save(load_file(source / "model.safetensors"), folder / "pytorch_model.bin")
    return folder


def run_of(codec, folder):
    """The folder that the published training leaves."""
    for tag in ("best", "latest"):
        (folder / tag / "dac").mkdir(parents=True)
        for name in ("package.pth", "optimizer.pth", "tracker.pth"):
            (folder / tag / "dac" / name).write_bytes(b"not to be opened")
    pth_of(codec, folder / "best" / "dac" / "weights.pth")
    return folder


def under(prefix):
    """A change of a published file: its parameters under a prefix."""

    def change(content):
        content["state_dict"] = {prefix + k: v for k, v in content["state_dict"].items()}

    return change


def widths(content):
    kwargs = content["metadata"]["kwargs"]
    kwargs["codebook_dim"] = [kwargs["codebook_dim"]] * kwargs["n_codebooks"]


@pytest.fixture
def layouts(small_16k, tmp_path):
    small_16k.save_pretrained(tmp_path / "ours")
    hf = hf_of(small_16k, tmp_path / "hf")
    run = run_of(small_16k, tmp_path / "run")
    shards = sharded_of(hf, tmp_path / "shards")
    module = pth_of(small_16k, tmp_path / "module.pth", under("module."))
    generator = pth_of(small_16k, tmp_path / "generator.pth", under("generator.module."))
    return {
        "ours": tmp_path / "ours",
        "ours, the file": tmp_path / "ours" / "model.safetensors",
        "published": pth_of(small_16k, tmp_path / "weights.pth"),
        "transformers": hf,
        "its configuration": hf / "config.json",
        "parametrized": hf_of(small_16k, tmp_path / "hf2", parametrized=True),
        "Parler-TTS": parler_of(small_16k, tmp_path / "parler"),
        "composite": composite_of(hf, tmp_path / "composite"),
        "ours, a part of another": prefixed(
            tmp_path / "ours" / "model.safetensors",
            "codec.",
            with_config(tmp_path / "inner", **OWN | small_16k.config.to_dict()) / "x.safetensors",
        ),
        "shards": shards,
        "the index of shards": shards / "model.safetensors.index.json",
        "a pickle": bin_of(hf, tmp_path / "bin"),
        "a pickle, the file": tmp_path / "bin" / "pytorch_model.bin",
        "shards of pickles": sharded_of(hf, tmp_path / "bins", "bin"),
        "a training run": run,
        "its best": run / "best",
        "its network": run / "best" / "dac",
        "module": module,
        "generator": generator,
        "a width a codebook": pth_of(small_16k, tmp_path / "widths.pth", widths),
    }


def test_every_layout_gives_the_same_model(small_16k, layouts):
    """The same fingerprint, the same codes, the same audio to rounding."""
    wav = noise(2000)
    codes = small_16k.encode(wav)
    for path in layouts.values():
        codec = Codec.from_pretrained(path, device="cpu")
        assert codec.config == small_16k.config
        assert codec.fingerprint == small_16k.fingerprint
        assert torch.equal(codec.encode(wav), codes)
        torch.testing.assert_close(codec.decode(codes), small_16k.decode(codes), atol=1e-5, rtol=0)


def test_nothing_of_weight_norm_is_left(layouts):
    """Weight norm is folded at load."""
    model, _ = load_model(layouts["published"])
    assert not [key for key in model.state_dict() if "weight_" in key or "parametr" in key]


def test_only_the_shards_with_the_codec_are_needed(small_16k, tmp_path):
    """A composite model may have many gigabytes of others."""
    source = composite_of(hf_of(small_16k, tmp_path / "hf"), tmp_path / "composite")
    folder = sharded_of(source, tmp_path / "shards")
    index = folder / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    places["decoder.lm_heads.0.weight"] = "model-00003-of-00003.safetensors"
    index.write_text(json.dumps({"weight_map": places}))
    assert load_model(folder)[0].fingerprint() == small_16k.fingerprint


def test_the_rate_of_a_dac_model_that_does_not_say_it(small, tmp_path):
    """transformers leaves out what is the default, in the configuration of a part: 16 kHz."""
    folder = hf_of(small, tmp_path / "hf")
    values = json.loads((folder / "config.json").read_text())
    del values["sampling_rate"]
    (folder / "config.json").write_text(json.dumps(values))
    assert load_model(folder)[0].config.sample_rate == 16000


def test_half_precision_takes_half_the_space(small, tmp_path):
    """float16 on disk, float32 in memory."""
    save_model(small.model, tmp_path / "full", "m")
    save_model(small.model, tmp_path / "half", "m", half=True)
    full, half = ((tmp_path / n / "model.safetensors").stat().st_size for n in ("full", "half"))
    assert half < 0.6 * full
    model, name = load_model(tmp_path / "half")
    assert (next(model.parameters()).dtype, name) == (torch.float32, "m")


def test_a_saved_model_has_a_card(small, tmp_path):
    """README.md with the facts that the configuration tells."""
    small.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "44100 Hz" in card
    assert small.fingerprint in card


def test_a_model_is_written_where_another_one_is(small, small_16k, tmp_path):
    """It takes the place of the other, also of the one it was loaded from; other files stay."""
    (tmp_path / "notes.txt").write_text("mine")
    save_model(small.model, tmp_path, "first", card="first")
    save_model(small_16k.model, tmp_path, "second", card="second")
    for name in ("second", "third"):
        model, own_name = load_model(tmp_path)
        assert (model.fingerprint(), own_name) == (small_16k.fingerprint, name)
        save_model(model, tmp_path, "third")
    assert (tmp_path / "README.md").read_text() == "second"
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["file", "file/below", "a\0b"])
def test_a_folder_that_cannot_be_is_said(small, tmp_path, name):
    """A file, something below a file, a name that cannot be."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        save_model(small.model, tmp_path / name, "m")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_a_file_of_a_model_that_cannot_be_written_is_said(small, tmp_path, name):
    """A folder stands in its place."""
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="a model cannot be written there") as caught:
        save_model(small.model, tmp_path, "m", card="text")
    assert "\n" not in str(caught.value)


def test_another_alignment_than_there_are(tmp_path):
    """The argument is wrong, not the model, whatever is there."""
    for path in (BUILTIN, tmp_path):
        with pytest.raises(ArgumentError, match=r"^alignment 'x' is none of aligned"):
            load_model(path, "x")


def test_the_fingerprint_is_of_the_code_space(small, small_16k, tmp_path):
    """Other codebooks or another configuration: another fingerprint; other alignment: the same."""
    small_16k.save_pretrained(tmp_path)
    published = Codec.from_pretrained(tmp_path, device="cpu", alignment="published")
    assert published.fingerprint == small_16k.fingerprint != small.fingerprint
    state = load_file(tmp_path / "model.safetensors")
    state["quantizer.stages.3.codebook.weight"][5, 2] += 1e-6
    save_file(state, tmp_path / "model.safetensors")
    assert Codec.from_pretrained(tmp_path, device="cpu").fingerprint != small_16k.fingerprint


class Trap:
    """Unpickled without care, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_something_does_not(tmp_path, zipped):
    """Published .pth files go through weights_only and nothing else."""
    trap, path = tmp_path / "sprung", tmp_path / "weights.pth"
    content = {"state_dict": {"x": Trap(trap)}, "metadata": {"kwargs": {}}}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError, match=r"weights\.pth"):
        load_model(path)
    assert not trap.exists()


def drop_a_weight(content):
    content["state_dict"].pop("decoder.model.0.bias")


def add_a_weight(content):
    content["state_dict"]["decoder.model.0.extra.bias"] = torch.zeros(1)


def wrong_shape(content):
    content["state_dict"]["decoder.model.0.bias"] = torch.zeros(3)


def not_finite(content):
    content["state_dict"]["decoder.model.0.bias"][0] = float("inf")


def lonely_magnitude(content):
    content["state_dict"].pop("decoder.model.0.weight_v")


def immense(content):
    """Shapes that fit a configuration of gigabytes, stored in a few bytes."""
    content["state_dict"]["decoder.model.0.bias"] = torch.zeros(1).expand(16)


def no_state(content):
    content.pop("state_dict")


def wrong_kind(content):
    content["state_dict"]["decoder.model.0.bias"] = "text"


def unequal_widths(content):
    content["metadata"]["kwargs"]["codebook_dim"] = [8] * 11 + [4]


def two_codecs(content):
    state = content["state_dict"]
    content["state_dict"] = {f"{p}.{k}": v for p in ("generator", "ema") for k, v in state.items()}


def another_network(content):
    content["state_dict"] = {"encoder.layers.0.weight": torch.zeros(2)}


def a_long_name(content):
    content["state_dict"]["decoder.\x1b[31m" + "x" * 10_000 + ".bias"] = torch.zeros(1)


def a_long_setting(content):
    content["metadata"]["kwargs"]["codebook_size"] = "\n" + "9" * 10_000


def wrong_strides(content):
    content["metadata"]["kwargs"]["encoder_rates"] = [2, 4, 8, 10**12]


CHANGES = [
    drop_a_weight, add_a_weight, wrong_shape, not_finite, lonely_magnitude, immense, no_state,
    wrong_kind, wrong_strides, unequal_widths, two_codecs, another_network, a_long_name,
    a_long_setting,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_do_not_fit_are_refused(small_16k, tmp_path, change):
    """One line that names the file."""
    path = pth_of(small_16k, tmp_path / "weights.pth", change)
    with pytest.raises(ModelError, match=r"weights\.pth: ") as caught:
        load_model(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "file", [None, 1, "", "..", "../x.safetensors", "/etc/passwd", "a\0b", "x" * 10_000, "gone.bin"]
)
def test_an_index_that_names_no_files_here_is_refused(small_16k, tmp_path, file):
    """Other folders are never looked into."""
    folder = sharded_of(hf_of(small_16k, tmp_path / "hf"), tmp_path / "shards")
    places = {"quantizer.quantizers.0.codebook.weight": file}
    index = folder / "model.safetensors.index.json"
    for content in (places, [], {}):
        index.write_text(json.dumps({"weight_map": content}))
        with pytest.raises(ModelError) as caught:
            load_model(folder)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


def test_what_to_give_instead_of_a_folder(small, tmp_path):
    """A run of our own training, and a folder with a file of another name."""
    small.save_pretrained(tmp_path / "run" / "model")
    with pytest.raises(ModelError, match="give its folder `model`"):
        load_model(tmp_path / "run")
    (tmp_path / "other").mkdir()
    pth_of(small, tmp_path / "other" / "weights_44khz.pth")
    with pytest.raises(ModelError, match=r"'weights_44khz\.pth' is a published one"):
        load_model(tmp_path / "other")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_folder_is_not_read(small, tmp_path, name):
    """Reading it would wait for ever."""
    small.save_pretrained(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match=f"{name} is not an ordinary file"):
        load_model(tmp_path)


def test_a_header_of_gigabytes_is_refused(small, tmp_path):
    """The size that a safetensors file declares is not believed."""
    small.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes((2**33).to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(ModelError, match="its header claims 8589934592 bytes"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[1]", "does not hold a JSON object"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"model_type": "encodec"}', "neither"),
        (b'{"format": "audiocodec", "n_codebooks": 1e9}', "n_codebooks"),
        (b'{"format": "audiocodec", "decoder_dim": 8192, "latent_dim": 8192}', "missing"),
        (b" " * (2**20 + 1), "larger than"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_configurations_that_are_none_are_refused(tmp_path, config, message):
    """Hostile and broken config.json; no memory is taken for what it claims."""
    (tmp_path / "config.json").write_bytes(config)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 7, 100, 20_000])
def test_truncated_weights_are_refused(small, tmp_path, n_bytes):
    """A safetensors file cut anywhere."""
    small.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        load_model(tmp_path)


def test_missing_parts_are_named(tmp_path):
    """An empty folder, then one without weights."""
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "audiocodec"}')
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        load_model(tmp_path)


def test_golden_layouts_carry_the_configuration(data):
    """hop is computed; the 16 kbps model's latent_dim is not derived from the width."""
    model, _ = load_model(data / "golden" / "dac_44khz_16kbps_small" / "weights.pth")
    assert (model.config.latent_dim, model.config.n_codebooks) == (32, 18)
    model, _ = load_model(data / "golden" / "dac_24khz_hf_small")
    assert (model.config.hop, model.config.n_codebooks) == (320, 32)
    assert np.isclose(model.config.kbps, 24.0)
