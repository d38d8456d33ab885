"""What networks still tell of the feature that each of them lost: probes, dependence, rates, and its proxies."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from attribution_suite.auditing.rules import Rules
from attribution_suite.auditing.store import Arrays
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.information.conditional import generalised_covariance
from attribution_suite.measures.information.dependence import dependence_test, target_strata
from attribution_suite.measures.information.limits import NOT_MEASURED, R2_MARGIN, Limits
from attribution_suite.measures.information.probes import FEWEST_ROWS, boosted_probe, margins, ridge_probe, unmeasured
from attribution_suite.measures.information.proxies import Proxies, forward_selection, parts
from attribution_suite.measures.information.rates import group_rates
from attribution_suite.measures.information.result import Information
from attribution_suite.measures.information.targets import Target
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.outputs import predicted_class
from attribution_suite.scorers.memory import made_once

INFORMATION = ("information", "proxies")  # the arrays: each a table as the bytes of a Parquet file
ROWS = {"quick": 500, "full": 2000}  # test rows that probes read, at most
DEPENDENCE_ROWS = 500  # of distances, whose cost grows with their square
TRAINING_ROWS = 5000  # that proxies are chosen on
MEASURED = tuple(field.name for field in fields(Limits))
Answer = dict[str, Any]  # a measure's columns, `[members]` or one value for all, by their names


@dataclass(frozen=True)
class Asked:
    """One lost feature: its `columns`, x_j in the rows in use, and the networks that lost it, by their `members`."""

    columns: tuple[int, ...]
    target: Target
    members: list[int]
    networks: Ensemble


def information(networks: Ensemble, nodes: Nodes, dataset: TabularDataset, rules: Rules,
                originals: bool = False) -> Arrays:
    """The tables of `asked_of`, by `INFORMATION`, as the bytes of Parquet files; empty where nothing is asked."""
    if rules.information == "off":
        return nothing_asked()
    told = asked_of(networks, nodes, dataset, rules, originals)
    return {name: packed(frame) for name, frame in zip(INFORMATION, (told.table, told.proxies), strict=True)}


def asked_of(networks: Ensemble, nodes: Nodes, dataset: TabularDataset, rules: Rules, ceiling: bool) -> Information:
    """What every network tells of the input columns that it lost, or of `originals` will lose.

    `ceiling`: what the inputs without them tell is measured too. Only test rows are read, which no fit and no stopping
    has seen; proxies alone are chosen on training rows.
    """
    rows = dataset.test.inputs[:ROWS[rules.information]].to(networks.device)
    told, ledger = [], []
    everything = list(each_lost(networks, nodes, rows))
    for asked, chosen in zip(everything, chosen_proxies(everything, dataset, rules), strict=True):
        answers = [*probed(asked, dataset, rows, rules, ceiling), *group_rates_of(asked, dataset, rules)]
        told += [{**answer, "member": asked.members} for answer in answers]
        ledger.append(proxies(asked, chosen, dataset, rows))
    return Information(joined(told), pd.concat(ledger, ignore_index=True))


def nothing_asked() -> Arrays:
    """The tables without a row: of hidden units, which `outcomes.recoverability` probes, and where it is 'off'."""
    return {name: packed(pd.DataFrame({"member": pd.Series(dtype="int64")})) for name in INFORMATION}


def each_lost(networks: Ensemble, nodes: Nodes, rows: Tensor) -> Iterator[Asked]:
    """Every feature that is lost, with the networks that lost it."""
    lost: dict[tuple[int, ...], list[int]] = {}
    for member, index in enumerate(nodes.index.tolist()):
        lost.setdefault(tuple(dict.fromkeys(index)), []).append(member)
    for columns, members in lost.items():
        yield Asked(columns, Target.of(rows[:, list(columns)].numpy(force=True)), members, networks.select(members))


def probed(asked: Asked, dataset: TabularDataset, rows: Tensor, rules: Rules,
           ceiling: bool) -> Iterator[Answer]:
    """Probes and tests of dependence, one answer each."""
    target, networks = asked.target, asked.networks
    margin = rules.information_margin
    outputs = networks.outputs(rows).double().cpu()
    layers = dict(hidden(networks, rows, rules.information == "full"))
    places = {"output": outputs, **layers}
    for where, representation in places.items():
        yield framed(where, "ridge", ridge_probe(representation, target, margin))
    few = slice(0, DEPENDENCE_ROWS)
    short = Target(target.values[few], target.category)
    values, x = outputs[:, few].numpy(), rows[few][:, list(asked.columns)].numpy(force=True)
    r2 = margins(short, margin)[2] if short.values.shape[1] else np.nan
    apt = len(x) >= FEWEST_ROWS and short.values.shape[1] > 0
    yield framed("output", "distance_correlation",
                 dependence_test(values, x, r2) if apt else unmeasured(short, len(networks)))
    if rules.information == "full":
        for where in ("output", *list(layers)[-1:]):
            yield framed(where, "boosted", boosted_probe(places[where], target))
        strata = target_strata(dataset.test.targets[:len(x)].numpy(), dataset.task != "regression")
        yield framed("output", "distance_correlation", dependence_test(values, x, r2, strata) if apt else
                     unmeasured(short, len(networks)), given=dataset.target_name)
    given = [name for name in rules.conditional_on if not set(dataset.columns(name)) & set(asked.columns)]
    if given:  # of the named columns those that are no part of x_j itself
        fixed = rows[:, [column for name in given for column in dataset.columns(name)]].double().numpy(force=True)
        yield framed("output", "gcm", generalised_covariance(outputs, target, fixed), ", ".join(given))
    if ceiling:
        others = [column for column in range(rows.shape[1]) if column not in asked.columns]
        inputs = rows[None, :, others].double().cpu()
        for measure, probe in (("ridge", ridge_probe(inputs, target, margin)),
                               *([("boosted", boosted_probe(inputs, target))] if rules.information == "full" else [])):
            yield framed("inputs", measure, probe, members=len(networks))


def hidden(networks: Ensemble, rows: Tensor, every: bool) -> Iterator[tuple[str, Tensor]]:
    """The last hidden layer, or every one, where layers are known: name and activations `[members, rows, width]`."""
    depth = networks.architecture.depth
    if depth == 1 or networks.refusal("layers"):
        return
    activations = networks.activations(rows)
    for layer in range(1 if every else depth - 1, depth):
        yield f"layer:{layer}", activations[layer].double().cpu()


def group_rates_of(asked: Asked, dataset: TabularDataset, rules: Rules) -> Iterator[Answer]:
    """Rates per group of a categorical x_j on all test rows, where the favourable class is known."""
    favourable = favourable_class(dataset, rules.favourable)
    if favourable is None or not asked.target.category:
        return
    labels = group_labels(dataset, asked.columns)
    if len(set(labels)) < 2:
        return
    test = dataset.test.to(asked.networks.device)
    predicted = predicted_class(asked.networks.outputs(test.inputs), dataset.task).numpy(force=True)
    measured = group_rates(predicted, test.targets.numpy(force=True), labels, favourable)
    for place, group in enumerate(measured.groups):
        rate = measured.rate[:, place], *(limit[:, place] for limit in measured.rate_limits)
        yield described("favourable_rate", group, rate, int(measured.count[0, place]))
    for measure, limits in (("impact_ratio", measured.ratio_limits),
                            ("equalised_odds_difference", measured.odds_limits)):
        yield described(measure, "", (getattr(measured, measure), *limits), len(test))


def favourable_class(dataset: TabularDataset, name: str | None) -> int | None:
    """The number of the favourable class: the named one, class 1 of two by default; None where there is none."""
    if dataset.task == "regression":
        return None
    if name is None:
        return 1 if dataset.task == "binary" else None
    return list(dataset.classes).index(name) if name in dataset.classes else None


def group_labels(dataset: TabularDataset, columns: Sequence[int]) -> list[str]:
    """Each test row's group: the columns that are not 0 there, by name (a number with its value), or 'none'."""
    values = dataset.inputs[dataset.test_rows][:, list(columns)]
    names = [dataset.feature_names[column] for column in columns]
    return [", ".join(name if "=" in name else f"{name} {value:g}" for name, value in zip(names, row, strict=True)
                      if value) or (f"not {names[0]}" if len(names) == 1 else "none") for row in values.tolist()]


