"""A member of an ensemble against the same network trained alone, in a plain PyTorch loop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from attribution_suite.datasets import preset
from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks import stopping
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.batches import Block
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.stopping import Stopping
from attribution_suite.networks.training import Trained, train

# The plain loop trains on targets as they are; what standardising adds has its own tests (test_target_scale.py).
Training = partial(preset.Training, standardise=False)
TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass")
OPTIMISERS = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
RATES = {"adam": 3e-3, "rmsprop": 3e-3, "sgd": 3e-2}
LOSSES = {"regression": nn.MSELoss(), "binary": nn.BCEWithLogitsLoss(), "multiclass": nn.CrossEntropyLoss()}
SEEDS = (3, 8)
FEATURES = 5


def make_split(task: Task, rows: int, seed: int, members: tuple[int, ...] = ()) -> Split:
    """A noisy problem that a small network learns only in part; means are not zero, so that mirroring shows."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(*members, rows, FEATURES, generator=generator) + torch.arange(FEATURES) / 4
    shared = inputs if not members else inputs[0]
    value = 2 * shared[:, 0] - shared[:, 1] * shared[:, 2] + 0.5 * torch.randn(rows, generator=generator)
    if task == "regression":
        return Split(inputs, value)
    return Split(inputs, (value > 0).float() if task == "binary" else (value > -1).long() + (value > 1).long())


def make_networks(task: Task, activation: Activation = "relu", variants: int = 1) -> Perceptrons:
    architecture = Architecture(FEATURES, (8, 6), 3 if task == "multiclass" else 1, activation)
    members = torch.arange(len(SEEDS)).repeat_interleave(variants)
    return Perceptrons.initialise(architecture, SEEDS).select(members)


@dataclass
class Alone:
    """What the plain loop gives: the network with its kept weights, its losses and the steps until they were kept."""

    net: nn.Sequential
    training_loss: list[float]
    validation_loss: list[float]
    steps: int


def train_alone(net: nn.Sequential, training: Split, validation: Split, task: Task, budget: preset.Training,
                seed: int) -> Alone:
    """The usual loop over one network, with early stopping as Training's docstring has it."""

    def loss_of(split: Split) -> Tensor:
        output = net(split.inputs)
        return LOSSES[task](output if task == "multiclass" else output[:, 0], split.targets)

    optimiser = OPTIMISERS[budget.optimiser](net.parameters(), lr=budget.learning_rate)
    generator = torch.Generator().manual_seed(1_000_003 * seed + 11)
    result, best, waited, taken = Alone(net, [], [], 0), float("inf"), 0, 0
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    while len(result.training_loss) < budget.epochs and taken != budget.max_steps:
        total = seen = 0
        for rows in torch.randperm(len(training), generator=generator).split(budget.batch_size):
            optimiser.zero_grad()
            loss = loss_of(training.rows(rows))
            loss.backward()
            optimiser.step()
            total, seen, taken = total + loss.item() * len(rows), seen + len(rows), taken + 1
            if taken == budget.max_steps:
                break
        with torch.no_grad():
            held_out = loss_of(validation).item()
        result.training_loss.append(total / seen)
        result.validation_loss.append(held_out)
        waited = 0 if held_out < best else waited + 1
        if held_out < best or budget.keep == "last":
            kept, result.steps = {name: value.clone() for name, value in net.state_dict().items()}, taken
        best = min(best, held_out)
        if budget.patience is not None and waited >= budget.patience:
            break
    net.load_state_dict(kept)
    return result


@torch.no_grad()
def largest_difference(net: nn.Sequential, networks: Perceptrons, member: int) -> float:
    other = networks.to_module(member).parameters()
    return max(float((a - b).abs().max()) for a, b in zip(net.parameters(), other, strict=True))


