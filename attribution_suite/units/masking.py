"""What masking units costs: curves of accuracy and loss over the fraction of units that are silenced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.measures.statistics import student_mean
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import predicted_class, task_loss
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Attribution
from attribution_suite.units import VALUES_AT_ONCE

FRACTIONS = tuple(round(0.1 * step, 1) for step in range(10))
REPEATS = 10  # of a random draw, as published
RANDOM = "random"
TOGETHER = 0  # the layer of a curve where units of all hidden layers are masked
Fill = Literal["zero", "mean"]


@dataclass(frozen=True)
class Selection:
    """An order in which units are masked.

    `order` `[members, repeats, units]`: unit order[e, r, 0] goes first; `size` `[members]`: how many of them are the
    whole, so that a fraction f masks the first round(f · size). Masks of one order are nested: a curve is paired.
    """

    name: str
    order: Tensor
    size: Tensor

    def kept(self, fractions: Sequence[float]) -> Tensor:
        """`[members, repeats × fractions, units]`: 1 where a unit stays, 0 where it is masked."""
        place = self.order.argsort(2)[:, :, None]
        return (place >= self.counts(fractions)[:, None, :, None]).float().flatten(1, 2)

    def counts(self, fractions: Sequence[float]) -> Tensor:
        """How many units each fraction masks, `[members, fractions]`."""
        return (torch.tensor(fractions, dtype=torch.float64) * self.size[:, None]).round().long()


def drawn(name: str, pool: Tensor, repeats: int = REPEATS, seed: int = 0, size: Tensor | None = None) -> Selection:
    """Units of `pool` (bool `[members, units]`) in random order, drawn anew for each repeat and member.

    The whole is the pool, or `size` `[members]` units of it.
    """
    draws = torch.from_numpy(np.random.default_rng(seed).random((len(pool), repeats, pool.shape[1])))
    order = draws.masked_fill(~pool[:, None], torch.inf).argsort(2)
    return Selection(name, order, pool.sum(1) if size is None else size)


def by_significance(significant: Tensor, repeats: int = REPEATS, seed: int = 0) -> list[Selection]:
    """The published question: a fraction of the significant units, of the others, and of all, drawn at random.

    The two pools differ in size, so each has its control: as many units, drawn from all of them. `significant` is bool
    `[members, units]`.
    """
    every = torch.ones_like(significant)
    return [
        drawn("significant", significant, repeats, seed),
        drawn("as many as significant", every, repeats, seed + 1, significant.sum(1)),
        drawn("non-significant", ~significant, repeats, seed + 2),
        drawn("as many as non-significant", every, repeats, seed + 3, (~significant).sum(1)),
        drawn(RANDOM, every, repeats, seed + 4),
    ]


def by_score(attribution: Attribution) -> Selection:
    """The units with the highest score first, one order a member, named 'top:' and the scorer's name."""
    members, units = attribution.scores.shape
    order = attribution.scores.argsort(dim=1, descending=True, stable=True)[:, None]
    return Selection(f"top:{attribution.scorer}", order, torch.full((members,), units))


