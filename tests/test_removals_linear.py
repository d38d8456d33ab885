"""The linear removals against packages, formulas written out in float64, closed forms, and probes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from concept_erasure import LeaceFitter, OracleFitter
from fairlearn.preprocessing import CorrelationRemover
from plain_suite import plain_figures
from removal_cases import GROUPS, LOSSES, NAMES, RemovalCase, by_case, make_split, removal_case, remove
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from attribution_suite import audit, from_arrays
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.forward import collect
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals.concept_scrubbing import ConceptScrubbing
from attribution_suite.removals.fold_tuning import GRID, Fold, by_inverse
from attribution_suite.removals.folding import covariance, regress
from attribution_suite.removals.leace import Leace
from attribution_suite.removals.removal import Removal, Setting
from attribution_suite.removals.residualise import Residualise
from attribution_suite.removals.splince import Splince, refusals


def proxies() -> Split:
    """A number, a one-hot group of three, a proxy of the number, another number, and a proxy of all of these."""
    data = make_split("regression", 320, 0)
    noise = torch.randn(320, generator=torch.Generator().manual_seed(9))
    last = data.inputs[:, 1] + 0.8 * data.inputs[:, 0] + 0.8 * data.inputs[:, 4] + 0.3 * noise
    return Split(torch.column_stack([data.inputs, last]), data.targets)


DATA = proxies()
BUDGET = Training(0, 32, 1e-3)
MARGINAL = (Residualise(), Leace(), Splince())
by_group = pytest.mark.parametrize("group", GROUPS, ids=str)


def entering(method: Removal, group: tuple[int, ...], data: Split = DATA, task: str = "regression") -> np.ndarray:
    """What enters the first layer after the removal, `[rows, features]`: the outputs of the identity as a network."""
    count = data.inputs.shape[1]
    identity = Perceptrons(Architecture(count, (), count), (torch.eye(count)[None],), (torch.zeros(1, count),))
    setting = Setting(data, data, task, (0,), BUDGET, BUDGET)
    return method.remove(identity, Nodes.of([group]), setting).networks.outputs(data.inputs)[0].double().numpy()


def parts(group: tuple[int, ...], data: Split = DATA) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The columns that stay and those that go, float64, and which stay."""
    rest = [column for column in range(data.inputs.shape[1]) if column not in group]
    inputs = data.inputs.double().numpy()
    return inputs[:, rest], inputs[:, list(group)], rest


def recovered(rows: np.ndarray, wanted: np.ndarray) -> float:
    """The largest R² of a linear probe over the columns of `wanted` that vary."""
    return max(LinearRegression().fit(rows, column).score(rows, column) for column in wanted.T if np.ptp(column) > 0)


# Against other packages and the formulas.

@by_group
def test_leace_is_that_of_concept_erasure(group: tuple[int, ...]) -> None:
    others, gone, rest = parts(group)
    x, z = torch.from_numpy(others), torch.from_numpy(gone)
    exact = {"shrinkage": False, "constrain_cov_trace": False, "svd_tol": 1e-8}  # the method alone
    expected = LeaceFitter.fit(x, z, **exact).eraser(x).numpy()
    edited = entering(Leace(), group)
    np.testing.assert_allclose(edited[:, rest], expected, atol=5e-5)
    assert np.abs(expected - others).max() > 0.5
    # The fold of x_j onto what is left of the others is its mean: they know nothing linear of it.
    np.testing.assert_allclose(edited[:, list(group)], np.broadcast_to(gone.mean(0), gone.shape), atol=1e-5)


@by_group
def test_residuals_are_those_of_fairlearn_and_of_the_oracle_of_concept_erasure(group: tuple[int, ...]) -> None:
    others, gone, rest = parts(group)
    edited = entering(Residualise(), group)
    remover = CorrelationRemover(sensitive_feature_ids=list(group))
    np.testing.assert_allclose(edited[:, rest], remover.fit_transform(DATA.inputs.double().numpy()), atol=1e-5)
    x, z = torch.from_numpy(others), torch.from_numpy(gone)
    oracle = OracleFitter.fit(x, z, svd_tol=1e-8).eraser(x, z).numpy()
    np.testing.assert_allclose(edited[:, rest], oracle, atol=1e-5)
    np.testing.assert_allclose(edited[:, list(group)], np.broadcast_to(gone.mean(0), gone.shape), atol=1e-5)
    assert np.abs(edited[:, rest] - others).max() > 0.2


