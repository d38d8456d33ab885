"""From the arrays of one finished chunk to rows of its tables."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.direct import worst_case_table
from attribution_suite.auditing.work.information import INFORMATION
from attribution_suite.auditing.work.information import unpacked as unpacked_table
from attribution_suite.auditing.work.local import LOCAL
from attribution_suite.auditing.work.nulls import needs_phantoms, removed_from, scores_of
from attribution_suite.auditing.work.outcomes import MOVES, OUTCOMES
from attribution_suite.auditing.work.partial_dependence import PARTIAL_DEPENDENCE
from attribution_suite.auditing.work.performance import PERFORMED
from attribution_suite.auditing.work.sham import SHAM_LOSSES
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.agreement import METRICS, READINGS
from attribution_suite.measures.losses import cost_ratio
from attribution_suite.measures.performance import PERFORMANCE
from attribution_suite.measures.shift import removed_share, shift, signed_shares
from attribution_suite.networks.training import FRONTIER, GOALS
from attribution_suite.scorers.choice import baseline_of, traits_of
from attribution_suite.tables import NEURON_TABLES

# A share up to this is zero to single precision, as where weights cancel: no score above a null of zero.
ROUNDING = 1e-5

Rows = tuple[str, pd.DataFrame | pa.Table]
# Of a row without a feature.
NOTHING_MOVED = dict.fromkeys(("worst_case_method", "witness_from", "witness_to", "goal", "sham", "reads"), "")


def member_keys(subject: Subject, removal: str, features: Sequence[Sequence[str]],
                ranks: Sequence[int]) -> pd.DataFrame:
    """The key columns, one row a member; `features` `[seeds][variants]`, `ranks` `[variants]`."""
    variants = len(ranks)
    return pd.DataFrame({
        "dataset": subject.name, "split": subject.split, "seed": np.repeat(subject.seeds, variants), "removal": removal,
        "removed": [name for names in features for name in names], "layer": subject.layer,
        "rank": list(ranks) * len(features)})


def seed_keys(subject: Subject, removal: str) -> pd.DataFrame:
    """The key columns of networks that lose nothing, one row a seed."""
    return member_keys(subject, removal, (("",),) * len(subject.seeds), (0,))


def spread(members: pd.DataFrame, columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Repeats each member's keys to the length of `columns` (member-major)."""
    length = len(next(iter(columns.values())))
    times = length // len(members)
    keys = {str(name): values.array.repeat(times) for name, values in members.items()}
    return pd.DataFrame({**keys, **columns})