def masked_outputs(networks: Ensemble, values: Tensor, kept: Tensor, fill: Tensor | None = None) -> Tensor:
    """Outputs `[members, masks, rows, outputs]` of tails whose units `[members, rows, units]` are masked.

    A unit that `kept` `[members, masks, units]` drops (0) stands at `fill` `[members, units]`, by default 0. Where the
    activation is 0 at 0 (any but a sigmoid), that equals zeroing its incoming weights and bias. No weights are copied:
    with centred units h − c, the first pre-activation Σ_u m_u W_ou (h_u − c_u) + (W c + b)_o is one product of
    (rows · outputs) × units with units × masks.
    """
    weight, bias = networks.first_weight, networks.first_bias
    if fill is not None:
        values, bias = values - fill[:, None], bias + torch.einsum("eou,eu->eo", weight, fill)
    rows, wide, masks = values.shape[1], weight.shape[1] * weight.shape[2], kept.shape[1]
    step = max(1, VALUES_AT_ONCE // (len(networks) * max(wide, masks * max(networks.architecture.widths[1:]))))
    parts = []
    for start in range(0, rows, step):
        each = values[:, start:start + step, None] * weight[:, None]  # [members, rows, out, units]
        first = each.flatten(1, 2) @ kept.transpose(1, 2)
        first = first.unflatten(1, each.shape[1:3]).permute(0, 3, 1, 2) + bias[:, None, None]
        parts.append(networks.finish(first.flatten(1, 2)).unflatten(1, first.shape[1:3]))
    return torch.cat(parts, 2)


def masked_together(networks: Perceptrons, inputs: Tensor, kept: Sequence[Tensor]) -> Tensor:
    """Outputs `[members, masks, rows, outputs]` on `[rows, features]` with units of every hidden layer at zero.

    `kept[l − 1]` `[members, masks, units]`: 1 where a unit of layer l stays, 0 where it is masked.
    """
    tail, values = networks.tail(1), networks.activations(inputs)[1]
    masks, widest = kept[0].shape[1], max(networks.architecture.widths[1:])
    step = max(1, VALUES_AT_ONCE // (len(networks) * masks * widest))
    parts = []
    for start in range(0, values.shape[1], step):
        flat = (values[:, None, start:start + step] * kept[0][:, :, None]).flatten(1, 2)
        for layer, (weight, bias) in enumerate(zip(tail.weights, tail.biases, strict=True), start=1):
            flat = torch.baddbmm(bias[:, None], flat, weight.transpose(1, 2))
            if layer < len(kept):
                flat = (networks.activate(flat).unflatten(1, (masks, -1)) * kept[layer][:, :, None]).flatten(1, 2)
        parts.append(flat.unflatten(1, (masks, -1)))
    return torch.cat(parts, 2)


def curves_together(networks: Ensemble, rows: Split, task: Task, selections: Sequence[Sequence[Selection]],
                    fractions: tuple[float, ...] = FRACTIONS) -> pd.DataFrame:
    """The curves of units masked in all hidden layers at once, at zero; columns as of `Masking.curves`, layer 0.

    `selections[l − 1]`: those of layer l, the same names in every layer. At fraction f each layer loses that fraction
    of its own selection; `units` counts them all. Raises InputError for networks whose layers are not known, and where
    a layer's selections are missing.
    """
    if not isinstance(networks, Perceptrons):
        raise InputError(f"layers cannot be masked together: {networks.refusal('layers')}")
    names = [[selection.name for selection in of_layer] for of_layer in selections]
    if len(names) != networks.architecture.depth - 1 or any(other != names[0] for other in names):
        raise InputError(f"masking all layers together needs the same selections for each of the "
                         f"{networks.architecture.depth - 1} hidden layers")
    frames = []
    for of_layers in zip(*selections, strict=True):
        outputs = masked_together(networks, rows.inputs, [selection.kept(fractions) for selection in of_layers])
        units = torch.stack([selection.counts(fractions) for selection in of_layers]).sum(0)
        index = {"layer": TOGETHER, "fill": "zero", "selection": of_layers[0].name}
        frames.append(_frame(index, fractions, units, *_costs(outputs, rows.targets, task)))
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Masking:
    """`fractions` of a selection's units, masked at `layer` with zero or with each unit's mean (over `background`)."""

    layer: int
    fractions: tuple[float, ...] = FRACTIONS
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        if len(self.fractions) < 2 or any(not 0 <= f <= 1 for f in self.fractions):
            raise InputError(f"a masking curve needs two or more fractions between 0 and 1, got {self.fractions}")
        if sorted(set(self.fractions)) != list(self.fractions):
            raise InputError(f"the fractions of a masking curve must rise, got {self.fractions}")
        if self.fill not in ("zero", "mean"):
            raise unknown_name("fill", self.fill, ("zero", "mean"))

    def curves(self, networks: Ensemble, rows: Split, background: Tensor, task: Task,
               selections: Sequence[Selection]) -> pd.DataFrame:
        """One row a member, selection, repeat and fraction.

        Columns: member, layer, fill, selection, repeat, fraction, `units` masked, `accuracy` in [0, 1] (NaN for
        regression) and `loss` (the task's) on `rows`. `background` `[rows, features]` gives the means.
        """
        if not 1 <= self.layer < networks.architecture.depth:
            raise InputError(f"masking is of hidden units: layers 1 to {networks.architecture.depth - 1}, "
                             f"not {self.layer}")
        tail, values = networks.tail(self.layer), networks.activations(rows.inputs)[self.layer]
        fill = networks.activations(background)[self.layer].mean(1) if self.fill == "mean" else None
        frames = []
        for selection in selections:
            outputs = masked_outputs(tail, values, selection.kept(self.fractions), fill)
            index = {"layer": self.layer, "fill": self.fill, "selection": selection.name}
            frames.append(_frame(index, self.fractions, selection.counts(self.fractions),
                                 *_costs(outputs, rows.targets, task)))
        return pd.concat(frames, ignore_index=True)


def _frame(named: Mapping[str, int | str], fractions: Sequence[float], units: Tensor, accuracy: Tensor,
           loss: Tensor) -> pd.DataFrame:
    """The curves of one selection: a row a member, repeat and fraction. `units` `[members, fractions]` are masked."""
    repeats = accuracy.numel() // units.numel()
    index = pd.MultiIndex.from_product([range(len(units)), range(repeats), fractions],
                                       names=["member", "repeat", "fraction"])
    columns = {"units": units[:, None].expand(-1, repeats, -1), "accuracy": accuracy, "loss": loss}
    frame = index.to_frame(index=False).assign(**named, **{name: v.flatten().numpy() for name, v in columns.items()})
    return frame[["member", *named, "repeat", "fraction", *columns]]


def _costs(outputs: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Accuracy and loss of each mask, `[members × masks]`."""
    flat = outputs.flatten(0, 1)
    loss = task_loss(flat, targets, task).double()
    if task == "regression":
        return torch.full_like(loss, torch.nan), loss
    return (predicted_class(flat, task) == targets.long()).double().mean(1), loss


CURVE = ["layer", "fill", "selection"]


def summary(curves: pd.DataFrame, measure: Literal["accuracy", "loss"]) -> pd.DataFrame:
    """Mean and 95 % interval (Student's t) of a measure at each fraction: one row a curve and fraction.

    The interval is over members (each the mean of its repeats); for one member, over its repeats: the draws of units
    are then all that it speaks of. NaN where there is one value only.
    """
    return _interval(curves, [*CURVE, "fraction"], measure)


def areas(curves: pd.DataFrame, measure: Literal["accuracy", "loss"]) -> pd.DataFrame:
    """The mean of a measure over a curve (area under it by trapezes, over the range of fractions), one row a curve.

    Columns: `mean`, `low`, `high` of the area (95 % interval as in `summary`); `against_random` and its interval
    `against_low`, `against_high`: the area minus that of random units of the same member, repeat by repeat (a ranking
    has one order, and is compared with every repeat). A ranking that finds what matters has a lower area of accuracy, a
    higher one of loss. The fractions of a pool such as 'significant' are of that pool: its own control is 'as many
    as …'. Raises InputError where the curve of random units is missing.
    """
    if RANDOM not in set(curves.selection):
        raise InputError("areas are read against random units: mask them too (`drawn('random', …)`)")
    keys = [*CURVE, "member", "repeat"]
    under = curves.groupby(keys, sort=False)[["fraction", measure]].apply(
        lambda curve: np.trapezoid(curve[measure], curve.fraction) / np.ptp(curve.fraction))
    area = under.rename("area").reset_index()
    same = ["layer", "fill", "member"]
    control = area.loc[area.selection == RANDOM, [*same, "repeat", "area"]]
    pairs = area.merge(control, on=same, suffixes=("", "_random"))
    ranked = pairs.groupby([*CURVE, "member"]).repeat.transform("max") == 0
    pairs = pairs[ranked | (pairs.repeat == pairs.repeat_random)]
    against = _interval(pairs.assign(against=pairs.area - pairs.area_random), CURVE, "against")
    return _interval(area, CURVE, "area").merge(against.rename(columns={
        "mean": "against_random", "low": "against_low", "high": "against_high"}), on=CURVE)


def _interval(frame: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    def one(group: pd.DataFrame) -> pd.Series:
        values = group.groupby("member")[column].mean() if group.member.nunique() > 1 else group[column]
        if len(values) < 2 or values.isna().any():
            return pd.Series({"mean": values.mean(), "low": np.nan, "high": np.nan})
        interval = student_mean(values.to_numpy())
        return pd.Series({"mean": float(interval.mean), "low": float(interval.low), "high": float(interval.high)})

    return frame.groupby(keys, sort=False)[["member", column]].apply(one).reset_index()
