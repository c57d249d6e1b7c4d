"""The codecs that are evaluated and timed beside each other, one adapter for each.

To add one: a class in a file of its own, and a line in catalogue.py. base.py says what evaluation
asks of it, workloads.py what a benchmark asks of it; one of the two is enough.
"""
