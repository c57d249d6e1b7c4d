"""Writes the report: a folder whose page opens in a browser without a server.

tables        the tables of the page and of summary.md
plots         rate-distortion curves and codebook use
spectrograms  spectrograms of the sounds in the players
page          index.html with players, and every file beside it
"""