def chosen_proxies(everything: Sequence[Asked], dataset: TabularDataset, rules: Rules) -> list[Proxies]:
    """Who predicts each lost feature, on training rows; chosen once, for they are the same in every chunk."""
    wanted = tuple((asked.columns, least_r2(asked.target, rules)) for asked in everything)
    sources, options = (dataset.train.inputs[:TRAINING_ROWS],), (tuple(dataset.groups.items()), wanted)
    return made_once("proxies", sources, options, lambda: [
        proxies_of(dataset, asked.columns, asked.target, rules) for asked in everything])


def proxies(asked: Asked, chosen: Proxies, dataset: TabularDataset, rows: Tensor) -> pd.DataFrame:
    """The ledger: who predicts x_j, how much each adds, and its part in what each network's output tells."""
    members, count = len(asked.members), len(chosen.names)
    part = np.empty((members, 0)) if not count else parts(
        lambda inputs: asked.networks.outputs(inputs).double().cpu(), rows,
        [dataset.groups[name] for name in chosen.names], asked.target)
    return pd.DataFrame({
        "member": np.repeat(asked.members, count), "proxy": np.tile(np.array(chosen.names, dtype=object), members),
        "order": np.tile(np.arange(1, count + 1), members), "r2_added": np.tile(chosen.added, members),
        "part": part.ravel()})


