"""What `small_audit.py` compares with: a plain script of Captum, `lime` and scikit-learn, one network at a time.

It trains five networks on heart, removes Sex by the same nine methods (the folds that choose their columns by the plain
one), scores each of the fifty networks by five scorers with the audit's budgets, and prints a table. It asks nothing
of the nulls, information, worst cases or certificates that an audit also has, and draws no page.
"""

import copy
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from captum.attr import LRP, IntegratedGradients
from lime.lime_tabular import LimeTabularExplainer
from sklearn.inspection import permutation_importance
from torch import Tensor, nn

from attribution_suite import load_dataset

SEEDS = 5
SAMPLES, LIME_ROWS = 1000, 50  # the quick profile's

TABLE = load_dataset("heart")
SEX = TABLE.columns("Sex")[0]
TRAIN, VALIDATION, TEST = TABLE.train, TABLE.validation, TABLE.test
BUDGET = TABLE.preset.training
TUNING = max(1, round(TABLE.preset.tuning_epochs * 0.25))
LOSS = nn.BCEWithLogitsLoss()
Change = Callable[[Tensor], Tensor]


def fresh(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    width = TRAIN.inputs.shape[1]
    for hidden in TABLE.preset.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, 1))


def trained(network: nn.Sequential, epochs: int, change: Change = lambda inputs: inputs) -> nn.Sequential:
    """The usual loop, with early stopping; `change` is what the network sees of a batch."""
    optimiser = torch.optim.Adam(network.parameters(), lr=BUDGET.learning_rate)
    best, kept, waited = np.inf, copy.deepcopy(network.state_dict()), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(TRAIN.inputs)).split(BUDGET.batch_size):
            optimiser.zero_grad()
            LOSS(network(change(TRAIN.inputs[rows]))[:, 0], TRAIN.targets[rows]).backward()
            optimiser.step()
        with torch.no_grad():
            loss = LOSS(network(change(VALIDATION.inputs))[:, 0], VALIDATION.targets).item()
        waited += 1
        if loss < best:
            best, kept, waited = loss, copy.deepcopy(network.state_dict()), 0
        elif BUDGET.patience is not None and waited >= BUDGET.patience:
            break
    network.load_state_dict(kept)
    return network


def with_sex(make: Change) -> Change:
    def change(inputs: Tensor) -> Tensor:
        inputs = inputs.clone()
        inputs[:, SEX] = make(inputs[:, SEX])
        return inputs

    return change


def folded(network: nn.Sequential) -> nn.Sequential:
    network = copy.deepcopy(network)
    with torch.no_grad():
        network[0].bias += network[0].weight[:, SEX] * TRAIN.inputs[:, SEX].mean()
        network[0].weight[:, SEX] = 0
    return network


VALUES = TRAIN.inputs[:, SEX]
CHANGES = {
    "stochastic_tuning": with_sex(lambda column: VALUES[torch.randint(len(VALUES), column.shape)]),
    "inversion_tuning": with_sex(lambda column: VALUES.min() + VALUES.max() - column),
    "shuffle_tuning": with_sex(lambda column: column[torch.randperm(len(column))]),
    "fold_tuning": with_sex(lambda column: VALUES.mean().expand_as(column)),
}


def edited(network: nn.Sequential, seed: int) -> Iterator[tuple[str, nn.Sequential]]:
    yield "original", network
    yield "retrain", folded(trained(fresh(seed), BUDGET.epochs, CHANGES["fold_tuning"]))
    for name, change in CHANGES.items():
        tuned = trained(copy.deepcopy(network), TUNING, change)
        yield name, folded(tuned) if name == "fold_tuning" else tuned
    for name in ("fold", "subset_fold", "subset_fold_dp", "constant"):
        yield name, folded(network)


def gradient_weight(network: nn.Sequential) -> Tensor:
    inputs = TEST.inputs.clone().requires_grad_()
    hidden = network[0](inputs)
    slope = torch.autograd.grad(network[1:](hidden).sum(), hidden)[0]
    return (slope[:, :, None] * network[0].weight.detach()).abs().sum(1).mean(0)


def lime(network: nn.Sequential, explainer: LimeTabularExplainer) -> np.ndarray:
    def predict(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.tensor(rows, dtype=torch.float32))[:, 0].double().numpy()

    scores = np.zeros(TRAIN.inputs.shape[1])
    for row in TEST.inputs[:LIME_ROWS].double().numpy():
        explained = explainer.explain_instance(row, predict, num_samples=SAMPLES, num_features=len(scores))
        for column, value in explained.local_exp[1]:
            scores[column] += abs(value) / LIME_ROWS
    return scores


class Estimator:
    def __init__(self, network: nn.Sequential) -> None:
        self.network = network

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> "Estimator":
        return self

    def score(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        with torch.no_grad():
            return -LOSS(self.network(torch.from_numpy(inputs))[:, 0], torch.from_numpy(targets)).item()


def scores(network: nn.Sequential, explainer: LimeTabularExplainer) -> Iterator[tuple[str, Tensor | np.ndarray]]:
    inputs = TEST.inputs
    yield "integrated_gradients", IntegratedGradients(network).attribute(inputs, target=0).abs().mean(0)[SEX]
    yield "gradient_weight", gradient_weight(network)[SEX]
    yield "lrp", LRP(network).attribute(inputs.clone().requires_grad_(), target=0).detach().abs().mean(0)[SEX]
    yield "lime", lime(network, explainer)[SEX]
    yield "permutation", permutation_importance(Estimator(network), TEST.inputs.numpy(), TEST.targets.numpy(),
                                                n_repeats=5, random_state=0).importances_mean[SEX]


def main() -> None:
    background = TRAIN.inputs.double().numpy()
    few = [column for column in range(background.shape[1]) if len(np.unique(background[:, column])) <= 2]
    explainer = LimeTabularExplainer(background, mode="regression", feature_selection="none", categorical_features=few,
                                     random_state=0)
    sums: dict[tuple[str, str], float] = {}
    for seed in range(SEEDS):
        original = trained(fresh(seed), BUDGET.epochs)
        for removal, network in edited(original, seed):
            for scorer, value in scores(network, explainer):
                sums[removal, scorer] = sums.get((removal, scorer), 0.0) + float(value) / SEEDS
    for (removal, scorer), value in sums.items():
        print(f"{removal:20s} {scorer:22s} {value:9.5f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
