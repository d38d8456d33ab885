"""How often each scorer is above its null where nothing is, and not above it where something is (of `verdicts.py`)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from planted import FAMILIES, Planted
from planted_paths import COLUMNS

from attribution_suite.auditing.spec import PROFILES
from attribution_suite.auditing.work.nulls import LEAST, needs_phantoms
from attribution_suite.auditing.work.phantoms import calls
from attribution_suite.measures.nulls import above_null, null_p
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice, traits_of

# D as a multiple of δ; 0: the network does not depend on x_j.
GROUPS = {"algebra": ("algebra", 0), "proxies only": ("proxies only", 0), "cancellation": ("cancellation", 0),
          "linear, 2 δ": ("linear", 2), "linear, 10 δ": ("linear", 10),
          "linear, 100 δ": ("linear", 100), "interaction, 10 δ": ("interaction", 10),
          "saturated gate, 10 δ": ("saturated gate", 10)}
NOISE = 0.3  # of the labels around a network's own outputs, in standard deviations of these


def judged_scorers() -> list[str]:
    """All that are asked of the network and score inputs; the control is among them."""
    return [name for name in SCORERS.names if traits_of(name).reads != "labels" and not traits_of(name).below]


def with_phantoms() -> list[str]:
    """Those of them whose null is measured."""
    return [name for name in judged_scorers() if needs_phantoms(name, 0)]


def above_nulls(members: int, names: Sequence[str], groups: Sequence[str] = tuple(GROUPS),
                seed: int = 300) -> pd.DataFrame:
    """One row a group, network and scorer: is x_j above the scorer's null? Group, scorer, `present`, `above`."""
    choices = [Choice.of(name, PROFILES["quick"]) for name in names]
    rows = []
    for number, group in enumerate(groups):
        family, strength = GROUPS[group]
        asked = FAMILIES[family](members, seed + number, (strength or 1.0,))
        for member in range(members):
            rows += [{"group": group, "scorer": name, "present": strength > 0, "above": above}
                     for name, above in asked_of(asked, member, choices, members * number + member)]
    return pd.DataFrame(rows)


def asked_of(planted: Planted, member: int, choices: Sequence[Choice], seed: int) -> list[tuple[str, bool | None]]:
    """Of one network by itself, as an audit asks: beside 19 phantoms, or whether the score is above zero."""
    network = planted.networks.select([member])
    generator = torch.Generator().manual_seed(seed)
    outputs = [network.outputs(rows)[0, :, 0] for rows in (planted.inputs, planted.training)]
    targets = [values + NOISE * values.std() * torch.randn(len(values), generator=generator) for values in outputs]
    quick = PROFILES["quick"]
    evaluation = Evaluation(
        planted.inputs[:quick.rows], targets[0][:quick.rows], planted.training[:quick.background],
        targets[1][:quick.background], torch.zeros(COLUMNS), {f"x{column}": (column,) for column in range(COLUMNS)},
        "regression", seed=seed)
    call, = calls(network, evaluation, 0, ["x0"], np.array([0]), np.array([0]), seed, LEAST)
    said: list[tuple[str, bool | None]] = []
    for choice in choices:
        if needs_phantoms(choice.name, 0):
            scores = call.scores(choice)[0]
            said.append((choice.name, above_null(float(null_p(scores[:1], scores[None, 1:])))))
        else:
            said.append((choice.name, bool(choice.attribute(network, evaluation).scores[0, 0] > 0)))
    return said


def rates(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a scorer: of each group the part of networks where it errs, then of all without and with dependence."""
    wrong = rows.assign(wrong=rows.above.astype(bool) != rows.present)
    by_group = wrong.pivot_table("wrong", "scorer", "group", sort=False)[list(GROUPS)]
    over = wrong.pivot_table("wrong", "scorer", "present", sort=False)
    return by_group.assign(false_alarm=over[False], blind=over[True])
