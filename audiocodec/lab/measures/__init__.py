"""Metrics of audio and of codes, shared by training and evaluation.

spectral      differentiable distances between spectrograms
waveform      SI-SDR, alignment, L1
perceptual    ViSQOL, PESQ, STOI, ESTOI, through packages of the extra "eval"
usage         codebook usage: entropy, perplexity, bitrate efficiency
signals       resampling, and checks that a pair of signals can be compared
scales        window and filter sizes
"""
