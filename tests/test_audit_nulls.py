"""The nulls of scorers: what a phantom is, what is read of it, and how often a scorer's own noise is above it."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from cases import CASES, GROUPS, make_case
from module_cases import FEATURES, Residual, members
from torch import Tensor, nn

from attribution_suite import audit, from_arrays
from attribution_suite.auditing.frames import mean_fidelity
from attribution_suite.auditing.work.nulls import (
    LEAST,
    asked_networks,
    needs_phantoms,
    null_scores,
    phantoms_each,
    severed,
    unseen,
)
from attribution_suite.auditing.work.phantoms import batches, with_phantoms
from attribution_suite.auditing.work.staged import STAGES, Ask, staged
from attribution_suite.measures.nulls import LEVEL, QUESTIONS, above_null
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.choice import Choice, traits_of
from attribution_suite.scorers.lime import Lime
from attribution_suite.scorers.surrogates import XGBoostSurrogate

pytestmark = pytest.mark.usefixtures("plain")

NEEDY = [name for name in SCORERS.names if not traits_of(name).zero_on_zero_weights and
         traits_of(name).reads != "labels"]
OPTIONS: dict[str, dict[str, Any]] = {"lime": {"samples": 200}}


def p_values(name: str, networks: Ensemble, evaluation: Evaluation, features: list[str], layer: int = 0) -> np.ndarray:
    """Of every feature in every network on its own, `[networks, features]`."""
    choice, values = Choice(name, OPTIONS.get(name, {})), []
    for member in range(len(networks)):
        one = torch.tensor([member])
        seen, alone = evaluation.for_members(one), networks.select(one)
        said = choice.attribute(alone, seen, layer).scores[:, None].numpy()
        arrays = null_scores([choice], said, alone, seen, layer, [features], np.zeros((1, len(features)), int),
                             np.zeros(len(features), bool))
        assert arrays["null_failures"].tobytes() == b"{}"
        values.append(arrays["null_p"][0])
    return np.array(values)


def test_there_are_nineteen_phantoms_over_the_networks_that_are_asked() -> None:
    for seeds in range(1, 60):
        assert asked_networks(seeds) * phantoms_each(seeds) >= LEAST and asked_networks(seeds) <= seeds
        assert (1 + phantoms_each(seeds)) ** asked_networks(seeds) < 10_000  # choices that null_p lists
    assert (asked_networks(1), phantoms_each(1)) == (asked_networks(5), phantoms_each(5)) == (1, 19)
    assert (asked_networks(10), phantoms_each(10)) == (2, 10)


def test_no_surrogate_has_phantoms() -> None:
    """What is too poor to speak need not be left out of the alarms that are asked together: it is in none."""
    surrogates = [name for name in SCORERS.names if issubclass(SCORERS.load(name), XGBoostSurrogate)]
    assert len(surrogates) == 2
    assert not any(needs_phantoms(name, layer) for name in surrogates for layer in (0, 1))
    assert needs_phantoms("lime", 0)


@pytest.mark.parametrize("edited", [False, True])
def test_a_surrogates_fidelity_is_the_mean_over_seeds_of_each_variant(edited: bool) -> None:
    """Of three seeds and two removed features; of the originals one network serves both."""
    if edited:
        fidelity, wanted = np.array([0.9, 0.1, 0.5, 0.2, np.nan, 0.6]), [0.7, 0.3]  # seed-major
    else:
        fidelity, wanted = np.array([0.9, np.nan, 0.5]), [0.7, 0.7]
    np.testing.assert_allclose(mean_fidelity(fidelity, 6, 2), wanted * 3, rtol=1e-12)
    assert np.isnan(mean_fidelity(np.full(3, np.nan), 6, 2)).all()  # networks that are constant have none


@pytest.mark.parametrize("layer", [0, 1])
def test_a_phantom_is_the_whole_group_permuted_over_rows(layer: int) -> None:
    case = make_case("groups", "regression", groups=GROUPS)
    evaluation = case.evaluation.at_layer(case.networks, layer)
    feature = evaluation.features[1]
    wide = with_phantoms(evaluation, [feature, evaluation.features[0]], 3)
    columns, width = list(evaluation.groups[feature]), evaluation.inputs.shape[-1]
    assert dict(list(wide.groups.items())[:len(evaluation.groups)]) == evaluation.groups
    assert len(wide.groups) == len(evaluation.groups) + 6
    for name in ("inputs", "background"):
        before, after = getattr(evaluation, name), getattr(wide, name)
        assert torch.equal(after[..., :width], before)
        orders = []
        for phantom in list(wide.groups.values())[-6:-3]:
            copy, source = after[..., list(phantom)], before[..., columns]
            copy, source = (part.reshape(-1, *part.shape[-2:])[0] for part in (copy, source))
            assert len(phantom) == len(columns)
            assert sorted(map(tuple, copy.tolist())) == sorted(map(tuple, source.tolist()))  # rows stay whole
            assert not torch.equal(copy, source)
            orders.append(copy)
        assert not torch.equal(orders[0], orders[1])
    assert torch.equal(wide.baseline[..., -6 * len(columns):][..., :len(columns)], evaluation.baseline[..., columns]
                       ) or layer == 0
    again = with_phantoms(evaluation, [feature], 3)  # the phantoms of a feature do not depend on what else is asked
    assert torch.equal(again.background, wide.background[..., :again.background.shape[-1]])
    other = with_phantoms(replace(evaluation, seed=evaluation.seed + 1), [feature], 3)
    assert not torch.equal(again.background, other.background)


def test_what_is_read_is_a_call_of_the_scorer_beside_the_phantoms() -> None:
    """Two features removed from two networks; LIME called on each widened network by hand."""
    case = CASES[2]
    features = [["x1", "x4"], ["x3", "x0"]]
    arrays = null_scores([Choice("saliency"), Choice("lime", OPTIONS["lime"])], np.ones((2, 2, 6)), case.networks,
                         case.evaluation, 0, features, np.array([[0, 2], [1, 1]]), np.zeros(2, bool))
    assert arrays["null_feature"].shape == (2, 2) and (arrays["null_phantoms"] == [[0, 0], [19, 19]]).all()
    assert all(np.isnan(arrays[name][:, 0]).all() for name in ("null_feature", "null_max", "null_mean"))
    assert np.isnan(arrays["null_p"][0]).all()
    wide = with_phantoms(replace(case.evaluation, seed=0), features[0], 19)
    for place, (member, feature) in enumerate(((0, 1), (2, 4))):
        one = torch.tensor([member])
        weight = torch.cat([case.networks.weights[0], torch.zeros(3, 7, 38)], 2)
        by_hand = Perceptrons(replace(case.networks.architecture, features=44), (weight, *case.networks.weights[1:]),
                              case.networks.biases).select(one)
        scores = Lime(200).attribute(by_hand, wide.for_members(one)).scores[0].numpy()
        assert arrays["null_feature"][place, 1] == pytest.approx(scores[feature])
        phantoms = scores[6 + 19 * place:][:19]
        assert arrays["null_max"][place, 1] == pytest.approx(phantoms.max())
        assert arrays["null_mean"][place, 1] == pytest.approx(phantoms.mean())
        assert arrays["null_p"][1, place] == (1 + (phantoms >= scores[feature]).sum()) / 20


def test_a_phantom_of_a_set_is_one_of_each_of_its_features_permuted_alike() -> None:
    case = make_case("groups", "regression", groups=GROUPS)
    evaluation, width = case.evaluation, case.evaluation.inputs.shape[-1]
    wide = with_phantoms(replace(evaluation, seed=0), ["d+b", "d"], 19)
    phantoms = list(wide.groups.values())[len(GROUPS):]
    assert [len(columns) for columns in phantoms] == [1, 3] * 19 + [1] * 19
    together = wide.background[..., width:width + 4]  # d, then b, of the first phantom
    source = evaluation.background[..., [*GROUPS["d"], *GROUPS["b"]]]
    assert not torch.equal(together, source)
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, source.tolist()))  # rows stay whole
    one = torch.tensor([1])
    arrays = null_scores([Choice("lime", OPTIONS["lime"])], np.ones((1, 1, len(GROUPS))), case.networks.select(one),
                         evaluation.for_members(one), 0, [["d+b", "d"]], np.zeros((1, 2), int), np.zeros(2, bool))
    names = list(GROUPS)
    for place, features in enumerate((["d", "b"], ["d"])):  # a call each: together they would be too wide
        wide = with_phantoms(replace(evaluation, seed=0), ["+".join(features)], 19)
        widened = case.networks.select(one).widened(wide.inputs.shape[-1] - width)
        scores = Lime(200).attribute(widened, wide.for_members(one)).scores[0].numpy()
        removed = sum(scores[names.index(feature)] for feature in features)
        assert arrays["null_feature"][place, 0] == pytest.approx(removed, rel=1e-5)
        phantoms = scores[len(names):].reshape(19, -1).sum(1)
        assert arrays["null_max"][place, 0] == pytest.approx(phantoms.max(), rel=1e-5)
        assert arrays["null_mean"][place, 0] == pytest.approx(phantoms.mean(), rel=1e-5)


def test_size_and_power_of_the_null_of_a_set() -> None:
    """Two features without weights are together one of their phantoms, with weights they are above them."""
    sets = ["x0+x1", "x2+x3", "x4+x5", "x6+x7", "x8+x9", "x10+x11", "x12+x13", "x16+x17", "x18+x19"]
    p = np.concatenate([p_values("lime", *independent(seed, 20), sets) for seed in range(6)])
    assert np.mean([above_null(value) for value in p[:, :7].ravel()]) <= 0.17  # 42 cases: more than seven in 0.4 %
    assert 0.3 < p[:, :7].mean() < 0.75
    assert np.mean([above_null(value) for value in p[:, 7:].ravel()]) > 0.8


def independent(seed: int, features: int) -> tuple[Perceptrons, Evaluation]:
    """A network of independent inputs, of which the first three quarters have no weights; rows of their own."""
    generator = torch.Generator().manual_seed(seed)
    networks = Perceptrons.initialise(Architecture(features, (8,), 1), [seed])
    first = 2 * networks.weights[0]
    first[:, :, :features * 3 // 4] = 0
    inputs, background = (torch.randn(count, features, generator=generator) for count in (20, 400))
    evaluation = Evaluation(inputs, torch.zeros(20), background, torch.zeros(400), torch.zeros(features),
                            {f"x{k}": (k,) for k in range(features)}, "regression")
    return networks.with_first_layer(first, networks.biases[0]), evaluation


@pytest.mark.parametrize("name", NEEDY)
def test_size_and_power_of_a_scorers_null(name: str) -> None:
    """Without weights a feature is one of its phantoms, above in one case of 20; with weights it is above."""
    cases = [independent(seed, 20) for seed in range(6)]
    p = np.concatenate([p_values(name, *case, list(case[1].groups)) for case in cases])
    dead, alive = p[:, :15], p[:, 15:]  # 90 cases and 30
    above, seen = (np.mean([above_null(value) for value in part.ravel()]) for part in (dead, alive))
    assert above <= 0.12  # more than ten of 90 in 1 % of such tests
    assert 0.35 < dead.mean() < 0.7
    if traits_of(name).control:  # it looks at nothing, weights or none
        assert seen <= 0.2
    else:
        assert seen > 0.8


@pytest.mark.parametrize("name", NEEDY)
def test_nulls_of_modules_and_of_hidden_units(name: str) -> None:
    evaluation = CASES[0].evaluation
    modules = Modules.wrap(members(Residual), evaluation.background)
    assert np.isfinite(p_values(name, modules, evaluation, ["x1", "x2"])).all()
    p = p_values(name, CASES[0].networks, evaluation, ["unit:0", "unit:3"], layer=1)
    assert p.shape == (3, 2) and np.isfinite(p).all()


def test_batches_hold_a_bounded_number_of_columns() -> None:
    assert [list(range(9))[part] for part in batches([1] * 9, 19, 64)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [list(range(3))[part] for part in batches([1, 40, 1], 19, 64)] == [[0], [1], [2]]
    assert list(batches([], 19, 64)) == []


def test_a_score_of_exactly_zero_is_above_no_null_and_asks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    case, one = CASES[2], torch.tensor([1])
    evaluation, networks = case.evaluation.for_members(one), case.networks.select(one)
    asked: list[int] = []
    monkeypatch.setattr(Lime, "attribute", lambda self, wide, seen, attribute=Lime.attribute: (
        asked.append(len(seen.features) - FEATURES), attribute(self, wide, seen))[1])
    mean_abs = np.ones((1, 1, FEATURES))
    mean_abs[..., [1, 4]] = 0
    arrays = null_scores([Choice("lime", OPTIONS["lime"])], mean_abs, networks, evaluation, 0,
                         [["x0", "x1", "x2", "x4", "x1+x4"]], np.zeros((1, 5), int), np.ones(5, bool))
    assert asked[0] == 2 * 19
    said = np.column_stack([arrays["null_feature"], arrays["null_max"]])
    assert (said.any(1) == [True, False, True, False, False]).all()
    assert (arrays["null_p"][0, [1, 3, 4]] == 1).all() and (arrays["null_phantoms"][0, [1, 3, 4]] == 19).all()
    asked.clear()
    mean_abs[:] = 0
    arrays = null_scores([Choice("lime", OPTIONS["lime"])], mean_abs, networks, evaluation, 0, [["x0"]],
                         np.zeros((1, 1), int), np.ones(1, bool))
    assert not asked and not arrays["null_feature"].any()


def of_noise(generator: np.random.Generator, networks: int, lasting: np.ndarray) -> Ask:
    """A scorer of pure noise: of a feature a part that lasts from call to call, and a part of each call."""
    scale = generator.lognormal(0, 1, (networks, 1, 1))

    def ask(variants: np.ndarray, each: int, time: int) -> np.ndarray:
        said = generator.standard_normal((networks, len(variants), 1 + each))
        of_call = generator.standard_normal((networks, len(variants), 1 + each))
        said[..., 0] = lasting[:, variants]
        return np.abs(said + 0.5 * of_call) * scale * generator.lognormal(0, 0.3, (networks, 1, 1))
    return ask


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_phantoms_are_added_while_none_reaches_and_p_stays_valid(networks: int) -> None:
    """3,000 features without weights; at every level p is below it no more often than that."""
    generator, features = np.random.default_rng(networks), 3000
    lasting = generator.standard_normal((networks, features))
    gone, at_once = np.ones(features, bool), np.full(features, 64)
    nulls = staged(of_noise(generator, networks, lasting), phantoms_each(5 * networks), gone, at_once)
    p, counts = np.array([null.p for null in nulls]), np.array([null.phantoms.shape[1] for null in nulls])
    for level in (0.2, 0.05, 0.02, 0.01, 0.002):
        assert (p <= level).mean() <= level + 4 * np.sqrt(level / features)
    assert (counts == phantoms_each(5 * networks)).mean() > 0.93  # few are asked for more
    assert (1 + counts.max()) ** networks >= 20 * QUESTIONS


def test_only_what_is_gone_is_asked_further_and_what_stands_out_reaches_the_smallest_p() -> None:
    generator = np.random.default_rng(0)
    lasting = np.array([[20.0, 20.0, 0.0]])
    nulls = staged(of_noise(generator, 1, lasting), 19, np.array([True, False, True]), np.array([64, 64, 64]))
    assert [null.phantoms.shape[1] for null in nulls] == [STAGES[-1], 19, 19]
    assert nulls[0].p == 1 / (20 * QUESTIONS) and nulls[1].p == LEVEL
    assert nulls[0].phantoms[:, 19:].mean() == pytest.approx(nulls[0].phantoms[:, :19].mean())  # one unit throughout


def test_severed_asks_for_every_weight_of_the_group() -> None:
    networks = CASES[4].networks
    nodes = Nodes.of([GROUPS["b"], GROUPS["b"], GROUPS["a"]])
    folded = networks.with_nodes_folded(nodes, torch.zeros(3, 3))
    assert severed(folded, nodes).tolist() == [True] * 3
    one = folded.first_weight.clone()
    one[1, 0, 2] = 1e-30
    assert severed(folded.with_first_layer(one, folded.first_bias), nodes).tolist() == [True, False, True]


class Embedded(nn.Module):
    """Column 0 is an index of three rows of a table; column 1 reaches nothing; the others are linear."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(3, 2), nn.Linear(FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.table(x[:, 0].round().clamp(0, 2).long()), x[:, 2:]], 1))


