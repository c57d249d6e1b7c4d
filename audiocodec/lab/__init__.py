"""What measures codecs and makes models; compressing, tokenising and exporting need none of it."""
