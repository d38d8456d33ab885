"""Networks that return probabilities: refused unless declared, and then explained by their logits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attribution_suite import InputError, attribute, audit, from_arrays, worst_case
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.wrapped import Logits

pytestmark = pytest.mark.usefixtures("plain")

FEATURES = 4
ROWS = np.random.default_rng(0).standard_normal((300, FEATURES))
BINARY = from_arrays(ROWS, ROWS[:, 0] > 0, name="two")
THREE = from_arrays(ROWS, np.digitize(ROWS[:, 0], [-0.5, 0.5]), name="three", task="multiclass")


class Ended(nn.Module):
    """A network and what ends it."""

    def __init__(self, outputs: int, end: nn.Module, flat: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Linear(FEATURES, 8), nn.GELU(), nn.Linear(8, outputs))
        self.end, self.flat = end, flat

    def forward(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.end(self.body(rows))
        return outputs[:, 0] if self.flat else outputs


CASES = [(BINARY, 1, nn.Sigmoid(), False), (BINARY, 1, nn.Sigmoid(), True), (THREE, 3, nn.Softmax(1), False)]


@pytest.mark.parametrize(("table", "count", "end", "flat"), CASES, ids=["sigmoid", "flat", "softmax"])
def test_probabilities_are_refused_unless_declared(table: TabularDataset, count: int, end: nn.Module, flat: bool,
                                                   tmp_path: Path) -> None:
    module = Ended(count, end, flat)
    calls = [lambda: as_ensemble(module, table), lambda: attribute(module, table, "saliency"),
             lambda: worst_case(module, table, table.feature_names[0]),
             lambda: audit(table, networks=module, out=tmp_path, say=lambda _: None)]
    for call in calls:
        with pytest.raises(InputError, match="outputs='probability'"):
            call()
    plain = as_ensemble(Ended(count, nn.Identity(), flat), table).outputs(table.test.inputs)
    logits = as_ensemble(module, table, "probability").outputs(table.test.inputs)
    # A softmax has lost what all logits share; differences between classes are as they were.
    shared = (logits - plain).mean(2, keepdim=True) if count > 1 else 0.0
    torch.testing.assert_close(logits - shared, plain, atol=1e-4, rtol=1e-4)
    kept = as_ensemble(module, table, "logit").outputs(table.test.inputs)
    assert kept.min() >= 0 and kept.max() <= 1  # declared as what they are not, they are taken at their word


def test_the_audit_explains_the_logits(tmp_path: Path) -> None:
    words = {"remove": "x0", "removals": ["constant"], "scorers": ["saliency"], "jobs": 1, "say": lambda _: None}
    module, plain = Ended(1, nn.Sigmoid()), Ended(1, nn.Identity())
    declared = audit(BINARY, networks=module, outputs="probability", out=tmp_path / "p", **words)
    logits = audit(BINARY, networks=plain, out=tmp_path / "l", **words)
    for table, column in (("attributions", "mean_abs"), ("outcomes", "worst_case"), ("outcomes", "loss_native")):
        np.testing.assert_allclose(declared.table(table)[column], logits.table(table)[column], rtol=1e-3)


def test_a_saturated_probability_keeps_a_finite_logit() -> None:
    ends = Logits(nn.Identity())(torch.tensor([[0.0], [1.0], [0.5]]))
    assert torch.isfinite(ends).all() and ends[2] == 0
    torch.testing.assert_close(ends[:2, 0], torch.tensor([-16.118, 15.942]), atol=0.2, rtol=0)


def test_what_are_no_probabilities_passes() -> None:
    as_ensemble(Ended(1, nn.Identity()), BINARY)
    as_ensemble(Ended(3, nn.Sigmoid()), THREE)  # within [0, 1], but no distribution over the classes
    as_ensemble(Ended(1, nn.Sigmoid()), from_arrays(ROWS, ROWS[:, 0], name="number"))
    with pytest.raises(InputError, match="outputs"):
        as_ensemble(Ended(1, nn.Sigmoid()), BINARY, "odds")
