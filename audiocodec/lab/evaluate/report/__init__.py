"""The report: a folder that opens in a browser without a server.

tables        what was measured, for Markdown and for the page
plots         rate-distortion curves and codebook use
spectrograms  pictures of sounds
page          index.html with players, and every file beside it
"""
