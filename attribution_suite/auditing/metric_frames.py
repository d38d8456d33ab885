"""From the arrays of one finished chunk to rows of `metrics` and `randomisation`, where a run asks for them."""

import numpy as np
import pandas as pd

from attribution_suite.auditing.frames import each_variant, spread
from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.metrics import MEASURED
from attribution_suite.measures.explanations import lower_limit, unchanged


def metrics(subject: Subject, arrays: Arrays, originals: Arrays | None, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member that was asked, scorer and measure; `originals`: theirs, None for the originals themselves."""
    values = arrays["metrics"]
    before = np.full_like(values, np.nan) if originals is None else each_variant(originals["metrics"], members)
    scorers = np.array(subject.scorers)
    rows = spread(members, {
        "scorer": np.tile(np.repeat(scorers, len(MEASURED)), len(members)),
        "measure": np.tile(np.array(MEASURED), len(members) * len(scorers)),
        "value": values.ravel(), "before": before.ravel()})
    return rows[rows["value"].notna()]


def randomisation(subject: Subject, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row an original that was asked, draw of weights, stage and scorer that was measured."""
    measured = np.isfinite(arrays["randomised"]).all((0, 1, 2))
    values = arrays["randomised"][..., measured]
    networks, draws, stages, scorers = values.shape
    if not values.size:
        return members.iloc[:0].assign(scorer="", draw=0, stage=0, layers=0, unchanged=False)
    drawn = values.reshape(networks * draws, stages, scorers).transpose(1, 2, 0)
    times = networks * draws
    return spread(members[:networks], {
        "draw": np.tile(np.repeat(np.arange(draws), stages * scorers), networks),
        "stage": np.tile(np.repeat(np.arange(1, stages + 1), scorers), times), "layers": stages,
        "scorer": np.tile(np.array(subject.scorers)[measured], times * stages), "correlation": values.ravel(),
        "limit": np.tile(lower_limit(drawn).ravel(), times),
        "unchanged": np.tile(unchanged(drawn[-1]), times * stages)})