def test_of_a_category_residuals_are_those_of_every_regression() -> None:
    """The columns less their means in each category, which no tree can better."""
    category = DATA.inputs[:, 1:4].argmax(1).numpy()
    others, _, rest = parts((1, 2, 3))
    means = np.stack([others[category == level].mean(0) for level in range(3)])
    edited = entering(Residualise(), (1, 2, 3))[:, rest]
    np.testing.assert_allclose(edited, others - means[category] + others.mean(0), atol=1e-5)
    assert np.abs(means - others.mean(0)).max() > 0.2


def basis(matrix: np.ndarray) -> np.ndarray:
    left, values, _ = np.linalg.svd(matrix, full_matrices=False)
    return left[:, values > 1e-8 * values.max()]


@by_group
def test_splince_is_its_formula(group: tuple[int, ...]) -> None:
    others, gone, rest = parts(group)
    target = DATA.targets.double().numpy()[:, None]
    x, z, y = (values - values.mean(0) for values in (others, gone, target))
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    kept = values > 1e-8 * values.max()  # of the one-hot columns one is superfluous
    whiten = (vectors[:, kept] * values[kept]**-0.5) @ vectors[:, kept].T
    unwhiten = (vectors[:, kept] * values[kept]**0.5) @ vectors[:, kept].T
    with_z, with_y = basis(whiten @ x.T @ z), basis(whiten @ x.T @ y)
    keeping = np.eye(len(rest)) - with_y @ with_y.T
    v = basis(keeping @ np.column_stack([with_z, with_y]))[:, :with_z.shape[1]]
    projection = np.eye(len(rest)) - unwhiten @ with_z @ np.linalg.inv(v.T @ with_z) @ v.T @ whiten
    edited = entering(Splince(), group)
    np.testing.assert_allclose(edited[:, rest], others.mean(0) + x @ projection.T, atol=1e-4)
    regression = np.linalg.lstsq(x, z, rcond=1e-8)[0]  # x_j folded out first: its fit goes through P too
    np.testing.assert_allclose(edited[:, list(group)], gone.mean(0) + x @ projection.T @ regression, atol=1e-4)
    # What it is for: the covariance with the target stays; LEACE, which changes x less, loses some of it.
    leace = entering(Leace(), group)[:, rest]
    before, after, by_leace = (rows.T @ y / len(y) for rows in (x, edited[:, rest] - others.mean(0), leace))
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert np.abs(by_leace - before).max() > 0.1
    assert np.square(edited[:, rest] - others).mean() > 1.1 * np.square(leace - others).mean()


@pytest.mark.parametrize("damping", [0, 0.3])
@by_group
def test_a_fold_is_least_squares_of_its_damping(group: tuple[int, ...], damping: float) -> None:
    others, gone, rest = parts(group)
    x, z = others - others.mean(0), gone - gone.mean(0)
    added = damping * DATA.inputs.double().var(0, correction=0).mean().item() * len(x)
    rows = np.vstack([x, added**0.5 * np.eye(len(rest))])
    fitted = x @ np.linalg.lstsq(rows, np.vstack([z, np.zeros((len(rest), z.shape[1]))]), rcond=None)[0]
    edited = entering(Fold(damping), group)
    np.testing.assert_allclose(edited[:, list(group)], gone.mean(0) + fitted, atol=1e-5)
    np.testing.assert_allclose(edited[:, rest], others, atol=1e-5)
    plain = np.linalg.lstsq(x, z, rcond=None)[0]
    assert (np.abs(fitted - x @ plain).max() > 0.05) == (damping > 0)


def test_one_inverse_of_the_gram_matrix_folds_every_node() -> None:
    """Optimal Brain Surgeon's update, by the Gram matrix of [h, 1] itself, to 1e-10; groups, and several, by blocks."""
    _, matrix = covariance(DATA.inputs)
    numbers, groups = [(0,), (4,), (5,)], [*GROUPS, (0,)]
    rows = DATA.inputs[:, [0, 1, 2, 4, 5]].double()  # of the category two columns: without damping Σ has an inverse
    gram = torch.cat([rows, torch.ones(len(rows), 1)], 1)
    inverse = torch.linalg.inv(gram.T @ gram)
    undamped = covariance(rows, 0.0)[1].expand(5, -1, -1)
    found = by_inverse(undamped, Nodes.of([(node,) for node in range(5)]))
    for node in range(5):
        expected = -inverse[node, :5] / inverse[node, node]
        expected[node] = 0
        torch.testing.assert_close(found[node, :, 0], expected, rtol=1e-10, atol=1e-10)
    for several in (numbers, groups):
        found = by_inverse(matrix.expand(len(several), -1, -1), Nodes.of(several))
        for member, group in enumerate(several):
            peers = torch.tensor([column for column in range(7) if column not in group])
            expected = regress(matrix, torch.tensor(group), peers)
            torch.testing.assert_close(found[member, :, :len(group)], expected, rtol=1e-7, atol=1e-8)
            assert not found[member, :, len(group):].any()


