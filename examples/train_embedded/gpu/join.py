"""Make a model of the checkpoint parts that a training on a rented GPU brought back.

    python examples/train_embedded/gpu/join.py PARTS --to MODEL

PARTS is the folder with state_1_of_4.part and so on. MODEL gets the moving average of the weights,
for Codec.from_pretrained and `audiocodec evaluate --model`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from parts import whole

from audiocodec.errors import CodecError
from audiocodec.lab.train.checkpoints import trained_model
from audiocodec.weights.store import save_model


def main() -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", type=Path, help="folder with the parts")
    parser.add_argument("--to", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--half", action="store_true", help="store weights in float16")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = trained_model(whole(args.parts, Path(folder) / "checkpoint.pt"))
        save_model(model, args.to, args.to.name, half=args.half)
    except (CodecError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(f"the model: {args.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
