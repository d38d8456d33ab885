"""What the checks against the packages' own calls say, in words and as a table for the page."""

import numpy as np
import pandas as pd

OFF = ("Not held against the packages' own calls (Captum, LIME, scikit-learn): this run was asked not to "
       "(--reference off).")
DEFINITION = "loops written from the definitions"


def reference_sentence(checks: pd.DataFrame, how: str) -> str:
    """One line: how close the scores are to the packages' own numbers. `how`: 'sample', 'all' or 'off' of the spec."""
    if how == "off":
        return OFF
    passed = checks[checks.passed]
    if passed.empty:
        return "No score was held against a package's own call."
    largest = {title: rows.largest_diff.max() for title, rows in passed.groupby(_titles(passed), sort=False)}
    ordered = sorted(largest, key=lambda title: title == DEFINITION)
    if how == "all":
        return f"Computed by {_joined(ordered)}, network by network, where a scorer has such a reference."
    within = _joined([f"{title} within {at_most(largest[title])}" for title in ordered])
    return f"Equal to {within} of a row's largest score, checked in this run on a few rows and networks."


def reference_problems(checks: pd.DataFrame) -> list[str]:
    """One sentence a scorer that differs from its reference, or was not held against it, and why."""
    wrong = checks[~checks.passed]
    sentences = []
    for (dataset, scorer, title, note), rows in wrong.groupby(
            ["dataset", "scorer", _titles(wrong), "note"], sort=False):
        sentences.append(f"{dataset}, {_joined(list(rows.removal.unique()))}: {scorer} against {title}: " + str(
            note or f"differs by {at_most(rows.largest_diff.max())} of a row's largest score, "
                    f"{at_most(rows.tolerance.max())} is allowed"))
    return sentences


def reference_table(checks: pd.DataFrame) -> list[dict[str, object]]:
    """One row a data set, layer and scorer: how much was compared in all chunks, and the largest difference."""
    rows: list[dict[str, object]] = []
    for (dataset, layer, scorer, title), chunks in checks.groupby(
            ["dataset", "layer", "scorer", _titles(checks)], sort=False):
        rows.append({
            "dataset": dataset if layer == 0 else f"{dataset}, layer {layer}", "scorer": scorer, "package": title,
            "chunks": len(chunks), "compared": int((chunks.networks * chunks.rows).sum()),
            "passed_over": int(chunks.passed_over.sum()), "largest": at_most(chunks.largest_diff.max()),
            "passed": bool(chunks.passed.all()), "note": "; ".join(filter(None, chunks.note.unique()))})
    return rows


def at_most(value: float) -> str:
    """One significant digit, rounded up: '3e-7'; '0', and '–' where there is no value."""
    if np.isnan(value) or value == 0 or np.isinf(value):
        return {0.0: "0", np.inf: "∞"}.get(value, "–")
    size = 10.0 ** np.floor(np.log10(value))
    return f"{np.ceil(value / size * (1 - 1e-9)) * size:.0e}".replace("e-0", "e-").replace("e+00", "")


def _titles(checks: pd.DataFrame) -> pd.Series:
    """The packages with their versions, `package`."""
    named = checks.package.replace({"captum": "Captum", "lime": "LIME"}) + " " + checks.version
    return named.mask(checks.package == "attribution-suite", DEFINITION).rename("title")


def _joined(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
