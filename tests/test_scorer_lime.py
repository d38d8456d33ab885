"""LIME against the `lime` package itself, network by network and row by row."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from lime.lime_tabular import LimeTabularExplainer

from attribution_suite.auditing.spec import PROFILES
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice
from attribution_suite.scorers.lime import Lime
from attribution_suite.scorers.references.lime_package import PointsAtTheirValue

SAMPLES, ROWS, SEED = 300, 5, 11
SCORER = Lime(samples=SAMPLES, neighbourhoods=2)
# The package's table: two normal columns, one that is mostly one value, a flag, a constant, a category of three.
NAMES = ("normal", "skewed", "mostly", "flag", "constant", "category")
GROUPS = {"normal": (0,), "skewed": (1,), "mostly": (2,), "flag": (6,), "constant": (7,), "category": (3, 4, 5)}


def table(rows: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    flag = generator.random(rows) < 0.9
    columns = [generator.normal(3, 2, rows), generator.exponential(1, rows),
               np.where(generator.random(rows) < 0.6, -0.7, generator.normal(1, 1, rows)),
               np.where(flag, 0.5, -1.9), np.full(rows, 2.0), generator.integers(0, 3, rows)]
    return np.stack(columns, 1)


def expand(original: np.ndarray) -> torch.Tensor:
    """From the package's table to network columns: category c becomes column 5 − c of its one-hot group."""
    one_hot = original[:, 5:6] == np.array([2, 1, 0])
    return torch.from_numpy(np.hstack([original[:, :3], one_hot, original[:, 3:5]]))


def doubled(networks: Perceptrons) -> Perceptrons:
    """In float64 and with larger weights, so that nothing is left to rounding."""
    return Perceptrons(networks.architecture, tuple(2 * w.double() for w in networks.weights),
                    tuple(b.double() for b in networks.biases))


def case(task: str) -> tuple[Perceptrons, Evaluation, np.ndarray, np.ndarray]:
    background, rows = table(150, 0), table(ROWS, 1)
    networks = doubled(Perceptrons.initialise(Architecture(8, (9, 6), 3 if task == "multiclass" else 1), range(3)))
    inputs = expand(rows)
    # every class is explained, another one in each row and member
    explained = (torch.arange(3)[:, None] + torch.arange(ROWS)) % 3 if task == "multiclass" else None
    evaluation = Evaluation(inputs, torch.zeros(ROWS), expand(background), torch.zeros(150),
                            torch.zeros(8, dtype=torch.float64), GROUPS,
                            task, explained, seed=SEED)
    return networks, evaluation, background, rows


