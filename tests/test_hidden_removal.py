"""Hidden units in the audit: retraining above a frozen head, what the next layer still knows, what cannot change."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attribution_suite import audit, load_dataset, train
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work.edit import feature_dependence
from attribution_suite.auditing.work.outcomes import recoverability
from attribution_suite.conclusions.summary import edits
from attribution_suite.datasets.arrays import from_arrays
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.forward import collect
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.originals import architecture_of
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Setting
from attribution_suite.removals.retrain import Retrain
from attribution_suite.results import Audit
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import traits_of
from attribution_suite.units.paths import quantile_path, row_path

SEEDS, BUDGET = 2, Training(6, 64, 5e-3)
pytestmark = [pytest.mark.usefixtures("plain"),
              pytest.mark.filterwarnings("ignore::attribution_suite.datasets.sources.StandInWarning")]


@pytest.fixture(scope="module")
def heart() -> TabularDataset:
    return load_dataset("heart").with_decoy()


@pytest.fixture(scope="module")
def originals(heart: TabularDataset) -> Perceptrons:
    return train(heart, seeds=SEEDS, training=BUDGET).networks


@pytest.mark.parametrize("layer", [1, 2])
def test_retraining_starts_where_the_originals_layers_did(heart: TabularDataset, originals: Perceptrons,
                                                           layer: int) -> None:
    untrained = Training(0, 32, 1e-3, keep="last")
    setting = Setting.of(heart, originals, layer, range(SEEDS), untrained, untrained)
    nodes = Nodes.of([(3,), (5,)]).repeat(SEEDS)
    start = Retrain().remove(originals.select([0, 0, 1, 1]).tail(layer), nodes, setting).networks
    whole = originals.fresh(range(SEEDS))
    for member, (seed, unit) in enumerate([(0, 3), (0, 5), (1, 3), (1, 5)]):
        expected = whole.weights[layer][seed].clone()
        expected[:, unit] = 0
        assert torch.equal(start.weights[0][member], expected)
        assert all(torch.equal(mine[member], theirs[seed]) for mine, theirs in
                   zip(start.weights[1:] + start.biases, whole.weights[layer + 1:] + whole.biases[layer:], strict=True))
    # negative control: without it, a tail of its own is drawn, which is not the original's
    other = Retrain().remove(originals.select([0, 0, 1, 1]).tail(layer), nodes, replace(setting, fresh=None)).networks
    assert not torch.equal(other.weights[0], start.weights[0])


def test_recoverability_is_a_cross_fitted_ridge_probe_of_the_next_layer(heart: TabularDataset,
                                                                      originals: Perceptrons) -> None:
    seen = Evaluation.of(heart, originals, rows=500, background=2000)
    nodes = Nodes.of([(0,), (4,)])
    edited = originals.with_tail(originals.tail(1).with_nodes_folded(nodes, torch.zeros(2, 1)))
    found = recoverability(originals, edited, 1, nodes, seen)
    values = collect(originals, seen.background)
    for member, unit in enumerate((0, 4)):
        wanted = values.entering[1][member][:, unit].numpy()
        if np.ptp(wanted) == 0:
            continue
        probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
        for name, networks in (("recoverability_before", originals), ("recoverability", edited)):
            leaving = collect(networks, seen.background).leaving[1][member].numpy()
            score = r2_score(wanted, cross_val_predict(probe, leaving, wanted, cv=5))
            assert found[name][member] == pytest.approx(score, abs=0.02)
        assert found["recoverability"][member] < found["recoverability_before"][member]
    assert np.isnan(recoverability(originals, edited, 0, nodes, seen)["recoverability"]).all()


@pytest.mark.parametrize("layer", [0, 1])
def test_proxies_are_those_of_the_training_rows(heart: TabularDataset, originals: Perceptrons, layer: int) -> None:
    """R² of every feature on all that went: of one feature, and of two together."""
    removable = Removable.of(heart) if layer == 0 else Removable.units(32)
    lost = [removable.named(name).columns for name in (
        ("Age", "Sex+Age", "ChestPainType") if layer == 0 else ("unit:3", "unit:5+unit:3", "unit:8"))]
    setting = Setting.of(heart, originals, layer, range(SEEDS), BUDGET, BUDGET)
    case = SimpleNamespace(setting=setting, nodes=Nodes.of(lost * SEEDS), seen=SimpleNamespace(groups=heart.groups))
    found = feature_dependence(case, layer).reshape(SEEDS, len(lost), -1)
    assert found.shape[2] == len(removable.groups)
    names = list(removable.groups.values())[:8]

    def expected(split: Split, member: int) -> np.ndarray:
        rows = (split.inputs if layer == 0 else originals.activations(split.inputs)[layer][member]).numpy()
        return np.array([[r2(rows[:, list(k)], rows[:, list(j)]) for k in names] for j in lost])

    for member in range(SEEDS):
        np.testing.assert_allclose(found[member, :, :8], expected(heart.train, member), atol=1e-4)
        assert np.abs(found[member, :, :8] - expected(heart.test, member)).max() > 0.02
    assert (found[:, 1] - found[:, 0] > -1e-6).all() and (found[:, 1] - found[:, 0]).max() > 0.02


def r2(wanted: np.ndarray, given: np.ndarray) -> float:
    """In-sample R² of a least-squares fit, the mean over columns that vary."""
    varies = np.ptp(wanted, 0) > 0
    if not varies.any():
        return 0.0
    predicted = LinearRegression().fit(given, wanted[:, varies]).predict(given)
    return float(r2_score(wanted[:, varies], predicted))


def test_a_unit_without_peers_that_know_it_is_not_recoverable(heart: TabularDataset) -> None:
    """Independent units: removing one leaves nothing of it; a copy of it keeps it all."""
    generator = torch.Generator().manual_seed(0)
    networks = Perceptrons.initialise(architecture_of(heart, heart.preset), [0])
    width, features = networks.architecture.widths[1], networks.architecture.features
    weight = torch.zeros(1, width, features)
    weight[0, 0, 0], weight[0, 1, 0], weight[0, 2, 1] = 1.0, 1.0, 1.0  # units 0 and 1 are twins, 2 is alone
    networks = networks.with_first_layer(weight, torch.full((1, width), 5.0))
    rows = torch.randn(400, features, generator=generator).clamp(-4, 4)
    seen = replace(Evaluation.of(heart, networks, 500, 2000), background=rows)
    for unit, expected in ((0, 1.0), (2, 0.0)):
        nodes = Nodes.of([(unit,)])
        after = networks.with_tail(networks.tail(1).with_nodes_folded(nodes, torch.zeros(1, 1)))
        assert recoverability(networks, after, 1, nodes, seen)["recoverability"][0] == pytest.approx(expected, abs=0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    words = {"jobs": 1, "seeds": SEEDS, "rows": 20, "layer": 1, "tuning": 0.02, "say": lambda line: None,
             "lime_rows": 3, "lime_samples": 50}
    return audit("iris", out=tmp_path_factory.mktemp("hidden"), remove="unit:3", scorers=list(SCORERS.names),
                 **words)


def test_every_removal_and_every_scorer_takes_a_hidden_unit(run: Audit) -> None:
    assert not run.failed
    outcomes, shifts = edits(run.table("outcomes")), run.table("shifts")
    assert set(outcomes.removal) == set(make_spec(["iris"]).removals)
    assert set(shifts.scorer) == set(SCORERS.names)
    labels = {name for name in SCORERS.names if traits_of(name).reads == "labels"}
    assert "unit_significance" in labels
    assert set(shifts[~shifts.applicable].scorer) == labels  # no edit above a unit changes what it does
    assert outcomes[["recoverability", "recoverability_before"]].notna().all(axis=None)
    exact = outcomes.removal.isin([name for name in REMOVALS.names if REMOVALS.load(name).traits.exact])
    assert (outcomes[exact].direct_effect == 0).all() and (outcomes.direct_effect_before > 0).any()
    assert (shifts.largest_gainer[shifts.applicable].str.startswith("unit:")).all()


def test_the_page_carries_the_layer_alone(run: Audit) -> None:
    page = (run.path / "report.html").read_text()
    assert "iris, layer 1" in page and 'id="iris"' not in page and "still known" in page


def test_significance_follows_the_training_rows_at_the_input(tmp_path: Path) -> None:
    words = {"removals": ["constant", "retrain"], "scorers": ["unit_significance", "saliency"], "seeds": 1, "rows": 12}
    found = audit("iris", out=tmp_path, remove="petal_width", jobs=1, say=lambda line: None, **words).table("shifts")
    rows = found[found.scorer == "unit_significance"].set_index("removal")
    assert not rows.loc["constant"].applicable  # weights were edited: it must not pretend to have seen it
    assert rows.loc["retrain"].applicable and rows.loc["retrain"].share_after == 0
    assert rows.loc["retrain"].share_before > 0


def test_a_module_without_layers_is_refused() -> None:
    class Doubled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(4, 1)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return 2 * self.inner(inputs)

    rows = torch.randn(70, 4, generator=torch.Generator().manual_seed(0))
    networks = as_ensemble(Doubled(), from_arrays(rows, rows[:, 0], task="regression"))
    for ask in (collect, quantile_path, lambda ensemble, inputs: row_path(ensemble, inputs[0])):
        with pytest.raises(InputError, match="Doubled"):
            ask(networks, rows)
