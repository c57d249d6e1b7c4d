"""Compares codecs on held-out clips, and writes a report with players.

    clips -> systems (lab/systems) -> decoded clips -> figures -> rows -> tables, plots, pages

clips       chooses the recordings, and makes a reference from each
measuring   measures one clip with one system at one setting
store       keeps decoded clips and their figures, so that a stopped run resumes
figures     defines the figures, and computes those of a decoded clip
rows        reads and writes results, one row for each clip, system and setting
summary     computes means, intervals and counts by class and system
speed       times each system, and measures its memory, in a process of its own
run         runs the whole evaluation
report_data the data of a report
report/     index.html: curves, tables, spectrograms, players
listening/  the blind listening test: its page, and the analysis of ratings
"""
