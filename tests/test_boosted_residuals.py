"""`residualise?variant=boosted`: against the curve that made the data, XGBoost itself, and the map written out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_suite import plain_figures
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn
from xgboost import XGBRegressor

from attribution_suite import audit, from_arrays, remove, train
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals.removal import Setting, inapplicable
from attribution_suite.removals.residualise import Residualise

BUDGET = Training(3, 32, 1e-2)
BOOSTED = "residualise?variant=boosted"


def made(seed: int, rows: int = 900) -> Tensor:
    """A number, what bends with it, what follows it as a line, noise, and a category of three in whose line it is."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, 4, generator=generator)
    x = noise[:, 0]
    category = (x + noise[:, 3] > 0.6).long() + (x + noise[:, 3] > -0.6).long()
    return torch.column_stack([x + 0.5, x.square() + 0.3 * noise[:, 1], 0.8 * x + 0.6 * noise[:, 2], noise[:, 3],
                               *(category == level for level in range(3))])


def setting(training: Tensor, validation: Tensor) -> Setting:
    return Setting(Split(training, training[:, 1]), Split(validation, validation[:, 1]), "regression", (0,), BUDGET,
                   BUDGET)


def entering(method: Residualise, group: tuple[int, ...], unseen: Tensor) -> np.ndarray:
    """What enters the network for rows that no fit has seen: the outputs of the identity behind the map."""
    count = unseen.shape[1]
    identity = Perceptrons(Architecture(count, (), count), (torch.eye(count)[None],), (torch.zeros(1, count),))
    edited = method.remove(identity, Nodes.of([group]), setting(made(0), made(1, 400))).networks
    return edited.outputs(unseen)[0].double().numpy()


def told(values: np.ndarray, x: np.ndarray) -> float:
    """R² on unseen rows of what bins of x predict of the values: the first half fits, the second is asked."""
    edges = np.quantile(x, np.linspace(0, 1, 21)[1:-1])
    place, half = np.digitize(x, edges), len(x) // 2
    means = np.array([values[:half][place[:half] == each].mean() for each in range(20)])
    return 1 - np.mean((values[half:] - means[place[half:]])**2) / values[half:].var()


def test_what_bends_with_a_number_goes_and_lines_leave_it() -> None:
    unseen = made(2, 2000)
    x, inputs = unseen[:, 0].numpy(), unseen.double().numpy()
    boosted, linear = entering(Residualise(variant="boosted"), (0,), unseen), entering(Residualise(), (0,), unseen)
    assert told(linear[:, 1], x) > 0.7  # a line takes nothing out of a parabola
    assert all(abs(told(boosted[:, k], x)) < 0.05 for k in range(1, 7))
    # Against the curve that made the column, E[x_1 | x_0] = (x_0 − ½)² in the data's own units.
    wanted = inputs[:, 1] - (x - 0.5)**2 + 1
    inside = np.abs(x - 0.5) < 2  # where there were rows to learn from
    assert np.sqrt(np.mean((boosted[:, 1] - wanted)[inside]**2)) < 0.15
    np.testing.assert_allclose(boosted[:, 0], float(made(0)[:, 0].mean()), atol=1e-5)
    assert np.abs(boosted[:, 3] - inputs[:, 3]).mean() < 0.1  # what has nothing of it stays as it is


@pytest.mark.parametrize("group", [(4, 5, 6), (6,)], ids=["a category", "a flag"])
def test_of_a_category_it_is_the_linear_regression(group: tuple[int, ...]) -> None:
    unseen = made(3, 300)
    pair = [entering(Residualise(variant=variant), group, unseen) for variant in ("linear", "boosted")]
    np.testing.assert_allclose(pair[1], pair[0], atol=2e-5)
    assert np.abs(pair[0] - unseen.numpy()).max() > 0.5


def test_the_curve_is_that_of_boosted_stumps() -> None:
    """Columns of few values: at each the residual is the linear one less what XGBoost's own model predicts of it."""
    training, validation = made(0), made(1, 400)
    for part in (training, validation):
        part[:, 0] = (2 * part[:, 0]).round().clamp(-4, 4)
    identity = Perceptrons(Architecture(7, (), 7), (torch.eye(7)[None],), (torch.zeros(1, 7),))
    edited = Residualise(variant="boosted").remove(identity, Nodes.of([(0, 6)]), setting(training, validation)).networks
    x, wanted = training[:, [0, 6]].double().numpy(), training[:, 1].double().numpy()
    line = LinearRegression().fit(x, wanted)
    scale = wanted.std()
    left = (wanted - line.predict(x)) / scale
    unseen = validation[:, [0, 6]].double().numpy()
    left_unseen = (validation[:, 1].double().numpy() - line.predict(unseen)) / scale
    models = [XGBRegressor(n_estimators=rounds, max_depth=1, learning_rate=0.2, min_child_weight=20, base_score=0.0,
                           tree_method="hist", n_jobs=1).fit(x, left) for rounds in range(10, 101, 10)]
    errors = [np.mean((left_unseen - model.predict(unseen))**2) for model in models]
    assert min(errors) < 0.5 * np.mean(left_unseen**2)  # the line alone is not the best, so that rounds are chosen
    residual = left - models[int(np.argmin(errors))].predict(x)
    np.testing.assert_allclose(edited.outputs(training)[0, :, 1].double().numpy(),
                               scale * (residual - residual.mean()) + wanted.mean(), atol=1e-4)