def curve(losses: Tensor, member: int) -> list[float]:
    return losses[~losses[:, member].isnan(), member].tolist()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_member_equals_the_network_trained_alone(task: Task, activation: Activation, optimiser: str) -> None:
    training, validation = make_split(task, 70, 0), make_split(task, 40, 1)  # 70 = 4 × 16 + 6: a short last batch
    networks = make_networks(task, activation)
    budget = Training(20, 16, RATES[optimiser], optimiser, keep="last", max_steps=50)
    trained = train(networks, training, validation, task, budget, SEEDS)
    assert trained.steps.tolist() == [50, 50]
    for member, seed in enumerate(SEEDS):
        alone = train_alone(networks.to_module(member), training, validation, task, budget, seed)
        assert largest_difference(alone.net, trained.networks, member) < 1e-5
        assert curve(trained.training_loss, member) == pytest.approx(alone.training_loss, rel=1e-4)
        assert curve(trained.validation_loss, member) == pytest.approx(alone.validation_loss, rel=1e-4)
        # negative controls: the other seed's batches, and no training at all, are further away than that
        other = train_alone(networks.to_module(member), training, validation, task, budget, seed + 1)
        assert largest_difference(other.net, trained.networks, member) > 1e-3
        assert largest_difference(networks.to_module(member), trained.networks, member) > 1e-2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_losses_agree_at_the_end_of_a_whole_training(task: Task, activation: Activation) -> None:
    training, validation = make_split(task, 70, 0), make_split(task, 40, 1)
    networks, budget = make_networks(task, activation), Training(30, 16, 3e-3, keep="last")
    trained = train(networks, training, validation, task, budget, SEEDS)
    for member, seed in enumerate(SEEDS):
        alone = train_alone(networks.to_module(member), training, validation, task, budget, seed)
        assert curve(trained.validation_loss, member)[-1] == pytest.approx(alone.validation_loss[-1], abs=1e-3)
        assert curve(trained.training_loss, member)[-1] == pytest.approx(alone.training_loss[-1], abs=1e-3)


@pytest.mark.parametrize("patience", [1, 4, None])
def test_every_member_stops_by_itself_and_keeps_its_best_weights(patience: int | None) -> None:
    training, validation = make_split("regression", 50, 0), make_split("regression", 30, 1)
    seeds = range(6)
    networks = Perceptrons.initialise(Architecture(FEATURES, (16,), 1), seeds)
    budget = Training(40, 10, 3e-2, patience=patience)
    trained = train(networks, training, validation, "regression", budget, seeds)
    for member, seed in enumerate(seeds):
        alone = train_alone(networks.to_module(member), training, validation, "regression", budget, seed)
        assert curve(trained.validation_loss, member) == pytest.approx(alone.validation_loss, rel=1e-3)
        assert int(trained.steps[member]) == alone.steps
        assert largest_difference(alone.net, trained.networks, member) < 1e-4
        kept = (trained.networks.outputs(validation.inputs)[member, :, 0] - validation.targets).square().mean()
        assert float(kept) == pytest.approx(min(alone.validation_loss), rel=1e-4)
    lengths = {len(curve(trained.validation_loss, member)) for member in range(len(seeds))}
    # The case must show something: members stop in different epochs, all after their best one.
    assert (lengths == {40}) if patience is None else len(lengths) > 1
    assert (trained.steps < 40 * 5).any()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("kind", ["clamped", "replaced", "modules"])
