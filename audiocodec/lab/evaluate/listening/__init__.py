"""The blind listening test in the MUSHRA manner (ITU-R BS.1534-3), and what ratings say.

    heard clips -> stimuli -> page, key        (before the test)
    ratings files, key -> ratings -> tables    (after it)

condition_selection   which conditions of a report are compared
stimuli  anchor and audio of each trial; writes the page and its key
page/    the page itself: HTML, CSS and plain JavaScript, copied as they are
key      which id stands for which system; never loaded by the page
answers  reads what the page saved: JSON or CSV, checked
ratings  joins answers and key; screens listeners; means and intervals
tables   ratings as CSV, Markdown and a page with a plot
"""
