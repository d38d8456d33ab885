"""What may be concluded from the tables of a run, as data and in words: read by the terminal, the page and the library.

`summary`: what is left of the influence and what it cost, with intervals; `verdicts`: which removal took which feature
out; `inside`: what a look inside found; `words`: the sentences; `numbers`: how a number is written.
"""
