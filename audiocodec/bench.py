"""Runs `audiocodec.lab.speed`, which `python -m audiocodec.bench` was before 0.2."""

import sys

from audiocodec.lab.speed.__main__ import main

if __name__ == "__main__":
    sys.stderr.write("python -m audiocodec.bench is now python -m audiocodec.lab.speed\n")
    sys.exit(main(sys.argv[1:]))