def package(networks: Perceptrons, evaluation: Evaluation, member: int, row: int, background: np.ndarray,
            values: np.ndarray, to_columns=expand, *, categorical=(3, 4, 5), corrected: bool = True) -> np.ndarray:
    """The package's coefficients for one network and one row, in the order of its table's columns."""
    net = networks.to_module(member).double()
    output = 0 if evaluation.explained is None else int(evaluation.explained[member, row])
    state = np.random.RandomState([SEED, row % SCORER.neighbourhoods])
    names = [str(i) for i in range(background.shape[1])]
    discretizer = PointsAtTheirValue(background, list(categorical), names, random_state=state)
    explainer = LimeTabularExplainer(
        background, mode="regression", feature_selection="none", categorical_features=list(categorical),
        discretizer=discretizer if corrected else "quartile", random_state=state)

    def predict(drawn: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(to_columns(drawn))[:, output].numpy()

    found = dict(explainer.explain_instance(values, predict, num_samples=SAMPLES).local_exp[1])
    return np.array([found[column] for column in range(len(values))])


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_equals_the_package(task: str) -> None:
    networks, evaluation, background, rows = case(task)
    values = SCORER.attribute(networks, evaluation).values.numpy()
    for member in range(len(networks)):
        for row in range(ROWS):
            expected = package(networks, evaluation, member, row, background, rows[row])
            np.testing.assert_allclose(values[member, row], expected, rtol=1e-6, atol=1e-12)
            assert np.abs(expected[[0, 1, 2, 3, 5]]).min() > 1e-4  # each of them is really tested


def test_published_is_the_package_left_to_itself() -> None:
    networks, evaluation, background, rows = case("regression")
    published = replace(SCORER, published=True).attribute(networks, evaluation).values.numpy()
    corrected = SCORER.attribute(networks, evaluation).values.numpy()
    for row in range(ROWS):
        expected = package(networks, evaluation, 0, row, background, rows[row], categorical=(5,), corrected=False)
        np.testing.assert_allclose(published[0, row], expected, rtol=1e-6, atol=1e-12)
    # the two errors that the default corrects: the flag is one bin, the repeated value is moved
    assert (published[:, :, 3] == 0).all() and (np.abs(corrected[:, :, 3]) > 1e-3).all()
    assert not np.allclose(published, corrected, rtol=0.1)


def test_hidden_layers_have_a_neighbourhood_for_each_member() -> None:
    networks, evaluation, _, _ = case("multiclass")
    tail, seen = networks.tail(1), evaluation.at_layer(networks, 1)
    values = SCORER.attribute(tail, seen).values.numpy()
    for member in range(len(networks)):
        background = seen.background[member].numpy()
        few = [k for k in range(9) if len(np.unique(background[:, k])) <= 2]
        for row in range(2):
            expected = package(tail, seen, member, row, background, seen.inputs[member, row].numpy(), torch.from_numpy,
                               categorical=few)
            np.testing.assert_allclose(values[member, row], expected, rtol=1e-6, atol=1e-12)


def test_single_precision_networks_agree_too() -> None:
    networks, evaluation, _, _ = case("binary")
    single = Perceptrons(networks.architecture, tuple(w.float() for w in networks.weights),
                      tuple(b.float() for b in networks.biases))
    rounded = replace(evaluation, inputs=evaluation.inputs.float(), background=evaluation.background.float())
    exact = replace(rounded, inputs=rounded.inputs.double(), background=rounded.background.double())
    expected = SCORER.attribute(networks, exact).values
    found = SCORER.attribute(single, rounded).values
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_row_does_not_depend_on_the_rows_after_it() -> None:
    networks, evaluation, _, _ = case("multiclass")
    every = SCORER.attribute(networks, evaluation).values
    torch.testing.assert_close(SCORER.attribute(networks, evaluation.with_rows(3)).values, every[:, :3])
    other = SCORER.attribute(networks, replace(evaluation, seed=SEED + 1)).values
    assert not torch.allclose(other, every, rtol=1e-3)  # the seed is what they depend on


def test_degenerate_columns() -> None:
    networks, evaluation, _, _ = case("regression")
    inputs, background = evaluation.inputs.clone(), evaluation.background.clone()
    background[:, 0] = inputs[:, 0] = 0.0  # a column zeroed
    background[:, 1] = 4.0  # constant in training, other values explained
    inputs[0, 3:6] = 1.0  # a category that training never saw
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SCORER.attribute(networks, replace(evaluation, inputs=inputs, background=background))
    assert torch.isfinite(found.values).all()
    assert (found.values[:, :, [0, 4]] == 0).all() and (found.scores[:, [2, 3, 5]] > 0).all()


def test_a_category_that_training_never_saw_is_the_packages() -> None:
    """No neighbour has it, so the feature differs in all of them but the row itself."""
    networks, evaluation, background, rows = case("multiclass")
    background, rows = background[background[:, 5] != 2], rows.copy()
    rows[:3, 5], rows[3:, 5] = 2, [0, 1]
    seen = replace(evaluation, inputs=expand(rows), background=expand(background))
    values = SCORER.attribute(networks, seen).values.numpy()
    for member in range(len(networks)):
        for row in range(ROWS):
            expected = package(networks, seen, member, row, background, rows[row])
            np.testing.assert_allclose(values[member, row], expected, rtol=1e-6, atol=1e-12)
    taken = rows.copy()
    taken[:3, 5] = 0  # negative control: the first category that training saw, in its place
    other = SCORER.attribute(networks, replace(seen, inputs=expand(taken))).values.numpy()
    assert (np.abs(other[:, :3, 5] - values[:, :3, 5]) > 1e-4).all()


def test_an_audit_explains_as_many_rows_as_its_profile_says() -> None:
    networks, evaluation, _, _ = case("multiclass")
    choice = Choice.of("lime", replace(PROFILES["quick"], lime_rows=2, lime_samples=SAMPLES))
    assert (choice.rows, choice.options) == (2, {"samples": SAMPLES})
    assert Choice.of("saliency", PROFILES["quick"]) == Choice("saliency")
    found = choice.attribute(networks, evaluation)
    whole = Choice("lime", {"samples": SAMPLES}).attribute(networks, evaluation)
    assert found.values.shape[1] == 2 and whole.values.shape[1] == ROWS
    torch.testing.assert_close(found.values, whole.values[:, :2])
    torch.testing.assert_close(found.scores, whole.values[:, :2].abs().mean(1))  # not the mean over all rows


def test_refuses_what_it_cannot_explain() -> None:
    networks, evaluation, _, _ = case("regression")
    with pytest.raises(InputError, match="every column"):
        SCORER.attribute(networks, replace(evaluation, groups={"normal": (0,)}))
    for wrong in ({"samples": 1}, {"neighbourhoods": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Lime(**wrong)
