"""An interrupt that comes while libsndfile reads through us."""

import subprocess
import sys

import numpy as np
import soundfile

SCRIPT = """
import signal
import time
import soundfile
from audiocodec.interrupts import keep_interrupts

signal.signal(signal.SIGTERM, signal.default_int_handler)
keep_interrupts()


class Sound:
    n = 0

    def __init__(self, file):
        self.seek, self.tell, self.file = file.seek, file.tell, file

    def read(self, count):
        self.n += 1
        if self.n == 3:
            raise KeyboardInterrupt
        return self.file.read(count)


try:
    try:
        soundfile.SoundFile(Sound(open("a.wav", "rb"))).read()
    except soundfile.LibsndfileError:
        pass
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_it_is_not_lost(tmp_path):
    """soundfile would print it and go on with less sound."""
    soundfile.write(tmp_path / "a.wav", np.zeros(500_000), 44100)
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)