def test_an_index_column_is_unseen_and_an_unused_one_is_not() -> None:
    rows = torch.randn(30, FEATURES, generator=torch.Generator().manual_seed(0))
    rows[:, 0] = torch.arange(30) % 3
    networks = Modules.wrap(members(Embedded, 1), rows).select([0] * 3)
    evaluation = replace(CASES[0].evaluation, inputs=rows)
    assert unseen(networks, evaluation, Nodes.of([(0,), (1,), (2,)])).tolist() == [True, False, False]
    assert not unseen(CASES[0].networks, evaluation, Nodes.of([(0,)] * 3)).any()


class Narrow:
    """A scorer that fails in the call with phantoms alone."""

    name: ClassVar[str] = "narrow"
    traits: ClassVar[ScorerTraits] = ScorerTraits()

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        if len(evaluation.features) > FEATURES:
            raise ValueError("too wide")
        return Attribution(self.name, evaluation.features, 1 + networks.first_weight.abs().sum(1))


def test_the_table_of_an_audit_of_given_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORERS.places, "narrow", f"{__name__}:Narrow")
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((300, FEATURES)).astype(np.float32)
    table = from_arrays(rows, rows[:, 0] + rows[:, 1], name="given")
    result = audit(table, networks=members(Residual, 1), remove=["x1", "x2"], removals=["fold", "shuffle_tuning"],
                   scorers=["saliency", "lime", "xgboost_gain", "narrow"], out=tmp_path, jobs=1, tuning=0.1,
                   lime_samples=100, say=lambda line: None)
    nulls = result.table("nulls")
    assert set(result.table("failures").scorer) == {"narrow"}
    assert result.table("failures").error.str.contains("null by phantoms.*too wide").all()
    nulls = nulls[nulls.removal != "original"].set_index(["removal", "removed", "scorer"]).sort_index()
    for removed in ("x1", "x2"):
        zero, lime, narrow = (nulls.loc[("fold", removed, name)] for name in ("saliency", "lime", "narrow"))
        assert (zero.score, zero.phantoms, zero.null_max, zero.p, zero.by_construction) == (0, 0, 0, 1, True)
        assert lime.phantoms == 19 and lime.null_max >= lime.null_mean > 0 and 0 < lime.p <= 1
        assert not lime.by_construction and np.isnan(narrow.p) and np.isnan(narrow.null_max)
        assert ("fold", removed, "xgboost_gain") not in nulls.index  # does not apply
        labels, tuned = (nulls.loc[("shuffle_tuning", removed, name)] for name in ("xgboost_gain", "saliency"))
        assert labels.by_construction and np.isnan(labels.p)
        assert tuned.p == 0 and tuned.score > 0 and not tuned.by_construction
    reported = result.table("attributions").set_index(["removal", "removed", "scorer", "feature"]).mean_abs
    assert reported["fold", "x1", "lime", "x1"] != nulls.loc[("fold", "x1", "lime")].score  # a call of its own
    assert pd.api.types.is_integer_dtype(nulls.phantoms)
