"""Figures of merit of audio and of codes, shared by training and evaluation.

spectral      distances between spectrograms that can be trained on
waveform      SI-SDR, alignment, L1
perceptual    ViSQOL, PESQ, STOI, ESTOI, through packages of the extra "eval"
usage         how well codebooks are used
signals       when two signals have no figure, resampling
scales        window and filter sizes
"""
