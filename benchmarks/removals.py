"""Which removal, when: every method on planted tables whose right answer is known, and on real data sets.

One audit a data set: every removal of the catalogue at its full budget, one gradient scorer. A row of the leaderboard
is a method; each figure is the median over data sets of the mean over seeds:

- moved: how many data sets have a network that may still move with the feature by more than δ;
- left: worst case after over before;
- told: what a ridge probe of the output recovers of the feature, after over before (R², or AUC above 1/2);
- lost: test loss minus that of training on as long with nothing removed (the sham), in % of the loss of the best
  constant: of a number the points of R² that are lost, of classes those of McFadden's pseudo R²;
- against retrain: test loss minus that of `retrain`, in the same units, paired by seed; better, worse: in how many
  data sets its 95 % interval lies below 0, above;
- wrong for 'direct', for 'marginal': the root mean squared distance of f from the right function, in standard
  deviations of the target, on the planted tables (`removals_planted`);
- seconds of one network.

`--quick`: the planted tables, iris and boston alone, three seeds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from common import conclude, table, use_shared_data
from removals_planted import Planted, planted

from attribution_suite import Audit, audit, load_dataset
from attribution_suite.conclusions.summary import edits, net_costs
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.statistics import student_mean
from attribution_suite.networks.exported import read_network
from attribution_suite.removals.removal import asked

REAL = {"boston": "LSTAT", "iris": "petal_length", "heart": "Sex", "prudential": "BMI"}
QUICK = ("boston", "iris")
METHODS = [*asked("all"), "splince?then=tune"]  # the catalogue; alone splince breaks the layers behind its map
CHANCE = {"auc": 0.5, "r2": 0.0}
SPLIT, GAP = 0.4, 0.045  # of the picture: between its two clusters of labels, and from label to label
TOLD = 0.02  # where the original's output tells less of the feature, there is nothing to compare
GOALS = {False: 900.0, True: 180.0}
PICTURE = Path(__file__).parent / "removals.png"


def audited(data: TabularDataset, feature: str, seeds: int, out: Path) -> Audit:
    """Every removal of one feature; without pages."""
    return audit(data, remove=[feature], removals=METHODS, scorers=["gradient_weight"], seeds=seeds, tuning=1.0,
                 information="quick", out=out, page=False, say=lambda line: None)


def constant_loss(dataset: TabularDataset) -> float:
    """The test loss of the best constant for the test rows: the variance, or the entropy of the classes."""
    targets = dataset.test.targets.double().numpy()
    if dataset.task == "regression":
        return float(targets.var())
    parts = np.unique(targets, return_counts=True)[1] / len(targets)
    return float(-(parts * np.log(parts)).sum())


def facts(result: Audit, dataset: TabularDataset, truth: Planted | None) -> pd.DataFrame:
    """One row a method of one data set."""
    outcomes, information = result.table("outcomes"), result.table("information")
    edited = edits(outcomes)
    percent = 100 / constant_loss(dataset)
    edited = edited.assign(lost=percent * net_costs(outcomes).to_numpy() * edited.loss_before)
    before = outcomes[(outcomes.removal == "original") & (outcomes.removed != "")].set_index("seed")
    asked = information[(information["where"] == "output") & (information.measure == "ridge")].assign(
        known=lambda rows: (rows.value - rows.metric.map(CHANCE)).clip(lower=0))
    known = asked.groupby("removal").known.mean()
    verdicts = result.verdicts.set_index("removal").direct
    retrained = edited[edited.removal == "retrain"].set_index("seed").loss_native
    rows = []
    for removal, networks in edited.groupby("removal", sort=False):
        networks = networks.set_index("seed")
        against = percent * (networks.loss_native - retrained).to_numpy()
        interval = student_mean(against)
        rows.append({
            "removal": removal,
            "moved": float(verdicts[removal] not in ("proved none", "bounded")),
            "left": float((networks.worst_case / before.worst_case).mean()),
            "told": float(known[removal] / known["original"]) if known["original"] > TOLD else np.nan,
            "lost": float(networks.lost.mean()), "against": float(against.mean()),
            "better": float(interval.high < 0),
            "worse": float(interval.low > 0), "half": float(interval.high - interval.mean),
            "seconds": float(networks.seconds.mean()),
            **wrong(result, truth, str(removal))})
    return pd.DataFrame(rows)


def wrong(result: Audit, truth: Planted | None, removal: str) -> dict[str, float]:
    """Distance of the edited networks from the right functions, on test rows, the mean over seeds."""
    if truth is None:
        return {}
    dataset = truth.dataset
    outcomes = result.table("outcomes")
    seeds = sorted(outcomes[outcomes.removal == removal].seed.unique())
    rows = dataset.test_rows
    outputs = [read_network(result.export(removal, "x", seed=int(seed))).outputs(dataset.test.inputs)[0, :, 0].numpy()
               for seed in seeds]
    spread = float(dataset.targets.std())

    def distance(right: np.ndarray | None) -> float:
        if right is None:
            return float("nan")
        return float(np.mean([np.sqrt(np.mean((output - right[rows]) ** 2)) for output in outputs]) / spread)

    return {"direct": distance(truth.direct), "marginal": distance(truth.marginal)}


def front(board: pd.DataFrame) -> list[str]:
    """Methods that no other beats or equals in worst case, what is told and loss at once."""
    values = board[["left", "told", "lost"]].round(3).to_numpy()
    return [str(board.index[place]) for place, value in enumerate(values)
            if not ((values <= value).all(1) & (values < value).any(1)).any()]


def draw(board: pd.DataFrame) -> None:
    """What is told against what is lost; filled where the direct influence is out on every data set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    out = board.moved == 0
    for rows, filled in ((board[out], True), (board[~out], False)):
        axes.scatter(rows.lost, rows.told, s=46, color="#2a6f97" if filled else "none", edgecolor="#2a6f97", zorder=3,
                     label="no direct influence left on any data set" if filled else "some direct influence left")
    for high in (True, False):  # labels in two columns beside their clusters, each far enough from the next
        rows = board[(board.told > SPLIT) == high].sort_values("told", ascending=not high)
        for place, (name, row) in enumerate(rows.iterrows()):
            at = 1.0 - GAP * place if high else GAP * place
            beside = rows.lost.max() + 6 if high else rows.lost.median() + 12
            axes.annotate(str(name), (row.lost, row.told), xytext=(beside, at), fontsize=8,
                          va="center", arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.6})
    axes.set_xlabel("points of R² lost, net of the sham (classes: of McFadden's pseudo R²), median over data sets")
    axes.set_ylabel("what a probe of the output still recovers\n(1: as before the removal)")
    axes.set_ylim(-0.04, 1.04)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    use_shared_data()
    torch.set_num_threads(1)
    started, seeds = time.perf_counter(), 3 if quick else 5
    truths = planted()
    real = {name: feature for name, feature in REAL.items() if not quick or name in QUICK}
    boards = []
    with tempfile.TemporaryDirectory() as folder:
        for name in [*truths, *real]:
            truth, begun = truths.get(name), time.perf_counter()
            dataset = load_dataset(name) if truth is None else truth.dataset
            result = audited(dataset, real.get(name, "x"), seeds, Path(folder) / name)
            if result.failed:
                print(f"{name}: failed: {'; '.join(result.failed)}")
            boards.append(facts(result, dataset, truth).assign(dataset=name))
            print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    everything = pd.concat(boards, ignore_index=True)
    columns = ["left", "told", "lost", "against", "seconds", "direct", "marginal"]
    board = everything.groupby("removal", sort=False)[columns].median().join(
        everything.groupby("removal")[["moved", "better", "worse"]].sum())
    board["on"] = everything.groupby("removal").size()
    best = front(board)
    print()
    table(["method", "data sets", "moved", "left", "told", "lost, points", "against retrain", "better", "worse",
           "wrong, direct", "wrong, marginal", "seconds", "front"],
          [[name, int(row.on), int(row.moved), float(row.left), float(row.told), float(row.lost), float(row.against),
            int(row.better), int(row.worse), float(row.direct), float(row.marginal), float(row.seconds),
            "*" if name in best else ""] for name, row in board.sort_values(["moved", "told"]).iterrows()])
    print()
    planted_rows = everything[everything.dataset.isin(truths)]
    for meaning in ("direct", "marginal"):
        print(f"wrong for '{meaning}', by table:")
        wide = planted_rows.pivot_table(index="removal", columns="dataset", values=meaning, sort=False)
        table(["method", *wide.columns], [[name, *map(float, row)] for name, row in wide.iterrows()])
        print()
    print("against retrain, mean and half of the 95 % interval over seeds, by data set:")
    everything["text"] = [f"{mean:.3g} ± {half:.2g}" for mean, half in everything[["against", "half"]].to_numpy()]
    wide = everything.pivot(index="removal", columns="dataset", values="text")
    table(["method", *truths, *real], [[name, *wide.loc[name, [*truths, *real]]] for name in board.index])
    print()
    draw(board)
    figures = {"seconds": time.perf_counter() - started, "methods": float(len(board)),
               "data_sets": float(everything.dataset.nunique()),
               **{f"{column}_{name}": float(board.loc[name, column]) for name in board.index
                  for column in ("moved", "told", "lost") if np.isfinite(board.loc[name, column])}}
    conclude("removals", figures, {"seconds": GOALS[quick]})


if __name__ == "__main__":
    main()
