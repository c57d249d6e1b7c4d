"""Train the built-in model on a card that is there for some minutes.

    python examples/train_embedded/gpu/train.py --pack PACK --state STATE --out OUT --seconds 540

PACK holds pieces made by pack.py. Called again it goes on from STATE; a STATE that holds the
parts that were handed back will do. OUT gets a log and the parts: join.py makes a model of them.
"""

import time

BEGAN = time.monotonic()  # importing torch counts

import argparse  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tarfile  # noqa: E402
import zipfile  # noqa: E402
from importlib.util import find_spec  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[3]))  # audiocodec need not be installed


def provide_wheels(pack: Path) -> None:
    """Make what the pack carries importable, if soundfile and soxr are not installed."""
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


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pack", type=Path, required=True, help="folder of piece_*.tar")
    parser.add_argument("--state", type=Path, required=True, help="folder to go on from")
    parser.add_argument("--out", type=Path, required=True, help="folder that is brought back")
    parser.add_argument("--seconds", type=float, required=True, help="that this call may last")
    parser.add_argument(
        "--of",
        type=float,
        default=0.0,
        help="seconds of training in all calls; 0: this is the last",
    )
    parser.add_argument("--steps", type=int, default=0, help="at most, to rehearse; 0: no limit")
    parser.add_argument("--start", default="tiny_44khz", help="model to start from")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=int, default=72, help="excerpts a step")
    parser.add_argument("--lr", type=float, default=4e-4, help="highest learning rate")
    parser.add_argument("--period-width", type=int, default=16)
    parser.add_argument("--band-width", type=int, default=16)
    parser.add_argument("--adversary-from", type=float, default=0.2, help="share of the time")
    parser.add_argument("--report-every", type=float, default=60.0, help="seconds")
    parser.add_argument("--no-graph", action="store_true", help="launch every kernel by itself")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    args = arguments()
    provide_wheels(args.pack)
    import session  # imports what the pack carries
    from step import NotRecorded

    from audiocodec.errors import CodecError

    try:
        session.run(args, BEGAN)
    except NotRecorded as error:
        print(f"goes on without a CUDA graph: {error}", flush=True)
        rest = args.seconds - (time.monotonic() - BEGAN)
        again = [sys.executable, *sys.argv, "--no-graph", "--seconds", str(rest)]
        os.execv(sys.executable, again)  # a failed recording can leave the driver unusable
    except (CodecError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
