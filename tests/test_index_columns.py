"""Columns that hold a category's number: only numbers that occur, the mean embedding, and folds behind it, by hand."""

from pathlib import Path
from typing import Any

import lime.lime_tabular
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from attribution_suite import attribute, from_arrays, load_dataset, remove, worst_case
from attribution_suite.auditing.chunks import RemoveFeatures, finished
from attribution_suite.auditing.opened import open_run
from attribution_suite.auditing.record import describe
from attribution_suite.auditing.run import carry_out, prepare
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work.phantoms import with_phantoms
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.indexed import told_of_index
from attribution_suite.scorers.attribution import Evaluation

CITY = torch.tensor([0.0, 2, 3, 7])  # of nine cities; no row has another
DRAWN = torch.Generator().manual_seed(3)
NUMBERS = torch.randn(120, 2, generator=DRAWN)
WHERE = torch.randint(0, 4, (120, 2), generator=DRAWN)
WHERE[:, 0] = torch.where(NUMBERS[:, 0] > 0.5, 3, WHERE[:, 0])  # so that a number tells of the city
ROWS = torch.cat([NUMBERS, CITY[WHERE[:, :1]], WHERE[:, 1:].float()], 1)
TARGET = NUMBERS[:, 0] + ROWS[:, 2]
NAMES = ["a", "b", "city", "kind"]


def table(**words: Any) -> TabularDataset:
    return from_arrays(ROWS, TARGET, feature_names=NAMES, split=(range(80), range(80, 95), range(95, 120)), **words)


TABLE = table()
TRAIN, TEST = TABLE.train.inputs, TABLE.test.inputs


class Strict(nn.Embedding):
    """Refuses what does not occur: whatever perturbs a row must not ask for it."""

    def forward(self, indices: Tensor) -> Tensor:
        assert not torch._C._functorch.is_batchedtensor(indices)
        known = {9: CITY.tolist(), 4: [0, 1, 2, 3]}[self.num_embeddings]
        assert set(indices.flatten().tolist()) <= set(known), indices
        return super().forward(indices)


class Behind(nn.Module):
    """Embeddings beside the numbers in one Linear."""

    def __init__(self, kind: type[nn.Embedding] = nn.Embedding) -> None:
        super().__init__()
        self.city, self.kind = kind(9, 3), kind(4, 2)
        self.body = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.cat([self.city(x[:, 2].long()), x[:, :2], self.kind(x[:, 3].long())], 1))


class Tokens(nn.Module):
    """Every column a token, all categories in one embedding: as transformers have it; nothing linear behind."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.number = nn.Embedding(13, 3), nn.Linear(2, 3)
        self.out = nn.Linear(3, 1)
        self.register_buffer("offset", torch.tensor([0, 9]))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.table(x[:, 2:].long() + self.offset)
        return self.out(torch.tanh(tokens).sum(1) * self.number(x[:, :2])).squeeze(1)


class OneHot(nn.Module):
    """A category without an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.cat([x[:, :2], x[:, 3:], F.one_hot(x[:, 2].long(), 9).float()], 1))


class SameRows(Tokens):
    """Two columns read the same rows."""

    def __init__(self) -> None:
        super().__init__()
        self.offset.zero_()


class Twice(Behind):
    """Looks the same city up twice."""

    def forward(self, x: Tensor) -> Tensor:
        city = self.city(x[:, [2, 2]].long()).mean(1)
        return self.body(torch.cat([city, x[:, :2], self.kind(x[:, 3].long())], 1))