def test_members_that_stopped_leave_the_loop_and_nothing_changes(kind: str, optimiser: str,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    training, validation = make_split("binary", 50, 0), make_split("binary", 30, 1)
    start, nodes = make_networks("binary", variants=len(GROUPS)), Nodes.of(GROUPS * len(SEEDS))
    # Very different paces, so that members stop far apart.
    pace = torch.tensor([0.1, 1.0, 2.0, 6.0]).repeat(len(SEEDS))[:, None, None]
    start = start.with_first_layer(start.weights[0] * pace, start.biases[0])
    budget = Training(40, 10, 10 * RATES[optimiser], optimiser, patience=2)
    words: dict = {"replaced": nodes, "replacement": stochastic}
    if kind == "clamped":
        start, words = start.with_nodes_folded(nodes, torch.zeros(nodes.index.shape)), {"clamp": nodes}
    if kind == "modules":
        modules = [nn.Sequential(*start.to_module(member), nn.Identity()) for member in range(len(start))]
        start = Modules.wrap(modules, training.inputs)
    left: list[int] = []

    def watch(self: Stopping, seeds: int) -> Tensor | None:
        kept = narrow(self, seeds)
        left.append(len(self.members))
        return kept

    narrow = Stopping.narrow
    monkeypatch.setattr(Stopping, "narrow", watch)
    found, left_in_the_loop = train(start, training, validation, "binary", budget, SEEDS, **words), left.copy()
    left.clear()
    monkeypatch.setattr(stopping, "WORTH_NARROWING", 0.0)
    expected = train(start, training, validation, "binary", budget, SEEDS, **words)
    assert left_in_the_loop[-1] < left_in_the_loop[0]
    assert set(left) == {len(start)}
    assert found.steps.tolist() == expected.steps.tolist()
    torch.testing.assert_close(found.validation_loss, expected.validation_loss, rtol=1e-4, atol=1e-5, equal_nan=True)
    torch.testing.assert_close(found.training_loss, expected.training_loss, rtol=1e-4, atol=1e-5, equal_nan=True)
    for one, other in zip(found.networks.tensors, expected.networks.tensors, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


# Replaced columns: deterministic replacements, so that the plain loop can be given the same table.

def mirrored(block: Block) -> Tensor:
    return 2 * block.table.mean(0) - block.values


def shifted(block: Block) -> Tensor:
    """Depends on the column's position among all inputs, and on other inputs."""
    return block.inputs.sum(1, keepdim=True) + block.columns.float()


GROUPS = [(0,), (1, 3, 4), (4, 0), (2,)]


def replaced_by_hand(split: Split, training: Split, group: tuple[int, ...], replacement: Callable) -> Split:
    inputs = split.inputs.clone()
    for column in group:
        if replacement is mirrored:
            inputs[:, column] = 2 * training.inputs[:, column].mean() - split.inputs[:, column]
        else:
            inputs[:, column] = split.inputs.sum(1) + column
    return Split(inputs, split.targets)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("replacement", [mirrored, shifted])
def test_replaced_columns_equal_a_loop_over_a_replaced_table(task: Task, replacement: Callable) -> None:
    training, validation = make_split(task, 70, 0), make_split(task, 40, 1)
    networks, budget = make_networks(task, variants=len(GROUPS)), Training(10, 16, 3e-3, max_steps=50)
    trained = train(networks, training, validation, task, budget, SEEDS,
                    replaced=Nodes.of(GROUPS * len(SEEDS)), replacement=replacement)
    for member, group in enumerate(GROUPS * len(SEEDS)):
        seed = SEEDS[member // len(GROUPS)]
        splits = [replaced_by_hand(split, training, group, replacement) for split in (training, validation)]
        alone = train_alone(networks.to_module(member), *splits, task, budget, seed)
        assert largest_difference(alone.net, trained.networks, member) < 1e-5
        assert curve(trained.validation_loss, member) == pytest.approx(alone.validation_loss, rel=1e-4)
        native = train_alone(networks.to_module(member), training, validation, task, budget, seed)
        assert largest_difference(native.net, trained.networks, member) > 1e-3


def test_a_replacement_sees_the_training_rows_and_the_batches() -> None:
    training, validation = make_split("regression", 70, 0), make_split("regression", 40, 1)
    seen: list[Block] = []

    def watch(block: Block) -> Tensor:
        seen.append(block)
        return block.values

    nodes = Nodes.of([(3, 1), (1,)] * len(SEEDS))
    networks = make_networks("regression", variants=2)
    unchanged = train(networks, training, validation, "regression", Training(2, 16, 3e-3), SEEDS,
                      replaced=nodes, replacement=watch)
    for block in seen:
        # Column 1 once for each of the two groups: given the other inputs it may have another value in each.
        assert torch.equal(block.table, training.inputs[:, [1, 3, 1]]) and block.columns.tolist() == [1, 3, 1]
        assert torch.equal(block.values, block.inputs[:, [1, 3, 1]])
        assert torch.equal(block.training, training.inputs)
        assert block.columns[block.groups].tolist() == [[3, 1], [1, 1]]
    assert [block.seed for block in seen] == list(SEEDS) * (len(seen) // len(SEEDS))
    rows = [len(block.values) for block in seen]
    assert sorted(rows) == [40] * len(SEEDS) + [70] * 2 * len(SEEDS)
    plain = train(networks, training, validation, "regression", Training(2, 16, 3e-3), SEEDS)
    assert torch.allclose(plain.validation_loss, unchanged.validation_loss, rtol=1e-5)


def stochastic(block: Block) -> Tensor:
    """A random row of the table: one draw a row, whatever columns are asked for."""
    return block.table[torch.randint(len(block.table), (len(block.values),), generator=block.generator)]


def trained_in(groups: list[tuple[int, ...]], seeds: tuple[int, ...]) -> Trained:
    training, validation = make_split("binary", 70, 0), make_split("binary", 40, 1)
    start = Perceptrons.initialise(Architecture(FEATURES, (8,), 1), seeds)
    networks = start.select(torch.arange(len(seeds)).repeat_interleave(len(groups)))
    return train(networks, training, validation, "binary", Training(10, 16, 3e-3, keep="last"), seeds,
                 replaced=Nodes.of(groups * len(seeds)), replacement=stochastic)


@pytest.mark.parametrize("block_batches", [32, 2])
def test_a_member_does_not_depend_on_who_else_is_trained(block_batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attribution_suite.networks.batches.BLOCK_BATCHES", block_batches)
    alone, together = trained_in([(2,)], (8,)), trained_in([(0, 1), (2,), (4,)], (3, 8, 11))
    assert largest_difference(alone.networks.to_module(), together.networks, 4) < 1e-5
    torch.testing.assert_close(alone.validation_loss[:, 0], together.validation_loss[:, 4], rtol=1e-5, atol=1e-6)
    # negative control: the same node under another seed, another node under the same seed
    assert largest_difference(alone.networks.to_module(), together.networks, 1) > 1e-2
    assert largest_difference(alone.networks.to_module(), together.networks, 3) > 1e-3


def test_training_is_repeatable_and_leaves_everything_as_it_was() -> None:
    networks, state = make_networks("regression"), torch.get_rng_state()
    before = [tensor.clone() for tensor in (*networks.weights, *networks.biases)]
    split = make_split("regression", 70, 0)
    inputs = split.inputs.clone()
    nodes, budget = Nodes.of([(1,), (2,)]), Training(3, 16, 3e-3)
    runs = [train(networks, split, split, "regression", budget, SEEDS, replaced=nodes, replacement=stochastic)
            for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(runs[0].networks.weights, runs[1].networks.weights, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, (*networks.weights, *networks.biases), strict=True))
    assert torch.equal(inputs, split.inputs) and torch.equal(state, torch.get_rng_state())
    assert not any(tensor.requires_grad for tensor in runs[0].networks.weights)


# Clamped nodes.

@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_clamped_nodes_stay_exactly_zero(optimiser: str) -> None:
    training, validation = make_split("regression", 70, 0), make_split("regression", 40, 1)
    nodes = Nodes.of([(0,), (1, 2)] * len(SEEDS))
    start = make_networks("regression", variants=2).with_nodes_folded(nodes, torch.zeros(nodes.index.shape))
    budget = Training(10, 16, RATES[optimiser], optimiser, max_steps=50)
    trained = train(start, training, validation, "regression", budget, SEEDS, clamp=nodes)
    gone = nodes.mask(FEATURES)[:, None].expand_as(start.weights[0])
    assert (trained.networks.weights[0][gone] == 0).all()
    for member, group in enumerate([(0,), (1, 2)] * len(SEEDS)):  # the rest trains like the network without the column
        keep = [column for column in range(FEATURES) if column not in group]
        net = start.to_module(member)
        net[0].weight.data, net[0].in_features = net[0].weight.data[:, keep].clone(), len(keep)
        splits = [Split(split.inputs[:, keep], split.targets) for split in (training, validation)]
        alone = train_alone(net, *splits, "regression", budget, SEEDS[member // 2])
        torch.testing.assert_close(alone.net[0].weight.detach(), trained.networks.weights[0][member][:, keep],
                                   rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.net[-1].weight.detach(), trained.networks.weights[-1][member],
                                   rtol=0, atol=1e-5)
    free = train(start, training, validation, "regression", budget, SEEDS)  # negative control: no clamp
    assert (free.networks.weights[0][gone] != 0).any()


def test_momentum_moves_a_weight_that_was_clamped_by_its_gradient_alone() -> None:
    """Why a removal starts with a fresh optimiser: Adam goes on with what it learned before the column was zeroed."""
    split, net = make_split("regression", 70, 0), make_networks("regression").to_module()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(10):
        optimiser.zero_grad()
        LOSSES["regression"](net(split.inputs)[:, 0], split.targets).backward()
        if step == 5:
            net[0].weight.data[:, 0] = 0.0
        if step >= 5:
            net[0].weight.grad[:, 0] = 0.0
        optimiser.step()
    assert net[0].weight[:, 0].abs().max() > 1e-3


# Seeds with inputs of their own, as a hidden layer has them.

def test_seeds_may_have_their_own_inputs() -> None:
    training, validation = (make_split("multiclass", rows, rows, (len(SEEDS),)) for rows in (70, 40))
    networks, budget = make_networks("multiclass", variants=len(GROUPS)), Training(10, 16, 3e-3, max_steps=50)
    trained = train(networks, training, validation, "multiclass", budget, SEEDS,
                    replaced=Nodes.of(GROUPS * len(SEEDS)), replacement=mirrored)
    for member, group in enumerate(GROUPS * len(SEEDS)):
        seed = member // len(GROUPS)
        own = [Split(split.inputs[seed], split.targets) for split in (training, validation)]
        splits = [replaced_by_hand(split, own[0], group, mirrored) for split in own]
        alone = train_alone(networks.to_module(member), *splits, "multiclass", budget, SEEDS[seed])
        assert largest_difference(alone.net, trained.networks, member) < 1e-5
        assert curve(trained.validation_loss, member) == pytest.approx(alone.validation_loss, rel=1e-4)


def test_chunked_rows_give_the_same_validation_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    split, networks, budget = make_split("binary", 70, 0), make_networks("binary"), Training(3, 16, 3e-3)
    whole = train(networks, split, split, "binary", budget, SEEDS)
    monkeypatch.setattr("attribution_suite.networks.backward.VALUES_AT_ONCE", 100)
    chunked = train(networks, split, split, "binary", budget, SEEDS)
    torch.testing.assert_close(whole.validation_loss, chunked.validation_loss, rtol=1e-5, atol=1e-6)


def test_no_epochs_leave_the_networks_as_they_are() -> None:
    networks, split = make_networks("regression"), make_split("regression", 20, 0)
    trained = train(networks, split, split, "regression", Training(0, 16, 3e-3), SEEDS)
    assert all(torch.equal(a, b) for a, b in zip(networks.weights, trained.networks.weights, strict=True))
    assert trained.steps.tolist() == [0, 0] and trained.validation_loss.shape == (0, 2)


# Errors.

def test_divergence_is_an_error_and_no_silent_nan() -> None:
    networks, split = make_networks("regression"), make_split("regression", 70, 0)
    with pytest.raises(InputError, match=r"training diverged.* 2 of 2 networks.*lower the learning rate"):
        train(networks, split, split, "regression", Training(5, 16, 1e6, "sgd"), SEEDS)


def test_late_divergence_spoils_the_last_weights_but_not_the_best() -> None:
    """One epoch of one small step is finite; the next ones are not. 'best' has the first epoch's weights to keep."""
    networks = Perceptrons.initialise(Architecture(1, (), 1), [0])
    split = Split(torch.full((4, 1), 30.0), torch.zeros(4))
    best = train(networks, split, split, "regression", Training(60, 4, 1.0, "sgd"), [0])
    assert torch.isfinite(best.networks.weights[0]).all() and not torch.isfinite(best.validation_loss[-1]).any()
    with pytest.raises(InputError, match="training diverged"):
        train(networks, split, split, "regression", Training(60, 4, 1.0, "sgd", keep="last"), [0])


@pytest.mark.parametrize(("options", "message"), [
    ({"epochs": -1}, "epochs ≥ 0"),
    ({"batch_size": 0}, "batch_size ≥ 1"),
    ({"learning_rate": 0.0}, "learning_rate > 0"),
    ({"learning_rate": float("nan")}, "learning_rate > 0"),
    ({"optimiser": "adma"}, "unknown optimiser 'adma'; did you mean adam"),
    ({"keep": "bets"}, "did you mean best"),
    ({"patience": 0}, "patience of at least 1"),
    ({"max_steps": 0}, "max_steps of at least 1"),
])
def test_budgets_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Training(**{"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, **options})


SPLIT = make_split("regression", 20, 0)


@pytest.mark.parametrize(("changes", "message"), [
    ({"seeds": (1, 2, 3)}, "2 networks cannot share 3 seeds"),
    ({"seeds": ()}, "2 networks cannot share 0 seeds"),
    ({"train": SPLIT.rows(slice(0, 0))}, "no training rows"),
    ({"validation": SPLIT.rows(slice(0, 0))}, "no validation rows"),
    ({"train": Split(SPLIT.inputs[:, 1:], SPLIT.targets)}, "training inputs must be"),
    ({"validation": Split(SPLIT.inputs.expand(3, -1, -1), SPLIT.targets)}, "validation inputs must be"),
    ({"clamp": Nodes.of([(0,)])}, "1 rows of clamped nodes do not fit 2 networks"),
    ({"replaced": Nodes.of([(0,)]), "replacement": mirrored}, "1 rows of replaced nodes do not fit 2 networks"),
    ({"replaced": Nodes.of([(0,), (1,)])}, "go together"),
    ({"replacement": mirrored}, "go together"),
    ({"clamp": Nodes.of([(0,), (1,)])}, "must start with zero weights"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_inputs_that_do_not_fit(changes: dict, message: str) -> None:
    arguments = {"networks": make_networks("regression"), "train": SPLIT, "validation": SPLIT, "task": "regression",
                 "training": Training(1, 4, 1e-3), "seeds": SEEDS, **changes}
    with pytest.raises(InputError, match=message):
        train(**arguments)