def repeated(members: pd.DataFrame, times: int, columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """All members' keys `times` times over, beside `columns`."""
    order = np.tile(np.arange(len(members)), times)
    return pd.DataFrame({**{str(name): values.array.take(order) for name, values in members.items()}, **columns})


def beside(members: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Columns, or one value for all, beside the members' keys; at once, for `assign` adds them one by one."""
    keys = {str(name): values for name, values in members.items()}
    return pd.DataFrame({**keys, **columns}, index=members.index)


def scored(subject: Subject, dataset: TabularDataset, arrays: Arrays, members: pd.DataFrame) -> Iterator[Rows]:
    """What every chunk that scores networks has."""
    yield "attributions", attributions(subject, dataset, arrays, members)
    yield "agreement", agreements(subject, arrays, members)
    yield "training", training(arrays, members)
    yield "failures", failures(arrays, members)
    yield "checks", checks(arrays, members)


def attributions(subject: Subject, dataset: TabularDataset, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member, measured scorer and feature."""
    scorers, names = np.array(subject.scorers), np.array(feature_names(subject, dataset, arrays))
    measured, baselines = arrays["measured"], np.array([baseline_of(name, subject.baseline) for name in scorers])
    count, features = len(members), len(names)
    return spread(members, {
        "scorer": np.tile(np.repeat(scorers[measured], features), count),
        "baseline": np.tile(np.repeat(baselines[measured], features), count),
        "feature": np.tile(names, count * measured.sum()),
        **{column: arrays[name][:, measured].ravel() for column, name in
           (("share", "share"), ("mean_abs", "mean_abs"), ("signed_mean", "signed"))},
        "signed_share": signed_shares(arrays["signed"])[:, measured].ravel(),
    })


def feature_names(subject: Subject, dataset: TabularDataset, arrays: Arrays) -> list[str]:
    """The features of the subject's layer."""
    if subject.layer:
        return [f"unit:{unit}" for unit in range(arrays["share"].shape[2])]
    return list(dataset.groups)


def agreements(subject: Subject, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member, pair of scorers, reading and metric that applies to the pair."""
    scorers = np.array(subject.scorers)
    first, second = np.triu_indices(len(scorers), 1)
    values = arrays["agreement"][:, :, first, second].transpose(3, 2, 0, 1)  # [members, pairs, readings, metrics]
    readings = np.repeat(np.array(READINGS), len(METRICS))
    each = len(readings)
    rows = spread(members, {
        "scorer_a": np.tile(np.repeat(scorers[first], each), len(members)),
        "scorer_b": np.tile(np.repeat(scorers[second], each), len(members)),
        "reading": np.tile(readings, len(members) * len(first)),
        "metric": np.tile(np.array(METRICS), len(members) * len(first) * len(READINGS)),
        "value": values.ravel(),
    })
    return rows[rows["value"].notna()]


def training(arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member and epoch it trained."""
    epochs = len(arrays["training_loss"])
    if not epochs:
        return members.iloc[:0].assign(epoch=0, training_loss=0.0, validation_loss=0.0)
    rows = spread(members, {
        "epoch": np.tile(np.arange(1, epochs + 1), len(members)),
        "training_loss": arrays["training_loss"].T.ravel(), "validation_loss": arrays["validation_loss"].T.ravel()})
    return rows[rows["training_loss"].notna()]


def failures(arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a scorer that failed, in its scores or its null, and node removed."""
    return failed(members, scorer_errors(arrays))


def checks(arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a scorer that has a reference: how far its numbers are from it."""
    places = members.drop(columns=["seed", "removed", "rank"]).drop_duplicates()
    return places.merge(pd.DataFrame(json.loads(arrays["checks"].tobytes())), how="cross")


def scorer_errors(arrays: Arrays) -> dict[str, str]:
    """Why the scorers that a chunk could not measure failed, in their scores or their null, by scorer."""
    errors: dict[str, str] = {}
    for name in ("metric_failures", "randomised_failures", "null_failures", "failures"):
        if name in arrays:
            errors |= json.loads(arrays[name].tobytes())
    return errors


def failed(members: pd.DataFrame, errors: Mapping[str, str]) -> pd.DataFrame:
    """One row an error and node removed; `errors` by scorer, '' for the whole chunk."""
    nodes = members.drop(columns="seed")
    if not errors:
        return nodes.iloc[:0].assign(scorer="", error="")
    named = pd.DataFrame({"scorer": list(errors), "error": list(errors.values())}, dtype=str)
    return nodes.drop_duplicates().merge(named, how="cross")


def shifts(subject: Subject, dataset: TabularDataset, arrays: Arrays, originals: Arrays, retrained: Arrays | None,
           members: pd.DataFrame) -> pd.DataFrame:
    """One row a scorer and member. Total variation is NaN where no retrained network is in the run."""
    names, scorers, each = feature_names(subject, dataset, arrays), np.array(subject.scorers), len(members)
    gone, variants = removed_from(names, list(members.removed)), each // len(subject.seeds)

    def by_scorer(values: NDArray[Any]) -> NDArray[Any]:
        """From `[members, scorers, features]` to `[scorers * members, features]`."""
        return values.swapaxes(0, 1).reshape(-1, len(names))

    before = originals["share"].repeat(variants, 0)
    reference = np.full_like(before, np.nan) if retrained is None else retrained["share"]
    lost = np.tile(gone, (len(scorers), 1))
    changes = shift(by_scorer(before), by_scorer(arrays["share"]), by_scorer(reference), lost,
                    np.tile(arrays["dependence"], (len(scorers), 1)))
    signed = {"signed_share_before": signed_shares(originals["signed"]).repeat(variants, 0),
              "signed_share_after": signed_shares(arrays["signed"])}
    return repeated(members, len(scorers), {
        "scorer": scorers.repeat(each), "applicable": arrays["applicable"].repeat(each), **changes,
        "largest_gainer": np.array([*names, ""], dtype=object)[changes["largest_gainer"]],
        **{column: removed_share(by_scorer(shares), lost) for column, shares in signed.items()}})


def nulls(subject: Subject, dataset: TabularDataset, arrays: Arrays, scored: Arrays,
          members: pd.DataFrame) -> pd.DataFrame:
    """One row a scorer that applies and a member; of a scorer that needs phantoms, a member that was asked.

    `scored`: the arrays with the scores, which have one network a seed or one a member.
    """
    variants = len(members) // len(subject.seeds)
    each = len(members) // len(scored["mean_abs"])
    scores = scores_of(scored["mean_abs"], feature_names(subject, dataset, scored), list(members.removed))
    rows = []
    for position in np.flatnonzero(scored["applicable"]):
        scorer, score, by_construction = subject.scorers[position], scores[:, position], arrays["severed"]
        if needs_phantoms(scorer, subject.layer):
            score, p = arrays["null_feature"][:, position], arrays["null_p"][position]
            by_construction = np.zeros(len(score), bool)
            null: dict[str, Any] = {
                "phantoms": np.tile(arrays["null_phantoms"][position], len(score) // variants),
                "null_max": arrays["null_max"][:, position], "null_mean": arrays["null_mean"][:, position]}
        elif traits_of(scorer).zero_on_zero_weights:
            total = scored["mean_abs"][:, position].sum(1).repeat(each)
            largest = np.divide(score, total, out=score.copy(), where=score != 0).reshape(-1, variants).max(0)
            p = np.where(np.isnan(largest), np.nan, largest <= ROUNDING)
            null = {"phantoms": 0, "null_max": 0.0, "null_mean": 0.0}
        else:
            p, by_construction = np.full(variants, np.nan), np.full(len(score), traits_of(scorer).reads == "labels")
            null = {"phantoms": 0, "null_max": np.nan, "null_mean": np.nan}
        rows.append(beside(members[:len(score)], {
            "scorer": scorer, "score": score, **null, "p": np.tile(p, len(score) // variants),
            "by_construction": by_construction,
            "fidelity": mean_fidelity(scored["fidelity"][:, position], len(members), variants)[:len(score)],
            "unseen": arrays["unseen"][:len(score)] & (score == 0)}))
    return pd.concat(rows, ignore_index=True) if rows else members.iloc[:0].assign(scorer="", phantoms=0)


def mean_fidelity(fidelity: np.ndarray, members: int, variants: int) -> np.ndarray:
    """The mean over seeds of each variant's R², `[members]`: of one network a seed or one a member, seed-major.

    Constant networks, which have none, are left out; NaN where there is no other.
    """
    each = fidelity.repeat(members // len(fidelity)).reshape(-1, variants)
    known = np.isfinite(each)
    mean = np.divide(np.where(known, each, 0).sum(0), known.sum(0), out=np.full(variants, np.nan),
                     where=known.any(0))
    return np.tile(mean, len(each))


def original_outcomes(dataset: TabularDataset, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row an original: what applies without an edit."""
    names = ("loss_native", "validation_native", "learned_p", "learned", "seconds", "steps")
    baseline = {f"xgboost_{name}": arrays["xgboost"][:, column] for column, name in enumerate(PERFORMANCE)}
    return beside(members, {
        **{name: arrays[name] for name in names}, **performances(arrays), **baseline, **NOTHING_MOVED,
        "tuned": False, "test_to_training": len(dataset.test_rows) / len(dataset.train_rows)})


def performances(arrays: Arrays) -> Arrays:
    """The array `performance` by its columns."""
    return dict(zip(PERFORMED, arrays["performance"].T, strict=True))


def each_variant(values: NDArray[Any], members: pd.DataFrame) -> NDArray[Any]:
    """A value an original, `[seeds]`, for every row of its edits, `[members]`."""
    return values.repeat(len(members) // len(values))


def of_originals(originals: Arrays, members: pd.DataFrame) -> Arrays:
    """Whether each member's original has learned."""
    return {name: each_variant(originals[name], members) for name in ("learned_p", "learned")}


def performances_beside(originals: Arrays, arrays: Arrays, members: pd.DataFrame) -> Arrays:
    """How good each member is, and its original was; whether that has learned."""
    before = {f"{name}_before": each_variant(values, members) for name, values in performances(originals).items()}
    return performances(arrays) | before | of_originals(originals, members)


def outcomes(arrays: Arrays, retrained: Arrays | None, originals: Arrays, sham: str, budget: float,
             reads: str, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member. `sham`: the control of its cost; `budget`: what a tuned one was given of the full.

    `reads`: when the edit needs values of what was removed.
    """
    measured = {name: arrays[name] for name in (*OUTCOMES, "seconds", "steps")} | dict(worst_case_table(arrays))
    measured |= performances_beside(originals, arrays, members) | {
        "tuned": np.full(len(members), sham != ""), "sham": np.full(len(members), sham, dtype=object),
        "budget": np.full(len(members), budget), "reads": np.full(len(members), reads, dtype=object),
        "goal": np.array(GOALS, dtype=object)[arrays["goal"]]}
    if retrained is None:
        return beside(members, {**measured, "cost_ratio": np.nan})
    ratio = cost_ratio(*(torch.from_numpy(values) for values in
                         (arrays["loss_before"], arrays["loss_native"], retrained["loss_native"])))
    return beside(members, {**measured, "cost_ratio": ratio.numpy()})


def frontier(arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member and strength of the penalty that it was tuned with; no row of other methods."""
    columns = {name: values.ravel() for name, values in zip(FRONTIER, arrays["frontier"], strict=True)}
    if not len(columns["strength"]):
        return members.iloc[:0].assign(**columns)
    return spread(members, {**columns, "chosen": columns["chosen"] == 1})


def examined(arrays: Arrays, originals: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member: an original and a feature that goes. Nothing was spent on it."""
    measured = {name: arrays[name] for name in MOVES} | of_originals(originals, members)
    return beside(members, {**measured, **dict(worst_case_table(arrays)), "tuned": False, "goal": "", "sham": "",
                            "reads": "", "seconds": 0.0, "steps": 0})


def sham(arrays: Arrays, originals: Arrays, budget: float, members: pd.DataFrame) -> pd.DataFrame:
    """One row a network that was tuned with nothing removed. What speaks of a removed feature is NaN, or ''."""
    measured = {name: arrays[name] for name in (*SHAM_LOSSES, "seconds", "steps")}
    measured |= performances_beside(originals, arrays, members)
    return beside(members, {**measured, **NOTHING_MOVED, "tuned": True, "budget": budget})


def told(arrays: Arrays, members: pd.DataFrame) -> Iterator[Rows]:
    """One row a member and measure; of the proxies one a member and proxy; of curves one a member, row and point."""
    for table in (*INFORMATION, PARTIAL_DEPENDENCE):
        rows = unpacked_table(arrays[table])
        keys = members.iloc[rows.pop("member").to_numpy()].reset_index(drop=True)
        yield table, pd.concat([keys, rows.reset_index(drop=True)], axis=1)


def confusion(dataset: TabularDataset, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member and two classes that some row has, as its own and as the predicted one."""
    member, actual, predicted = arrays["confusion"].nonzero()
    names = np.array(dataset.classes or ("0", "1"), dtype=object)
    return members.iloc[member].assign(actual=names[actual], predicted=names[predicted],
                                       rows=arrays["confusion"][member, actual, predicted])


def local_attributions(arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a row and feature of the first network."""
    keys = members[["dataset", "split", "seed", "layer"]].iloc[:1]
    return keys.merge(unpacked_table(arrays[LOCAL]), how="cross")


def unpacked(arrays: Arrays) -> Iterator[Rows]:
    """The tables that a look inside keeps as Parquet files."""
    for table in NEURON_TABLES:
        yield table, pq.read_table(io.BytesIO(arrays[table].tobytes()))