def made(kind: type[nn.Module], *arguments: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return kind(*arguments).eval()


def outputs_of(module: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = module(rows).reshape(len(rows), 1)
    return outputs


def behind_by_hand(net: Any, city: Tensor, rows: Tensor) -> Tensor:
    """`Behind` with something else in the place of the city's embedding, `[3]` or `[rows, 3]`."""
    parts = [city.expand(len(rows), -1), rows[:, :2], net.kind(rows[:, 3].long())]
    with torch.no_grad():
        outputs: Tensor = net.body(torch.cat(parts, 1))
    return outputs


def test_columns_are_found_by_the_embedding_that_reads_them() -> None:
    for kind, found in ((Behind, (2, 3)), (Tokens, (2, 3)), (OneHot, ()), (SameRows, (2, 3))):
        networks = as_ensemble(made(kind), TABLE)
        assert tuple(column.column for column in networks.index) == found, kind
        assert told_of_index(TABLE, networks).index_columns == tuple(NAMES[column] for column in found)
    assert [column.linear for column in as_ensemble(made(Behind), TABLE).index] == [("module.body.0", 0),
                                                                                    ("module.body.0", 5)]
    assert [column.linear for column in as_ensemble(made(Tokens), TABLE).index] == [None, None]
    assert as_ensemble(made(OneHot), table(index_columns=["city"])).index[0].column == 2


def test_values_that_do_not_occur_become_the_nearest_that_does() -> None:
    net = made(Behind)
    networks = as_ensemble(net, TABLE)
    rows = TEST[:1].repeat(9, 1)
    rows[:, 2] = torch.tensor([-3.0, 0.4, 0.9, 1.1, 2.4, 4, 5.6, 6, 400])
    nearest = rows.clone()
    nearest[:, 2] = torch.tensor([0.0, 0, 0, 0, 2, 3, 7, 7, 7])  # 0.9 and 1.1 are city 1: as near to 0 as to 2
    torch.testing.assert_close(networks.outputs(rows)[0], outputs_of(net, nearest))
    torch.testing.assert_close(networks.outputs(TEST)[0], outputs_of(net, TEST))
    assert outputs_of(net, nearest).unique().numel() == 4


@pytest.mark.parametrize("name", [
    "permutation", "lime", "feature_ablation", "shapley_sampling", "gradient_shap", "smooth_integrated_gradients",
    "integrated_gradients", "captum:KernelShap?n_samples=20", "captum:Occlusion?sliding_window_shapes=1",
    "captum:NoiseTunnel(Saliency)?nt_samples=3&stdevs=3"])
def test_scorers_ask_for_numbers_that_occur(name: str) -> None:
    words = {"samples": 50} if name == "lime" else {}
    scores = attribute(made(Behind, Strict), TABLE, name, rows=8, **words).scores[0]
    assert (scores[2:] > 0).all() or (scores[2:] == 0).all() == name.startswith(
        ("captum:N", "gradient", "smooth", "integrated"))


def test_permuted_and_ablated_as_by_hand() -> None:
    net = made(Behind)
    seen = Evaluation.of(told_of_index(TABLE, as_ensemble(net, TABLE)), as_ensemble(net, TABLE), 20, 80)
    most = TRAIN[:, 2].mode().values
    assert seen.baseline.tolist() == [0, 0, float(most), float(TRAIN[:, 3].mode().values)] and most > 0
    ablated = attribute(net, TABLE, "feature_ablation", rows=20)
    rows = TEST[:20].clone()
    rows[:, 2] = most
    expected = outputs_of(net, TEST[:20]) - outputs_of(net, rows)
    torch.testing.assert_close(ablated.values[0, :, 2:3], expected, rtol=1e-4, atol=1e-6)
    assert expected.abs().max() > 0.01
    assert with_phantoms(seen, ["city"], 2).index == (2, 3, 4, 5)


def test_lime_draws_categories_as_the_package_told_of_them() -> None:
    net = made(Behind)
    seen = Evaluation.of(told_of_index(TABLE, as_ensemble(net, TABLE)), as_ensemble(net, TABLE), 1, 80)
    found = attribute(net, TABLE, "lime", rows=2, samples=200).values[0, 0]
    patterns = [seen.background[:, column].unique().numpy() for column in (2, 3)]

    def coded(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([rows[:, :2], np.stack([np.searchsorted(pattern, rows[:, column]) for pattern, column in
                                                      zip(patterns, (2, 3), strict=True)], 1)], 1)

    def predict(rows: np.ndarray) -> np.ndarray:
        decoded = np.concatenate([rows[:, :2], np.stack([pattern[rows[:, column].astype(int)] for pattern, column in
                                                         zip(patterns, (2, 3), strict=True)], 1)], 1)
        return outputs_of(net, torch.from_numpy(decoded).float())[:, 0].double().numpy()

    explainer = lime.lime_tabular.LimeTabularExplainer(
        coded(seen.background.double().numpy()), mode="regression", feature_selection="none",
        categorical_features=[2, 3], random_state=np.random.RandomState([0, 0]))
    explained = explainer.explain_instance(coded(seen.inputs.double().numpy())[0], predict, num_samples=200)
    expected = dict(explained.local_exp[1])
    assert [float(value) for value in found] == pytest.approx([expected[column] for column in range(4)], rel=1e-3)


def test_the_worst_case_is_the_most_of_all_cities() -> None:
    for kind in (Behind, OneHot):
        net, known = made(kind), table(index_columns=["city"])
        worst = worst_case(net, known, "city")
        each = []
        for city in CITY:
            moved = TEST.clone()
            moved[:, 2] = city
            each.append((outputs_of(net, moved) - outputs_of(net, TEST)).abs().max())
        assert worst.method == ("exact",) and float(worst.bound) == float(worst.effect)
        assert float(worst.effect) == pytest.approx(float(max(each)), rel=1e-5)
        assert worst.value_scaled[0, 0] in CITY
    assert worst_case(made(Behind), TABLE, "a").method == ("search",)
    both = worst_case(made(Behind), TABLE, ["city", "kind"])  # together: the pairs that occur
    assert both.method == ("exact",)


def test_the_mean_embedding_stands_in_the_bias_of_the_linear_behind() -> None:
    net: Any = made(Behind)
    edited = remove(net, TABLE, "city", "constant")
    with torch.no_grad():
        mean = net.city(TRAIN[:, 2].long()).mean(0)
    expected = behind_by_hand(net, mean, TEST)
    torch.testing.assert_close(edited.outputs(TEST)[0], expected, rtol=1e-4, atol=1e-5)
    assert (expected - outputs_of(net, TEST)).abs().max() > 0.01
    module: Any = edited.to_module()
    torch.testing.assert_close(outputs_of(module, TEST), expected, rtol=1e-4, atol=1e-5)
    inner = module[1].module
    assert isinstance(inner, Behind) and not inner.body[0].weight[:, :3].any()
    assert torch.equal(inner.city.weight, net.city.weight)
    assert worst_case(edited, TABLE, "city").method == ("algebra",)
    kept = worst_case(edited, TABLE, "kind")
    assert kept.method == ("exact",) and kept.effect > 0.01


def test_without_a_linear_the_mean_stands_in_the_embedding() -> None:
    net: Any = made(Tokens)
    edited = remove([net, net], TABLE, "city", "constant")
    with torch.no_grad():
        mean = net.table(TRAIN[:, 2].long()).mean(0)
        tokens = torch.stack([mean.expand(len(TEST), -1), net.table(TEST[:, 3].long() + 9)], 1)
        expected = net.out(torch.tanh(tokens).sum(1) * net.number(TEST[:, :2]))
    torch.testing.assert_close(edited.outputs(TEST)[1], expected, rtol=1e-4, atol=1e-5)
    assert (expected - outputs_of(net, TEST)).abs().max() > 0.01
    assert worst_case(edited, TABLE, "city").method == ("algebra",) * 2
    changed = (edited.to_module()[1].module.table.weight != net.table.weight).any(1).nonzero()[:, 0]
    assert changed.tolist() == [int(TRAIN[:, 2].mode().values)]  # one row of the most frequent city
    pair = remove(net, TABLE, "city+a", "constant")
    rows = TEST.clone()
    rows[:, 0] = TRAIN[:, 0].mean()
    torch.testing.assert_close(pair.outputs(TEST), edited.select([0]).outputs(rows), rtol=1e-4, atol=1e-5)


def test_a_fold_replaces_the_embedding_by_its_regression_on_what_enters_beside_it() -> None:
    net: Any = made(Behind)
    edited = remove(net, TABLE, "city", "fold")
    with torch.no_grad():
        beside = [torch.cat([rows[:, :2], net.kind(rows[:, 3].long())], 1) for rows in (TRAIN, TEST)]
        train, test = (torch.cat([part, torch.ones(len(part), 1)], 1).double() for part in beside)
        fitted = torch.linalg.lstsq(train, net.city(TRAIN[:, 2].long()).double(), driver="gelsd").solution
    expected = behind_by_hand(net, (test @ fitted).float(), TEST)
    torch.testing.assert_close(edited.outputs(TEST)[0], expected, rtol=1e-3, atol=1e-4)
    assert worst_case(edited, TABLE, "city").method == ("algebra",)
    mean = remove(net, TABLE, "city", "constant").outputs(TEST)[0]
    assert (mean - expected).abs().max() > 0.01  # the numbers beside it tell of the city
    tuned = remove(net, TABLE, "city", "fold_tuning", training=Training(1, 16, 1e-2), tuning=0.01)
    assert worst_case(tuned, TABLE, "city").method == ("algebra",)
    number = remove(net, TABLE, "a", "fold")  # a number beside indices is folded as ever
    assert worst_case(number, TABLE, "a").method == ("algebra",)


@pytest.mark.parametrize("method", ["leace", "residualise"])
def test_a_map_of_the_other_columns_leaves_categories_as_they_are(method: str) -> None:
    """Of the two numbers, the city and the kind only `b` is left to be mapped: to its mean, or its residual on `a`."""
    net: Any = made(Behind)
    a, b = TRAIN[:, 0].double(), TRAIN[:, 1].double()
    rows = TEST.clone()
    rows[:, 0], rows[:, 1] = a.mean(), b.mean()
    if method == "residualise":
        slope = ((a - a.mean()) * b).mean() / a.var(correction=0)
        rows[:, 1] = TEST[:, 1] - slope * (TEST[:, 0] - a.mean())
    found = remove(net, TABLE, "a", method).outputs(TEST)[0]
    torch.testing.assert_close(found, outputs_of(net, rows), rtol=1e-3, atol=1e-4)
    elsewhere = rows.clone()
    elsewhere[:, 2] = CITY[(torch.searchsorted(CITY, TEST[:, 2].contiguous()) + 1) % 4]
    assert (outputs_of(net, elsewhere) - found).abs().max() > 0.1  # another city shows


@pytest.mark.parametrize(("kind", "method", "message"), [
    (Tokens, "fold", "a fold of column 2 does not apply: it holds an index, and there is no Linear"),
    (Tokens, "subset_fold", "there is no Linear that takes its embedding"),
    (OneHot, "constant", "column 2 holds an index, and its mean is none: no nn.Embedding reads it"),
    (SameRows, "constant", "other columns read the same rows of the embedding 'module.table'"),
    (Twice, "constant", "the embedding 'module.city' reads it in several places"),
])
def test_what_does_not_apply_says_why(kind: type[nn.Module], method: str, message: str) -> None:
    net, rows = made(kind), ROWS.clone()
    if kind is SameRows:
        rows[:, 3] = ROWS[:, 2].roll(1)
    known = from_arrays(rows, TARGET, feature_names=NAMES, index_columns=["city"])
    with pytest.raises(InputError, match=message):
        remove(net, known, "city", method)
    zero = remove(net, known, "city", "constant", constant="zero")  # city 0 is one that occurs
    rows = TEST.clone()
    rows[:, 2], rows[:, 3] = 0, 3
    moved = rows.clone()
    moved[:, 2] = TEST[:, 2]
    torch.testing.assert_close(zero.outputs(moved)[0], outputs_of(net, rows), rtol=1e-4, atol=1e-5)


def test_an_estimator_has_no_mean_embedding() -> None:
    known = from_arrays(ROWS, (TARGET > 3).long(), feature_names=NAMES, index_columns=["city"])
    forest = RandomForestClassifier(5, random_state=0).fit(known.train.inputs, known.train.targets)
    with pytest.raises(InputError, match="column 2 holds an index, and its mean is none: a RandomForestClassifier"):
        remove(forest, known, "city", "constant")
    assert worst_case(forest, known, "city").method == ("exact",)


@pytest.mark.parametrize("method", ["shuffle_tuning", "stochastic_tuning", "inversion_tuning", "retrain"])
def test_tuning_asks_for_numbers_that_occur(method: str) -> None:
    edited = remove(made(Behind, Strict), TABLE, "city", method, training=Training(1, 16, 1e-2), tuning=0.01)
    assert torch.isfinite(edited.outputs(TEST)).all()
    assert (worst_case(edited, TABLE, "city").method == ("algebra",)) == (method == "retrain")


@pytest.mark.parametrize(("words", "message"), [
    ({"index_columns": ["town"]}, "unknown feature of table 'town'"),
    ({"index_columns": ["a"]}, "option 'index_columns': 'a' holds .*: an index is a whole number"),
    ({"index_columns": ["place"], "groups": {"place": ["city", "kind"]}}, "'place' is 2 columns, a category already"),
])
def test_a_wrong_declaration_is_named(words: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(**words)


def test_a_declared_column_of_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    lines = ["a,city,y", *(f"{a:.3f},{int(city)},{y:.3f}" for a, city, y in zip(
        NUMBERS[:, 0], ROWS[:, 2], TARGET, strict=True))]
    file = tmp_path / "towns.csv"
    file.write_text("\n".join(lines))
    scaled, known = (load_dataset(file, target="y", index_columns=columns) for columns in ([], ["city"]))
    assert set(known.train.inputs[:, 1].tolist()) == set(CITY.tolist())
    assert set(scaled.train.inputs[:, 1].tolist()) != set(CITY.tolist())
    torch.testing.assert_close(known.train.inputs[:, 0], scaled.train.inputs[:, 0])


def test_an_audit_leaves_out_what_does_not_apply(tmp_path: Path) -> None:
    said: list[str] = []
    spec = make_spec(["table"], in_memory=["table"], decoy=False, remove=["city", "a"], removals=["constant", "fold"],
                     scorers=["permutation"], seeds=1, rows=20, information="off", reference="off")
    prepared = prepare(spec, device="cpu", tables={TABLE.name: TABLE}, networks=made(Tokens), say=said.append)
    assert prepared.datasets["table", 0].index_columns == ("city", "kind")
    assert any(line.startswith("table: not applicable: fold of city, fold of kind: it holds an index") for line in said)
    with open_run(prepared, tmp_path, jobs=1, say=said.append) as context:
        chunks, ended = carry_out(spec, prepared.plan, context)
        assert not [done.error for done in ended if done.error]
        removed = {chunk.removal: chunk for chunk in chunks if isinstance(chunk, RemoveFeatures)}
        assert removed["constant"].features == (("city", "a"),) and removed["fold"].features == (("a",),)
        constant = finished(removed["constant"], context.store).arrays
        about = describe(spec, context, chunks, [])["datasets"]["table"]["networks"]["not_applicable"]
    assert (constant["direct_effect"] == 0).all() and (constant["direct_effect_before"] > 0.01).all()
    assert "a fold needs a Linear" in about["fold of city"]


def test_what_a_user_passes_is_left_as_it_was() -> None:
    net = made(Behind).train()
    parts, state = list(net.modules()), {key: value.clone() for key, value in net.state_dict().items()}
    net.city.register_forward_hook(lambda *_: None)
    generator = torch.get_rng_state()
    remove(net, TABLE, "city", "fold")
    attribute(net, TABLE, "captum:Lime?n_samples=20", rows=2)
    with pytest.raises(InputError):
        remove(net, TABLE, "city+a", "fold")
    assert torch.equal(generator, torch.get_rng_state()) and list(net.modules()) == parts
    assert all(part.training and not part._forward_pre_hooks for part in parts)
    assert [len(part._forward_hooks) for part in parts] == [part is net.city for part in parts]
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())
    assert all(parameter.grad is None for parameter in net.parameters())

