"""What the scorers of a run compare a row with, in words."""

from collections.abc import Mapping

from attribution_suite.scorers import CONTROL

MEANINGS = {"zero": "zero on the scaled inputs", "mean": "the mean of the training rows",
            "median": "the median of the training rows, column by column", "distribution": "drawn training rows"}


def baseline_sentence(baselines: Mapping[str, str]) -> str:
    """One sentence a baseline, with its scorers: `baselines` are theirs, '' for none."""
    with_it: dict[str, list[str]] = {}
    for scorer, kind in baselines.items():
        if scorer != CONTROL:
            with_it.setdefault(kind, []).append(scorer)
    without = with_it.pop("", [])
    sentences = [f"Compared with {meaning(kind)}: {', '.join(scorers)}." for kind, scorers in with_it.items()]
    return " ".join(sentences + [f"With no baseline: {', '.join(without)}."] * bool(without))


def meaning(kind: str) -> str:
    """Of the name of a baseline."""
    return MEANINGS.get(kind, f"row {kind.removeprefix('row:')} of the table")
