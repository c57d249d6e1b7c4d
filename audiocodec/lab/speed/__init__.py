"""Measures the speed and memory of the codec beside others: python -m audiocodec.lab.speed.

A parent process (run.py) lets worker processes (worker.py) take turns. Each worker holds one
system: a codec of lab/systems, or a computation of roofline.py that shows what the hardware allows.
"""
