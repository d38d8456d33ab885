"""Inside the heart notebook's network (17 → 512 → 1024 → 1, tanh), really trained: significance, masking, paths.

Each is timed against the notebook's way, one unit, mask or pass at a time, in the same run, and gives the same result.
A loop too long to run is measured in part and extrapolated; the table says so. Then the published question (do
significant units matter more?), and whether the weight history is a usable importance.

    python benchmarks/neurons.py [--seeds 1] [--epochs 100] [--no-history]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import conclude, use_shared_data
from scipy import stats
from torch import Tensor, nn

from attribution_suite import load_dataset
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.unit_tests import UnitTests, unit_tests
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import Trained, train
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.unit_significance import UnitSignificance
from attribution_suite.scorers.weight_history import weight_history_scores
from attribution_suite.units.masking import Masking, areas, by_score, by_significance, summary
from attribution_suite.units.paths import QUANTILES, quantile_path, responses

LAYER, REPEATS = 2, 3
GOALS = {"seconds_paths": 10.0, "ratio_paths": 50.0}
RANKINGS = ("gradient_weight", "lrp", "integrated_gradients", "deep_lift", "input_x_gradient", "saliency", "weights")
COMPARED = ("gradient_weight", "integrated_gradients", "feature_ablation", "permutation", "weights", "random")


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Median seconds, and the last result."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), result


def evaluation(data: TabularDataset, part: str) -> Evaluation:
    rows = getattr(data, part)
    return Evaluation(rows.inputs, rows.targets, data.train.inputs, data.train.targets, data.train.inputs.mean(0),
                      data.groups, data.task)


def fitted(data: TabularDataset, seeds: int, epochs: int | None = None) -> Trained:
    """The preset's networks, with every epoch's first-layer weights."""
    chosen = data.preset
    shape = Architecture(data.features, chosen.hidden, data.outputs, chosen.activation)
    budget = Training(**{**vars(chosen.training), "record_every": 1, "epochs": epochs or chosen.training.epochs})
    start = Perceptrons.initialise(shape, range(seeds))
    return train(start, data.train, data.validation, data.task, budget, range(seeds))


def significance(networks: Perceptrons, data: TabularDataset) -> tuple[dict[str, float], UnitTests]:
    """All units at once, against scipy unit by unit."""
    values, labels = networks.activations(data.train.inputs)[LAYER].numpy(), data.train.targets.numpy()
    seconds, tests = timed(lambda: unit_tests(values, labels, "binary"))

    def loop() -> list[float]:
        p_values = []
        for unit in range(values.shape[2]):
            own = values[0, :, unit].astype(float)
            classes = own[labels == 0], own[labels == 1]
            if all(stats.shapiro(rows).pvalue > 0.05 for rows in classes):
                p_values.append(stats.ttest_ind(*classes, equal_var=False).pvalue)
            else:
                p_values.append(stats.mannwhitneyu(*classes).pvalue)
        return p_values

    slow, p_values = timed(loop)
    np.testing.assert_allclose(tests.p[0], p_values, rtol=1e-6)
    return {"seconds_significance": seconds, "seconds_significance_loop": slow * len(networks)}, tests


def masking(networks: Perceptrons, data: TabularDataset, tests: UnitTests) -> tuple[dict[str, float], pd.DataFrame]:
    """All curves at once, against a copy of the network for each mask (the first 100 masks of one selection)."""
    at_layer = evaluation(data, "train").at_layer(networks, LAYER)
    tail = networks.tail(LAYER)
    scored = [SCORERS.load(name)().attribute(tail, at_layer) for name in RANKINGS]
    scored.append(UnitSignificance().attribute(tail, at_layer))
    selections = [*by_significance(torch.from_numpy(tests.significant)), *map(by_score, scored)]
    plan = Masking(LAYER)
    seconds, curves = timed(lambda: plan.curves(networks, data.test, data.train.inputs, "binary", selections))
    module, kept = networks.to_module(), selections[0].kept(plan.fractions)[0]

    def loop() -> list[float]:
        found = []
        for mask in kept:
            masked = deepcopy(module)
            for unit in torch.nonzero(mask == 0)[:, 0]:
                masked[2 * LAYER - 2].weight.data[unit] = 0.0
                masked[2 * LAYER - 2].bias.data[unit] = 0.0
            with torch.no_grad():
                found.append(float(((masked(data.test.inputs)[:, 0] > 0) == data.test.targets).float().mean()))
        return found

    slow, accuracies = timed(loop, 1)
    own = curves[(curves.selection == "significant") & (curves.member == 0)]
    assert np.abs(own.accuracy - accuracies).max() <= 1.5 / len(data.test), "masking differs from the loop"
    return {"seconds_masking": seconds, "seconds_masking_loop": slow / len(kept) * len(curves)}, curves


def paths(networks: Perceptrons, data: TabularDataset, passes: int = 3000) -> dict[str, float]:
    """Both paths of the network, and every response of every layer, against one pass a target, unit and quantile."""
    one = networks.select([0])
    inputs = data.train.inputs
    seconds, _ = timed(lambda: [quantile_path(one, inputs, sign) for sign in ("positive", "negative")])
    values = one.activations(inputs)[:-1]
    levels = [torch.from_numpy(np.quantile(layer.numpy(), QUANTILES, axis=1)).permute(1, 2, 0).float()
              for layer in values]

    def everything() -> list[Tensor]:
        return [responses(one, layer, weight, bias, level)
                for layer, (weight, bias, level) in enumerate(zip(one.weights, one.biases, levels, strict=True))]

    all_seconds, found = timed(everything)
    slow, measured = timed(lambda: pass_by_pass(one.to_module()[2:4], levels[1][0], passes), 1)
    np.testing.assert_allclose(measured, found[1][0, 0].flatten()[:passes], rtol=1e-4, atol=1e-5)
    each, widths = slow / passes, one.architecture.widths
    links = sum(below * above for below, above in pairwise(widths))
    return {"seconds_paths": seconds, "seconds_responses": all_seconds,
            "seconds_paths_loop": each * links * len(QUANTILES),
            "seconds_paths_loop_all_targets_a_pass": each * sum(widths[:-1]) * len(QUANTILES)}


def pass_by_pass(layer: nn.Module, levels: Tensor, passes: int) -> list[float]:
    """The first target's value for the first (unit, quantile) pairs, a forward pass each."""
    found, width = [], len(levels)
    with torch.no_grad():
        for place in range(passes):
            unit, quantile = divmod(place, levels.shape[1])
            alone = torch.zeros(1, width)
            alone[0, unit] = levels[unit, quantile]
            found.append(float(layer(alone)[0, 0]))
    return found


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    """Loop over vectorised; the paths' own ratio takes both the paths and all responses as the suite's time."""
    paths_seconds = seconds["seconds_paths"] + seconds["seconds_responses"]
    return {**seconds,
            "ratio_significance": seconds["seconds_significance_loop"] / seconds["seconds_significance"],
            "ratio_masking": seconds["seconds_masking_loop"] / seconds["seconds_masking"],
            "ratio_paths": seconds["seconds_paths_loop"] / paths_seconds,
            "ratio_paths_all_targets_a_pass": seconds["seconds_paths_loop_all_targets_a_pass"] / paths_seconds}


