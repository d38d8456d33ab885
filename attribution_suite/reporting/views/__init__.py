"""How a notebook shows each result: a sentence, a short table, and its kinds of plots."""