def proxies_of(dataset: TabularDataset, columns: Sequence[int], target: Target, rules: Rules) -> Proxies:
    """Who predicts x_j, whose `columns` these are, by at least the margin; chosen on training rows."""
    inputs = dataset.train.inputs[:TRAINING_ROWS].numpy()
    return forward_selection(inputs, dataset.groups, columns, least_r2(target, rules))


def least_r2(target: Target, rules: Rules) -> float:
    """What a proxy must add to R² of the target."""
    return margins(target, rules.information_margin)[2] if target.values.shape[1] else R2_MARGIN


def framed(where: str, measure: str, limits: Limits, given: str = "", members: int | None = None) -> Answer:
    """One row a network; `members`: how many share the one row that was measured."""
    answer = {name: getattr(limits, name) for name in MEASURED}
    if members is not None:
        answer = {name: np.repeat(values, members) for name, values in answer.items()}
    return answer | {"where": where, "measure": measure, "given": given}


def described(measure: str, group: str, values: Sequence[np.ndarray], rows: int) -> Answer:
    """A rate, which is a description: no copies, no state. `values`: the value and its limits, `[members]` each."""
    value, low, high = values
    state = np.where(np.isfinite(value), "", NOT_MEASURED)
    return {"metric": "rate", "value": value, "low": low, "high": high, "rows": rows, "state": state,
            "where": "output", "measure": measure, "given": group}


def joined(answers: Sequence[Answer]) -> pd.DataFrame:
    """The rows of all answers, NaN where one does not speak of a column.

    At once: a frame for each of ten answers takes longer than the answers.
    """
    counts = [len(answer["value"]) for answer in answers]
    names = dict.fromkeys(name for answer in answers for name in answer)
    return pd.DataFrame({name: np.concatenate([
        np.broadcast_to(values := np.asarray(answer.get(name, np.nan)), count).astype(
            object if values.dtype.kind == "U" else values.dtype) for answer, count in zip(answers, counts, strict=True)
    ]) for name in names})


def packed(frame: pd.DataFrame) -> np.ndarray:
    """A table as the bytes of a Parquet file."""
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return np.frombuffer(file.getvalue(), np.uint8)


def unpacked(array: np.ndarray) -> pd.DataFrame:
    """The table of `packed`."""
    table: pd.DataFrame = pq.ParquetFile(pa.BufferReader(array)).read(use_threads=False).to_pandas()
    return table