def known_truth(seeds: int = 5) -> None:
    """weight_history's shares where the effects are known, beside those of the trained weights."""
    for name in ("synthetic", "weight_history"):
        data = load_dataset(name)
        result = fitted(data, seeds)
        assert result.history is not None
        scores = {"weight_history": weight_history_scores(result.history, data.groups),
                  "weights": SCORERS.load("weights")().attribute(result.networks, evaluation(data, "test")),
                  "permutation": SCORERS.load("permutation")().attribute(result.networks, evaluation(data, "test"))}
        print(f"{data.provenance.location}:")
        for scorer, found in scores.items():
            shares = zip(found.features, found.shares.mean(0).tolist(), strict=True)
            print(f"  {scorer:15}" + "  ".join(f"{feature} {share:.2f}" for feature, share in shares))


def agreement(seeds: int = 5) -> pd.DataFrame:
    """Spearman of weight_history's scores with other scorers', mean over seeds, on the real data with a decoy column.

    `decoy rank`: where weight_history puts the column of noise, 1 the last place, 0 the first; mean over seeds.
    """
    rows = []
    for name in ("boston", "iris", "heart", "prudential"):
        data = load_dataset(name, real_only=True).with_decoy()
        result = fitted(data, seeds)
        assert result.history is not None
        seen = evaluation(data, "test").with_rows(500)
        if data.task == "multiclass":
            seen = replace(seen, explained=result.networks.outputs(seen.inputs).argmax(2))
        history = weight_history_scores(result.history, data.groups).scores
        row: dict[str, Any] = {"dataset": name, "features": len(data.groups)}
        row["decoy rank"] = float((history[:, :-1] > history[:, -1:]).float().mean())
        for scorer in COMPARED:
            scores = SCORERS.load(scorer)().attribute(result.networks, seen).scores
            row[scorer] = np.mean([stats.spearmanr(a, b).statistic for a, b in zip(history, scores, strict=True)])
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="networks to train; all figures of accuracy are over them")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--no-history", action="store_true", help="leave out the part on the weight history")
    options = parser.parse_args()
    use_shared_data()
    pd.set_option("display.width", 160, "display.max_columns", 20, "display.precision", 3)
    data = load_dataset("heart", preset="published", real_only=True)
    trained = fitted(data, options.seeds, options.epochs)
    outputs = trained.networks.outputs(data.test.inputs)[..., 0]
    accuracy = ((outputs > 0) == data.test.targets.bool()).float().mean(1)
    print(f"{options.seeds} network(s) 17-512-1024-1, {options.epochs} epochs in {trained.seconds:.0f} s; "
          f"test accuracy {', '.join(f'{value:.3f}' for value in accuracy.tolist())}")
    seconds, tests = significance(trained.networks, data)
    more, curves = masking(trained.networks, data, tests)
    figures = ratios({**seconds, **more, **paths(trained.networks, data)})
    print("\nseconds and ratios (extrapolated: significance loop from one network, masking loop from 100 masks, paths "
          "loops from 3,000 passes):")
    print(pd.Series(figures).to_string(float_format="{:.4g}".format))
    shown = summary(curves, "accuracy")
    last = shown[shown.fraction == shown.fraction.max()].drop(columns=["layer", "fill", "fraction"])
    units = curves[curves.fraction == curves.fraction.max()].groupby("selection").units.mean()
    print(f"\nsignificant units: {tests.significant.mean():.1%}, after Holm {(tests.p_holm < 0.05).mean():.1%} "
          "(training rows)\naccuracy with 0.9 masked (test rows, 95 % interval):")
    print(last.join(units, on="selection").to_string(index=False))
    print("\nmean accuracy over the curve, and against random:")
    print(areas(curves, "accuracy").drop(columns=["layer", "fill"]).to_string(index=False))
    for name in ("significant", "as many as significant", "non-significant", "random"):
        figures[f"accuracy_0.9_{name.replace(' ', '_')}"] = float(last.set_index("selection").loc[name, "mean"])
    if not options.no_history:
        print("\nweight_history where the truth is known (mean shares of 5 seeds):")
        known_truth()
        print("\nits Spearman with other scorers (mean of 5 seeds):")
        print(agreement().to_string(index=False))
    conclude("neurons", figures, GOALS)


if __name__ == "__main__":
    main()
