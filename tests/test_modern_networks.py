"""Tabular networks as their packages make them, on heart: a whole audit each, and what it says tried by hand.

RealMLP's where the extra 'models' is installed: `pip install -c constraints.txt -e '.[models,test]'`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rtdl_revisiting_models import FTTransformer
from tabm import TabM
from torch import Tensor, nn

from attribution_suite import audit, from_arrays, remove, worst_case
from attribution_suite.datasets.heart import SOURCE, TARGET
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.seeding import seeded

NUMBERS = ["Age", "RestingBP", "Cholesterol", "MaxHR", "Oldpeak"]
CATEGORIES = ["Sex", "ChestPainType", "FastingBS", "RestingECG", "ExerciseAngina", "ST_Slope"]


def heart() -> TabularDataset:
    """Five numbers and six categories by their number, as these networks take them."""
    frame, _ = SOURCE.table(DatasetRequest("heart"))
    numbers = frame[NUMBERS].to_numpy(float)
    codes = [np.unique(frame[name], return_inverse=True)[1] for name in CATEGORIES]
    columns = np.column_stack([(numbers - numbers.mean(0)) / numbers.std(0), *codes])
    return from_arrays(columns, frame[TARGET].to_numpy(), feature_names=[*NUMBERS, *CATEGORIES], name="heart",
                       index_columns=CATEGORIES)


TABLE = heart()
SIZES = [int(TABLE.inputs[:, column].max()) + 1 for column in TABLE.index]
TEST = TABLE.test.inputs


class Two(nn.Module):
    """Splits a row into numbers and indices, and takes the mean over the members that TabM has."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.model(rows[:, :5], rows[:, 5:].long())
        return outputs.mean(1) if outputs.dim() == 3 else outputs


def tabm() -> nn.Module:
    return Two(TabM.make(n_num_features=5, cat_cardinalities=SIZES, d_out=1, k=4, n_blocks=2, d_block=16))


def ft_transformer() -> nn.Module:
    return Two(FTTransformer(n_cont_features=5, cat_cardinalities=SIZES, d_out=1, n_blocks=1, d_block=8,
                             attention_n_heads=2, attention_dropout=0.1, ffn_d_hidden_multiplier=2.0,
                             ffn_dropout=0.1, residual_dropout=0.0))


def trained(make: Callable[[], nn.Module]) -> nn.Module:
    with seeded(0):
        model = make()
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
        for _ in range(40):
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(TABLE.train.inputs)[:, 0],
                                                           TABLE.train.targets).backward()
            optimiser.step()
    return model.eval().requires_grad_(True)


def logits(model: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return model(rows)[:, 0]


def worst_by_hand(f: Callable[[Tensor], Tensor], column: int) -> float:
    native, each = f(TEST), []
    for value in TABLE.train.inputs[:, column].unique():
        rows = TEST.clone()
        rows[:, column] = value
        each.append(float((f(rows) - native).abs().max()))
    return max(each)


@pytest.mark.parametrize("make", [tabm, ft_transformer])
def test_a_whole_audit_of_a_network(make: Callable[[], nn.Module], tmp_path: Path, plain: None) -> None:
    model = trained(make)
    said: list[str] = []
    result = audit(TABLE, networks=model, remove=["ST_Slope", "Oldpeak"],
                   removals=["constant", "fold", "retrain"], scorers=["permutation", "saliency", "lime"],
                   rows=40, lime_rows=2, lime_samples=50, training=Training(2, 64, 1e-2), information="off",
                   out=tmp_path, jobs=1, say=said.append)
    assert not result.failed, result.failed
    verdicts = result.verdicts.set_index(["removal", "removed"])
    column = TABLE.feature_names.index("ST_Slope")
    found: Any = verdicts.loc[("original", "ST_Slope")]
    assert found.direct == "present"
    exact = worst_case(model, TABLE, "ST_Slope")
    assert exact.method == ("exact",)
    assert float(exact.effect) == pytest.approx(worst_by_hand(lambda rows: logits(model, rows), column), rel=1e-4)
    assert verdicts.loc[("constant", "Oldpeak"), "direct"] == "proved none"
    assert verdicts.loc[("fold", "Oldpeak"), "direct"] == "proved none"
    assert verdicts.loc[("retrain", "ST_Slope"), "direct"] == "proved none"
    assert any("not applicable" in line and "fold of ST_Slope" in line for line in said)


def test_the_mean_embedding_of_a_transformer_by_hand() -> None:
    model: Any = trained(ft_transformer)
    edited = remove(model, TABLE, "ST_Slope", "constant")
    with torch.no_grad():
        embedding = model.model.cat_embeddings.embeddings[5]
        mean = embedding(TABLE.train.inputs[:, 10].long()).mean(0)
        handle = embedding.register_forward_hook(lambda _, __, output: mean.expand_as(output))
        expected = model(TEST)
        handle.remove()
    torch.testing.assert_close(edited.outputs(TEST)[0], expected, rtol=1e-4, atol=1e-5)
    assert (expected[:, 0] - logits(model, TEST)).abs().max() > 0.05
    assert worst_case(edited, TABLE, "ST_Slope").method == ("algebra",)


def test_a_whole_audit_of_realmlp(tmp_path: Path, plain: None) -> None:
    package = pytest.importorskip("pytabkit", reason="pytabkit is not installed")
    model = package.RealMLP_TD_Classifier(device="cpu", random_state=0, n_cv=1, n_refit=0, n_epochs=8, verbosity=0,
                                          hidden_sizes=[32, 32], n_threads=1)
    model.fit(TABLE.train.inputs.numpy(), TABLE.train.targets.numpy().astype(int))
    result = audit(TABLE, networks=model, remove=["ST_Slope", "Oldpeak"], removals=["constant", "fold"],
                   scorers=["permutation", "feature_ablation", "lime"], rows=20, lime_rows=2, lime_samples=50,
                   out=tmp_path, jobs=1, say=lambda _: None)
    assert not result.failed, result.failed
    verdicts = result.verdicts.set_index(["removal", "removed"])
    assert (verdicts.loc[[("constant", "Oldpeak"), ("fold", "Oldpeak")], "direct"] == "proved none").all()

    def log_odds(rows: Tensor) -> Tensor:
        p = torch.from_numpy(model.predict_proba(rows.numpy()))[:, 1].double().clamp(1e-7, 1 - 1e-7)
        return p.logit()

    exact = worst_case(model, TABLE, "ST_Slope")
    assert exact.method == ("exact",)
    assert float(exact.effect) == pytest.approx(worst_by_hand(log_odds, 10), rel=1e-3)
