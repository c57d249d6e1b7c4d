"""How fast the codec is, and in how much memory: python -m audiocodec.lab.speed.

A parent process (run.py) gives turns to worker processes (worker.py), each with a system of its own
(ours.py, peers.py with plain.py, and roofline.py for what the hardware allows).
"""