class Doubled(nn.Module):
    """A network of the user's own that is no chain."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = nn.Linear(7, 5), nn.Linear(5, 1)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.below(rows).tanh()
        outputs: Tensor = self.above(hidden * hidden + hidden)
        return outputs


def networks(kind: str) -> Ensemble:
    if kind == "stacked weights":
        return Perceptrons.initialise(Architecture(7, (6,), 1), (0,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Modules.wrap([Doubled()], made(0))


@pytest.mark.parametrize("kind", ["stacked weights", "modules"])
def test_the_network_is_what_it_was_behind_the_map_and_tuning_holds_the_map(kind: str) -> None:
    before, groups, case = networks(kind).select([0, 0]), Nodes.of([(0,), (4, 5, 6)]), setting(made(0), made(1, 400))
    kept, unseen = [tensor.clone() for tensor in before.tensors], made(2, 200)
    edited, again, tuned = (Residualise(variant="boosted", then=then).remove(before, groups, case).networks
                            for then in (None, None, "tune"))
    assert all(torch.equal(tensor, now) for tensor, now in zip(kept, before.tensors, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(edited.tensors, again.tensors, strict=True))
    for member, group in enumerate(((0,), (4, 5, 6))):
        mapped = torch.from_numpy(entering(Residualise(variant="boosted"), group, unseen)).float()
        torch.testing.assert_close(edited.outputs(unseen)[member], before.select([member]).outputs(mapped)[0],
                                   atol=1e-4, rtol=1e-4)
    # x_j moves the output, by what it takes out of the others.
    moved = unseen.clone()
    moved[:, 0] += 1.0
    assert float((edited.outputs(moved)[0] - edited.outputs(unseen)[0]).abs().max()) > 1e-3
    assert isinstance(edited, Modules)
    assert isinstance(tuned, Modules)
    for name in ("kept", "constant", "read", "knots", "bends"):
        assert torch.equal(edited.state[name], tuned.state[name])
    weights = {name for name in edited.state if not torch.equal(edited.state[name], tuned.state[name])}
    assert weights == {name for name in edited.state if name.endswith((".weight", ".bias"))} & set(edited.trainable)
    assert len(weights) == 4


def frame() -> TabularDataset:
    inputs = made(4, 400)[:, :4]
    table = from_arrays(inputs.numpy(), (inputs[:, 0] + inputs[:, 1] + inputs[:, 2]).numpy(), name="bending",
                        feature_names=["number", "bent", "line", "free"])
    return replace(table, preset=Preset("default", (8,), Training(12, 32, 0.02), tuning_epochs=2))


def test_an_audit_says_that_it_reads_the_column_and_what_cannot_be_asked_of_it(tmp_path: Path) -> None:
    table = frame()
    with plain_figures():
        run = audit(table, remove="number", removals=["residualise", BOOSTED], out=tmp_path / "run", seeds=2, rows=20,
                    scorers=["integrated_gradients", "lrp", "feature_ablation"], jobs=1)
    assert not run.failed
    verdicts = run.verdicts[run.verdicts.removed == "number"].set_index("removal")
    assert set(verdicts.direct[["residualise", BOOSTED]]) == {"present by design"}
    outcomes = run.table("outcomes").query("removal == @BOOSTED")
    assert set(outcomes.reads) == {"at inference"}
    assert set(outcomes.worst_case_method) == {"search"}
    assert (outcomes.worst_case > outcomes.delta).all()
    scored = run.table("attributions").query("removal == @BOOSTED")
    assert set(scored[scored.share.notna()].scorer) == {"integrated_gradients", "feature_ablation"}
    assert scored[scored.feature == "number"].share.dropna().gt(0).all()
    with pytest.raises(InputError, match="fixed step in front of a network"):
        run.export(BOOSTED, "number", to=tmp_path / "x.onnx")
    assert not run.verify(replay=9, tables={"bending": table}).differs


def test_where_it_cannot_be_done_it_is_refused() -> None:
    with pytest.raises(InputError, match="variant"):
        Residualise(variant="forest")  # type: ignore[arg-type]
    table = frame()
    with pytest.raises(InputError, match="hidden units"):
        remove(train(table, seeds=1), table, "unit:0", BOOSTED, layer=1)
    forest = RandomForestRegressor(3).fit(table.train.inputs.numpy(), table.train.targets.numpy())
    assert "only predicts" in inapplicable([BOOSTED, "fold"], as_ensemble(forest, table))[BOOSTED]
