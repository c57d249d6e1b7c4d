"""Adapters for the codecs that are evaluated and timed beside each other.

To add a codec, write a class in a file of its own and add a line to catalogue.py. base.py says what
evaluation asks of the class, workloads.py what benchmarks ask; one of the two is enough.
"""
