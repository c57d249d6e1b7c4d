"""Train the built-in model on a GPU that is available for some minutes.

    python examples/train_embedded/gpu/train.py --pack PACK --state STATE --out OUT --seconds 540

PACK holds pieces made by pack.py. Called again, it resumes from STATE, which may also hold the
parts of an earlier OUT. OUT gets a log and the parts, of which join.py makes a model.
"""

import time

BEGAN = time.monotonic()  # before importing torch, whose time counts

import argparse  # noqa: E402
import io  # noqa: E402
import math  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tarfile  # noqa: E402
import zipfile  # noqa: E402
from importlib.util import find_spec  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[3]))  # audiocodec need not be installed


def provide_wheels(pack: Path) -> None:
    """Make the wheels in the pack importable, if soundfile and soxr are not installed."""
    if find_spec("soundfile") and find_spec("soxr"):
        return
    site = pack / "site"
    for piece in sorted(pack.glob("piece_*.tar")):
        with tarfile.open(piece) as tar:
            for name in tar.getnames():
                if name.endswith(".whl") and (wheel := tar.extractfile(name)) is not None:
                    with zipfile.ZipFile(io.BytesIO(wheel.read())) as archive:
                        archive.extractall(site)
    sys.path.insert(0, str(site))


def duration(text: str) -> float:
    """A number of seconds: finite and more than 0."""
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def arguments() -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pack", type=Path, required=True, help="folder with piece_*.tar")
    parser.add_argument("--state", type=Path, required=True, help="folder to resume from")
    parser.add_argument("--out", type=Path, required=True, help="folder for log and parts")
    parser.add_argument("--seconds", type=duration, required=True, help="time limit of this call")
    parser.add_argument(
        "--of",
        type=float,
        default=0.0,
        help="seconds of training in all calls; 0: this call is the last",
    )
    parser.add_argument("--steps", type=int, default=0, help="largest number of steps; 0: no limit")
    parser.add_argument("--start", default="tiny_44khz", help="model to start from")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, default=72, help="excerpts per step")
    parser.add_argument("--lr", type=float, default=4e-4, help="highest learning rate")
    for family in ("period", "band"):
        text = f"channels of the first layer of {family} discriminators"
        parser.add_argument(f"--{family}-width", type=int, default=16, help=text)
    text = "share of the time after which discriminators join"
    parser.add_argument("--adversary-from", type=float, default=0.2, help=text)
    parser.add_argument(
        "--report-every", type=duration, default=60.0, help="seconds between reports"
    )
    parser.add_argument("--no-graph", action="store_true", help="do not use CUDA graphs")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    return parser.parse_args()


def main() -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    args = arguments()
    provide_wheels(args.pack)
    import session  # needs the wheels in the pack
    from step import NotRecorded

    from audiocodec.errors import CodecError

    try:
        session.run(args, BEGAN)
    except NotRecorded as error:
        print(f"continues without a CUDA graph: {error}", flush=True)
        rest = args.seconds - (time.monotonic() - BEGAN)
        again = [sys.executable, *sys.argv, "--no-graph", "--seconds", str(rest)]
        os.execv(sys.executable, again)  # a failed recording can leave the driver unusable
    except (CodecError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