@by_case
def test_validation_chooses_the_damping_of_each_network(case: str) -> None:
    given = removal_case(case)
    losses = torch.stack([validation_losses(given, remove(Fold(damping), given)) for damping in GRID])
    chosen = validation_losses(given, remove(Fold("validation"), given))
    torch.testing.assert_close(chosen, losses.min(0).values, rtol=1e-4, atol=1e-5)
    if case == NAMES[0]:
        assert len(set(losses.argmin(0).tolist())) > 1 and (losses[0] > 1.001 * losses.min(0).values).any()


def validation_losses(case: RemovalCase, networks: Perceptrons) -> torch.Tensor:
    """`[members]`, by PyTorch's own loss on the validation rows."""
    split, found = case.setting.validation, []
    for member in range(len(networks)):
        inputs = split.inputs if split.inputs.dim() == 2 else split.inputs[member // case.variants]
        outputs = networks.to_module(member)(inputs).detach()
        found.append(LOSSES[case.setting.task](outputs if outputs.shape[1] > 1 else outputs[:, 0], split.targets))
    return torch.stack(found)


# Known truth: y = 2x₁ + x₃ + noise and a network (2, ½, 1), corr(x₁, x₂) = r, every sample moment exact.

def known_truth(r: float) -> tuple[Perceptrons, Setting]:
    draws = np.random.default_rng(0).standard_normal((500, 4))
    first, other, third, noise = (np.linalg.qr(draws - draws.mean(0))[0] * 500**0.5).T
    inputs = np.column_stack([first, r * first + (1 - r**2)**0.5 * other, third])
    split = Split(torch.from_numpy(inputs).float(), torch.from_numpy(2 * first + third + 0.2 * noise).float())
    network = Perceptrons(Architecture(3, (), 1), (torch.tensor([[[2.0, 0.5, 1.0]]]),), (torch.zeros(1, 1),))
    return network, Setting(split, split, "regression", (0,), BUDGET, BUDGET)


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_on_gaussian_data_every_coefficient_is_known(r: float) -> None:
    network, setting = known_truth(r)
    split = setting.train
    first = split.inputs[:, 0].double().numpy()
    expected = {
        Fold(0): (0, 2 * r + 0.5, 1),  # direct: the proxy carries on with 2r
        Residualise(): (-0.5 * r, 0.5, 1),  # marginal: x₁ is read, to be taken out of x₂
        Leace(): (0, 0 if r else 0.5, 1),  # x₂ tells of x₁ in its only direction, so all of it goes
        Splince(): (0, 0 if r else 0.5, (2 * r + 0.5) * 2 * r + 1)}  # x₂ becomes what it shares of y with x₃, 2r x₃
    for method, coefficients in expected.items():
        edited = method.remove(network, Nodes.of([(0,)]), setting).networks
        np.testing.assert_allclose(edited.weights[0][0, 0], coefficients, atol=1e-5, err_msg=str(method))
        output = edited.outputs(split.inputs)[0, :, 0].double().numpy()
        covariance_left = abs(np.mean(output * first))
        assert covariance_left < 1e-5 if method.traits.aims == "marginal" else r == 0 or covariance_left > 0.5
    edited = Leace().remove(network, Nodes.of([(0,)]), setting).networks
    assert edited.weights[0][0, 0, 0] == 0 and Residualise.traits.reads == "at inference"


LONG = Training(60, 100, 0.05, "sgd", keep="last", patience=None)
TUNED = (Residualise(then="tune"), Leace(then="tune"), Splince(then="tune"))


@pytest.mark.parametrize("method", TUNED, ids=str)
def test_tuned_behind_a_map_the_weights_are_the_best_that_the_map_leaves(method: Removal) -> None:
    """Of weights that tell nothing of x₁ the best are (0, 0, 1), whichever map they come from."""
    network, setting = known_truth(0.9)
    edited = method.remove(network, Nodes.of([(0,)]), replace(setting, tuning=LONG)).networks
    np.testing.assert_allclose(edited.weights[0][0, 0], (0, 0, 1), atol=0.05, err_msg=str(method))
    unheld = setting.tune(Leace().remove(network, Nodes.of([(0,)]), setting).networks, LONG)
    np.testing.assert_allclose(unheld.networks.weights[0][0, 0], (2, 0, 1), atol=0.1)  # its negative control


@pytest.mark.parametrize("case", ["regression, layer 0", "multiclass, layer 1"])
@pytest.mark.parametrize("method", TUNED, ids=str)
def test_no_linear_probe_finds_what_went_after_tuning_either(case: str, method: Removal) -> None:
    given = removal_case(case).briefly().for_method(method)
    closed, tuned = remove(replace(method, then=None), given), remove(method, given)
    free = given.setting.tune(closed, given.setting.tuning).networks
    for member, group in enumerate(given.groups):
        inputs = given.inputs(member)
        gone = inputs[:, list(group)].double().numpy()
        held, loose = (strongest(inputs @ networks.weights[0][member].T, gone) for networks in (tuned, free))
        assert held < 1e-4 < 0.02 < loose
        if method.traits.reads == "in training":
            assert not tuned.weights[0][member][:, list(group)].any()
    ratio = validation_losses(given, tuned) / validation_losses(given, closed)
    assert ratio.max() < (1 if method.name == "splince" else 1.05)  # the best epoch, which the start is not


# What a probe still finds.

@pytest.mark.parametrize("method", MARGINAL, ids=str)
@by_group
def test_no_linear_probe_finds_what_went(group: tuple[int, ...], method: Removal) -> None:
    others, gone, _ = parts(group)
    edited = entering(method, group)
    assert recovered(edited, gone) < 1e-9
    # Before, one did, in what stays, as it does after the fold.
    folded = entering(Fold(), group)
    assert recovered(others, gone) > 0.25
    assert recovered(folded, gone) == pytest.approx(recovered(others, gone), abs=1e-4)


@pytest.mark.parametrize("method", MARGINAL, ids=str)
def test_a_boosted_probe_may_still_find_it(method: Removal) -> None:
    """A limit of all three, kept in sight: x₁³ and the sign of x₁ tell of x₁ beyond the line that is taken out."""
    draws = torch.randn(600, 4, generator=torch.Generator().manual_seed(3))
    first = draws[:, 0]
    data = Split(torch.column_stack([first, first**3, first.sign() + 0.1 * draws[:, 1], draws[:, 2]]),
                 draws[:, 2] + draws[:, 3])
    edited, wanted = entering(method, (0,), data)[:, 1:], first.double().numpy()
    assert recovered(edited, wanted[:, None]) < 1e-9
    probe = HistGradientBoostingRegressor(max_iter=60).fit(edited[:400], wanted[:400])
    assert probe.score(edited[400:], wanted[400:]) > 0.1


def test_a_feature_on_a_small_scale_is_erased_too() -> None:
    """concept-erasure's tolerance is absolute, and skips a z whose numbers are small without a word."""
    small = Split(DATA.inputs * torch.tensor([1e-3, 1, 1, 1, 1, 1, 1]), DATA.targets)
    others, gone, rest = parts((0,), small)
    x, z = torch.from_numpy(others), torch.from_numpy(gone)
    skipped = LeaceFitter.fit(x, z, shrinkage=False).eraser(x).numpy()
    assert recovered(skipped, gone) > 0.25
    for method in (Leace(), Residualise(), Splince()):
        assert recovered(entering(method, (0,), small)[:, rest], gone) < 1e-9


# Hidden layers.

@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_scrubbing_guards_every_layer_and_the_output(task: str) -> None:
    """What leaves a layer is linear in what the map in front of it lets through."""
    case = removal_case(f"{task}, layer 0")
    inputs = case.setting.train.inputs
    leaving = {name: collect(remove(method, case), inputs).leaving for name, method in (
        ("all", ConceptScrubbing()), ("last", ConceptScrubbing("last")), ("input", Leace()), ("fold", Fold()))}
    for member, group in enumerate(case.groups):
        gone = inputs[:, list(group)].double().numpy()
        left = {name: [strongest(layer[member], gone) for layer in layers] for name, layers in leaving.items()}
        assert len(left["all"]) == 3 and max(left["all"]) < 1e-4
        # Guarded at the input alone, and read again behind the ReLU.
        assert left["input"][0] < 1e-4 and min(left["input"][1:]) > 0.003
        assert left["last"][2] < 1e-4 and min(left["last"][:2]) > 0.003 and min(left["fold"]) > 0.003


def strongest(values: torch.Tensor, gone: np.ndarray) -> float:
    """The largest correlation of a unit that is alive with a column that went."""
    rows = values.double().numpy()
    return float(np.abs(np.corrcoef(rows[:, rows.std(0) > 1e-6].T, gone.T)[:-gone.shape[1], -gone.shape[1]:]).max())


# Where a method does not apply.

def test_splince_refuses_what_it_cannot_keep_apart(tmp_path: Path) -> None:
    """A copy of the target in the other columns tells of a leaked target and of the target alike."""
    generator = np.random.default_rng(2)
    leaked, b, c = generator.standard_normal((3, 200))
    data = Split(torch.from_numpy(np.column_stack([leaked, leaked + 0.3 * b, b, c])).float(),
                 torch.from_numpy(leaked).float())
    first, second = refusals(data, "regression", [(0,), (2,)])
    assert first is not None and "one direction" in first and second is None
    with pytest.raises(InputError, match=r"splince does not apply to columns \[0\]: .* one cannot go and the other"):
        entering(Splince(), (0,), data)
    table = from_arrays(data.inputs.numpy(), data.targets.numpy(), name="leak", feature_names=["a", "b", "c", "d"])
    small = replace(table, preset=Preset("default", (6,), Training(8, 32, 0.02), tuning_epochs=2))
    said: list[str] = []
    with plain_figures():
        run = audit(small, remove=["a", "c"], removals=["residualise", "leace", "splince"], scorers=["saliency"],
                    seeds=1, rows=12, jobs=1, out=tmp_path, say=said.append)
    assert not run.failed and any("not applicable: splince to a: what the other columns tell" in line for line in said)
    assert [[name, feature] for name, feature, _ in json.loads((tmp_path / "run.json").read_text())["datasets"]["leak"][
        "refused"]] == [["splince", "a"]]
    page = (tmp_path / "report.html").read_text()
    assert "Not applicable: <code>splince</code> to a: what the other columns tell" in page
    verdicts = run.verdicts.set_index(["removed", "removal"]).direct
    assert verdicts["a", "splince"] == "not measured"
    assert set(verdicts.loc[[("a", "leace"), ("c", "leace"), ("c", "splince")]]) == {"proved none"}
    assert set(verdicts.loc[[("a", "residualise"), ("c", "residualise")]]) == {"present by design"}


def test_hidden_units_that_splince_refuses_are_named_and_left_out(tmp_path: Path) -> None:
    """Of two units each has one peer, whose one direction tells of the unit and of the target alike."""
    table = from_arrays(DATA.inputs[:, :3].numpy(), DATA.targets.numpy(), name="narrow")
    said: list[str] = []
    with plain_figures():
        run = audit(replace(table, preset=Preset("default", (2,), Training(12, 32, 0.02), tuning_epochs=2)),
                    layer=1, remove="top:2", removals=["leace", "splince"], scorers=["saliency"], seeds=2, rows=12,
                    jobs=1, out=tmp_path, say=said.append)
    units = run.table("outcomes").query("removal == 'leace'").pivot(index="seed", columns="rank", values="removed")
    both = [" / ".join(dict.fromkeys(units[rank])) for rank in (1, 2)]
    assert not run.failed and [[name, unit] for name, unit, _ in json.loads((tmp_path / "run.json").read_text())[
        "datasets"]["narrow"]["refused"]] == [["splince", unit] for unit in both]
    assert all(any(line.startswith(f"narrow: not applicable: splince to {unit}: in network 0 what") for line in said)
               for unit in both)
    assert not (run.table("outcomes").removal == "splince").any()
    # A unit is exported by its own name; what is concluded is of the unit of its rank in each network.
    card = json.loads(Path(f"{run.export('leace', units[2][1], seed=1)}.json").read_text())
    assert (card["removed"], card["network"]["rank"], card["layer"]) == (units[2][1], 2, 1)
    assert card["verdict"]["removed"] == "unit of rank 2" and card["verdict"]["direct"] == "proved none"
