"""What the suite says of planted networks, held against the truth: verdicts, errors, power."""

from collections.abc import Iterable

import pandas as pd
from planted import Planted
from scipy.stats import binomtest

from attribution_suite.auditing.work.direct import COLUMNS
from attribution_suite.conclusions.direct import BOUNDED, PRESENT, PROVED, network_states
from attribution_suite.measures.worst_case.measure import worst_case

ROUNDING = 1e-9  # of δ: what the last bit of a float64 may add


def judged(families: Iterable[Planted]) -> pd.DataFrame:
    """One row a network: family, plant, strength, truth, delta, method, effect, bound, verdict and `claim`.

    `claim`: the verdict with the method that it rests on, as 'bounded (exact)'.
    """
    rows = []
    for asked in families:
        worst = worst_case(asked.networks, asked.inputs, asked.training, asked.nodes, "regression", asked.delta)
        outcomes = worst.to_frame().rename(columns=COLUMNS).assign(seed=0)
        verdict = network_states(outcomes, pd.Series({0: True}))
        rows.append(pd.DataFrame({
            "family": asked.family, "plant": asked.plant, "strength": asked.strength, "truth": asked.truth,
            "delta": asked.delta.numpy(), "closed": asked.closed, "method": worst.method,
            "effect": worst.effect.numpy(), "bound": worst.bound.numpy(), "verdict": verdict}))
    table = pd.concat(rows, ignore_index=True)
    return table.assign(claim=table.verdict + " (" + table.method + ")")


def false_clean(table: pd.DataFrame) -> pd.Series:
    """Rows whose verdict is clean and false against its own claim: 'proved none' though D > 0, 'bounded' though D > δ.

    What else a network may do is not claimed: 'bounded' with D just under δ is right.
    """
    proved = (table.verdict == PROVED) & (table.truth > 0)
    return proved | ((table.verdict == BOUNDED) & (table.truth > table.delta * (1 + ROUNDING)))


def false_present(table: pd.DataFrame) -> pd.Series:
    """Rows that are called present though D ≤ δ, where D is known and not only bounded below."""
    return (table.verdict == PRESENT) & (table.truth <= table.delta * (1 - ROUNDING)) & table.closed


def rate(errors: int, count: int, level: float = 0.95) -> tuple[float, float, float]:
    """The rate and its one-sided limits, low and high (Clopper & Pearson 1934)."""
    if not count:
        return float("nan"), 0.0, 1.0
    low, high = (binomtest(errors, count, alternative=side).proportion_ci(level, "exact")
                 for side in ("greater", "less"))
    return errors / count, float(low.low), float(high.high)
