"""The name of `audiocodec.lab.speed` before version 0.2; still runs it."""

import sys

from audiocodec.lab.speed.__main__ import main

if __name__ == "__main__":
    sys.stderr.write("python -m audiocodec.bench is now python -m audiocodec.lab.speed\n")
    sys.exit(main(sys.argv[1:]))
