"""Measures codecs on held-out clips, beside others, and makes a page to listen on.

    clips -> systems -> decoded clips -> figures -> rows -> tables, plots, pages

clips       which recordings, and the reference made of each
systems/    the codecs: ours and the baselines, a file each
cache       decoded clips and their figures, by what they follow from; how a run resumes
figures     which figures there are, and all of one decoded clip
rows        one clip through one system at one setting; CSV and Parquet
summary     means, intervals and counts by class and system
speed       real-time factors and peak memory, each system alone in a process of its own
run         the whole evaluation
report/     index.html: curves, tables, spectrograms, players
listening/  the blind test: its page, and what ratings say
"""
