"""Train a model: python -m audiocodec.train --data MANIFEST --out DIR [--args.load CONF].

CONF is the name of a file in conf/ or the path of a YAML file; flags given beside it win. Run
again with the same --out it goes on where the last checkpoint was. May import: everything but cli.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import argbind
import torch
import yaml  # argbind brings it

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.train.data import Excerpts, read_manifest
from audiocodec.train.linear_init import linear_init
from audiocodec.train.losses import PAPER_WINDOWS
from audiocodec.train.trainer import CHECKPOINT, Trainer, TrainSettings
from audiocodec.weights.store import save_model

GROUP = "train"  # of argbind: the flags of this command
CONF = Path(__file__).with_name("conf")
INIT_SECONDS = 96  # audio for the linear start, in excerpts of one second

settings_of = argbind.bind(TrainSettings, without_prefix=True, group=GROUP)


@argbind.bind(without_prefix=True, group=GROUP)
def model_config(
    sample_rate: int = 44100,
    encoder_dim: int = 64,
    decoder_dim: int = 1536,
    strides: str = "2 4 8 8",
    n_codebooks: int = 9,
) -> ModelConfig:
    """Shape of the model.

    Parameters
    ----------
    sample_rate : int
        Hz; that of the recordings
    encoder_dim : int
        channels after the first convolution
    decoder_dim : int
        channels after the decoder's first convolution
    strides : str
        of the encoder's stages; the decoder's are the same backwards
    n_codebooks : int
        of the residual quantizer
    """
    downwards = tuple(int(stride) for stride in strides.split())
    return ModelConfig(
        sample_rate=sample_rate,
        encoder_dim=encoder_dim,
        encoder_strides=downwards,
        decoder_dim=decoder_dim,
        decoder_strides=downwards[::-1],
        n_codebooks=n_codebooks,
    )


@argbind.bind(without_prefix=True, group=GROUP)
def train(
    data: str = "",
    out: str = "",
    init: str = "random",
    shares: str = "speech=3 music=2 environment=1",
    device: str = "auto",
) -> None:
    """Train, keep checkpoints in the folder `out`, and write the model to out/model at the end.

    Parameters
    ----------
    data : str
        CSV of recordings with the columns path (relative to it) and class
    out : str
        folder for checkpoint, log and model
    init : str
        random, or linear for a start in closed form
    shares : str
        how often each class is drawn
    device : str
        auto takes CUDA where there is one
    """
    if not data or not out or init not in ("random", "linear"):
        raise ArgumentError("needs --data MANIFEST, --out DIR, and --init random or linear")
    settings, config = settings_of(), model_config()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.excerpt_frames * config.hop <= max(PAPER_WINDOWS) // 2:
        raise ArgumentError(f"excerpts of {settings.excerpt_frames} frames are too short")
    torch.manual_seed(settings.seed)
    recordings, weights = read_manifest(data, config.sample_rate), parsed_shares(shares)
    model = DAC(config)
    if init == "linear" and not (Path(out) / CHECKPOINT).exists():
        seconds = Excerpts(recordings, weights, config.sample_rate)
        linear_init(model, seconds.batch(INIT_SECONDS, settings.seed, step=0), settings.seed)
    model.to(device)
    excerpts = Excerpts(recordings, weights, settings.excerpt_frames * config.hop)
    trainer = Trainer(
        model, lambda step: excerpts.batch(settings.batch_size, settings.seed, step), settings
    )
    trainer.run(Path(out))
    save_model(trainer.averaged_model(), Path(out) / "model", Path(out).name)


def parsed_shares(text: str) -> dict[str, float]:
    """'speech=3 music=2' -> {"speech": 3.0, "music": 2.0}"""
    try:
        return {kind: float(share) for kind, share in (part.split("=") for part in text.split())}
    except ValueError as error:
        raise ArgumentError(f"shares {text!r} do not look like 'speech=3 music=2'") from error


def parsed(argv: list[str]) -> dict[str, Any]:
    """Flags by name; those of the YAML file count as defaults. Unknown ones are refused."""
    parser = argbind.build_parser(GROUP)
    parser.allow_abbrev = False
    args = vars(parser.parse_args(argv))
    if conf := args["args.load"]:
        parser.set_defaults(**_loaded(conf, parser))
        args = vars(parser.parse_args(argv))
    return args


def _loaded(conf: str, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Values of a configuration; safely read, which argbind's own loader does not."""
    path = Path(conf) if Path(conf).suffix else CONF / f"{conf}.yml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ArgumentError(f"{path}: not a readable configuration: {error}") from error
    known = {action.dest for action in parser._actions}
    if not isinstance(values, dict) or (unknown := set(values) - known):
        raise ArgumentError(f"{path}: unknown settings {', '.join(sorted(unknown))}")
    return values


def main(argv: list[str]) -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    try:
        with argbind.scope(parsed(argv)):
            train()
    except CodecError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
