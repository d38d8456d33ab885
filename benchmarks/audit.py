"""The whole audit of Prudential: every input × every removal × 5 seeds × every scorer, on two cores.

    python benchmarks/audit.py [--budget quick|full]

Beside it the cost of the same work one network and one call at a time, extrapolated from parts measured in this run and
shown: a training step of the usual loop (for the optimiser steps that the audit really took), each Captum method, LIME
and permutation on one network, an XGBoost fit a network. Reading, writing and measures are not counted on that side.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from common import conclude, table, use_shared_data

# isort: split
from main_job import run_measured
from reference import captum_alone  # found by the path of `common`
from sklearn.inspection import permutation_importance
from threadpoolctl import threadpool_limits
from training import usual_steps

from attribution_suite.auditing.chunks import finished
from attribution_suite.auditing.plan import plan_originals
from attribution_suite.auditing.spec import Spec, make_spec
from attribution_suite.auditing.store import Store
from attribution_suite.auditing.work.train import evaluation_of, networks_of
from attribution_suite.conclusions.summary import edits
from attribution_suite.datasets.load import load_request
from attribution_suite.devices import choose
from attribution_suite.networks.originals import architecture_of
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers.alone import Alone, reference_numbers
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice
from attribution_suite.scorers.gradient_weight import GradientWeight
from attribution_suite.scorers.lime import Lime
from attribution_suite.scorers.lrp import LRP
from attribution_suite.scorers.memory import forget

CAPTUM = ("integrated_gradients", "smooth_integrated_gradients", "deep_lift", "gradient_shap", "input_x_gradient",
          "saliency", "feature_ablation")
SURROGATES = ("xgboost_gain_surrogate", "xgboost_shap_surrogate")
BASELINES = ("xgboost_gain", "xgboost_shap")
GOALS = {"minutes": 30.0, "gigabytes_peak": 4.0, "ratio_audit": 20.0}


def seconds_of(call: Callable[[], object]) -> float:
    """Median of three calls after one."""
    call()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return sorted(times)[1]


class OneNetwork:
    """A member in scikit-learn's clothes, for its permutation importance."""

    def __init__(self, networks: Perceptrons) -> None:
        self.net = networks.to_module(0)

    def fit(self) -> "OneNetwork":
        return self

    def score(self, inputs: object, targets: object) -> float:
        with torch.no_grad():
            outputs = self.net(torch.as_tensor(inputs))
            return -float(torch.nn.functional.cross_entropy(outputs, torch.as_tensor(targets)))


def fitted_anew(scorer: str, one: Perceptrons, seen: Evaluation) -> None:
    """A call that finds nothing that an earlier one has made."""
    forget()
    Choice(scorer, {}).attribute(one, seen)


def parts(networks: Perceptrons, evaluation: Evaluation, lime_rows: int, lime_samples: int) -> dict[str, float]:
    """Seconds of every scorer on one network, the usual way."""
    one, seen = networks.select([0]), evaluation.for_members(torch.tensor([0]))
    alone, rows = Alone.of(networks, evaluation, 0), list(range(evaluation.inputs.shape[-2]))
    found = {name: seconds_of(lambda name=name: captum_alone(name, one, seen, 0)) for name in CAPTUM}
    found["gradient_weight"] = seconds_of(lambda: reference_numbers(GradientWeight(), alone, rows))
    found["lrp"] = found["lrp_epsilon"] = seconds_of(lambda: reference_numbers(LRP(), alone, rows))
    found["lime"] = seconds_of(lambda: reference_numbers(
        Lime(lime_samples, published=True), alone, range(5))) * lime_rows / 5
    found["permutation"] = seconds_of(lambda: permutation_importance(
        OneNetwork(one), seen.inputs.numpy(), seen.targets.numpy(), n_repeats=5, random_state=0))
    for gain, shap in (SURROGATES, BASELINES):  # gain fits anew; SHAP finds that fit
        found[gain] = seconds_of(lambda gain=gain: fitted_anew(gain, one, seen))
        found[shap] = seconds_of(lambda shap=shap: Choice(shap, {}).attribute(one, seen))
    return found


def sequential(out: Path, spec: Spec) -> tuple[dict[str, float], int]:
    """Seconds of every part for the whole audit, and how many networks were scored."""
    dataset = load_request(spec.requests[0])
    originals = plan_originals(spec, dataset, None, choose("auto"))
    subject = originals.subject
    arrays = finished(originals, Store(out / "chunks")).arrays
    networks = networks_of(arrays, architecture_of(dataset, subject.preset))
    torch.set_num_threads(1)
    threadpool_limits(1)  # more threads are slower at these sizes
    each = parts(networks, evaluation_of(subject, dataset, networks), spec.profile.lime_rows, spec.profile.lime_samples)
    outcomes, curves = edits(pd.read_parquet(out / "outcomes.parquet")), pd.read_parquet(out / "training.parquet")
    scored = len(outcomes) + len(networks)
    # A baseline knows no network: it is fitted to the table once, and once for every column that a method replaced.
    replaced = outcomes[outcomes.removal.map(lambda name: REMOVALS.load(name)().replacement() is not None)]
    refitted = 1 + len(replaced.groupby(["removal", "removed"]))
    steps = len(curves) * -(-len(dataset.train_rows) // subject.preset.training.batch_size)
    total = {name: value * (refitted if name in BASELINES else scored) for name, value in each.items()}
    total["training"] = steps * usual_steps(dataset, subject.preset.hidden, 300)
    return total, scored


def profile_of(out: Path) -> dict[str, float]:
    """Worker seconds of the audit itself, by part."""
    spent: dict[str, float] = {}
    record = json.loads((out / "run.json").read_text())
    names = list(record["datasets"]["prudential"]["scorers"])
    for path in (out / "chunks").glob("*.safetensors"):
        stored = Store(path.parent).load(path.stem)
        if stored is not None and "scorer_seconds" in stored.arrays:
            spent["training"] = spent.get("training", 0.0) + float(stored.arrays["seconds"].sum())
            for name, value in zip(names, stored.arrays["scorer_seconds"], strict=True):
                spent[name] = spent.get(name, 0.0) + float(value)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", choices=["quick", "full"], default="quick", help="fine-tuning: a quarter, all")
    parser.add_argument("--out", type=Path, help="keep the run here")
    options = parser.parse_args()
    use_shared_data()
    tuning = {"quick": 0.25, "full": 1.0}[options.budget]
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder)
        seconds, peak = run_measured(["run", "prudential", "--real-only", "--remove", "all", "--seeds", "5", "--tuning",
                                      str(tuning), "--out", str(out)])
        slow, networks = sequential(out, make_spec(["prudential"], remove="all", seeds=5, tuning=tuning,
                                                   real_only=True))
        spent = profile_of(out)
    rows = [[name, spent.get(name, 0.0), slow.get(name, float("nan"))] for name in sorted(spent, key=spent.__getitem__)]
    other = 2 * seconds - sum(spent.values())
    rows = [["measures, tables, report, waiting", other, float("nan")], *rows]
    table([f"{networks} networks", "audit, seconds of two cores", "one at a time, seconds"], rows[::-1])
    total = sum(slow.values())
    rest = (total - slow["lime"]) / (seconds - spent["lime"] / 2)
    figures = {"minutes": seconds / 60, "gigabytes_peak": peak, "ratio_audit": total / seconds,
               "ratio_audit_but_lime": rest, "hours_one_at_a_time": total / 3600, "networks": float(networks)}
    conclude(f"audit {options.budget}", figures, GOALS)


if __name__ == "__main__":
    main()
