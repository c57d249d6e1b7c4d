"""A blind listening test of the MUSHRA kind (ITU-R BS.1534-3), and the analysis of its ratings.

    heard clips -> stimuli -> page, key        (before the test)
    ratings files, key -> ratings -> tables    (after it)

condition_selection  chooses which conditions of a report are compared
stimuli              makes the anchor and audio of each trial; writes the page and its key
page/                the page itself: HTML, CSS and plain JavaScript, copied unchanged
key                  maps ids to systems; the page never loads it
answers              reads and checks the JSON or CSV that the page saved
ratings              joins answers and key, screens listeners, computes means and intervals
tables               writes ratings as CSV, Markdown and a page with a plot
"""
