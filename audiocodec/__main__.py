"""`python -m audiocodec` is the command `audiocodec`."""

from audiocodec.cli import main

if __name__ == "__main__":  # worker processes import this module too
    main()
