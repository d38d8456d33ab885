"""`--proxies drop`: what predicts a removed feature goes with it, and what is measured is the feature."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_suite import plain_figures

from attribution_suite import audit, from_arrays, remove, train
from attribution_suite.auditing.spec import make_spec
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.results import Audit

QUIET: dict[str, Any] = {"seeds": 2, "rows": 20, "jobs": 1, "scorers": ["saliency"], "reference": "off"}


def table(columns: int = 4) -> TabularDataset:
    """y = a + p + b; p is a proxy of a, q of b, and neither tells of the other."""
    generator = np.random.default_rng(5)
    a, b, *noise = generator.standard_normal((4, 400))
    inputs = np.column_stack([a, a + 0.5 * noise[0], b, b + 0.5 * noise[1]])[:, :columns]
    found = from_arrays(inputs, 2 * a + inputs[:, 1] + b, name="small", feature_names=["a", "p", "b", "q"][:columns])
    return replace(found, preset=Preset("default", (8,), Training(12, 32, 0.02), tuning_epochs=2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, list[str]]:
    said: list[str] = []
    with plain_figures():
        found = audit(table(), remove=["a", "b"], removals=["fold", "leace"], proxies="drop", say=said.append,
                      out=tmp_path_factory.mktemp("drop"), **QUIET)
    assert not found.failed
    return found, said


def test_the_proxies_are_out_of_the_network(run: tuple[Audit, list[str]]) -> None:
    shares = run[0].table("attributions").set_index(["removal", "removed", "feature"]).share
    for removed, proxy, stays in (("a", "p", "b"), ("b", "q", "a")):
        for gone in (removed, proxy):
            assert (shares["original", "", gone] > 0.02).all() and (shares["fold", removed, gone] == 0).all()
        assert (shares["fold", removed, stays] > 0).all()


def test_it_is_the_joint_removal_of_the_feature_and_its_proxies(run: tuple[Audit, list[str]]) -> None:
    dataset = table().with_decoy()
    rows = run[0].table("outcomes").query("removed == 'a'").set_index(["removal", "seed"])
    originals = train(dataset, seeds=2).networks
    for method in ("fold", "leace"):
        outputs = remove(originals, dataset, ["a", "p"], method).outputs(dataset.test.inputs)[..., 0]
        loss = (outputs - dataset.test.targets).square().mean(1)
        np.testing.assert_allclose(rows.loc[method].loss_native, loss, rtol=1e-4)


def test_what_is_measured_is_the_feature(run: tuple[Audit, list[str]]) -> None:
    """Names and verdicts are the feature's own; with its proxies out no probe finds it, with them in one does."""
    verdicts = run[0].verdicts.set_index(["removed", "removal"])
    assert list(verdicts.index) == [(removed, removal) for removed in ("a", "b")
                                    for removal in ("original", "fold", "leace")]
    assert (verdicts.direct.drop("original", level="removal") == "proved none").all()
    dataset = table().with_decoy()
    kept = remove(train(dataset, seeds=2).networks, dataset, "a", "fold").outputs(dataset.test.inputs)[..., 0]
    correlation = np.corrcoef(kept.numpy(), dataset.test.inputs[:, 0].numpy())[:2, 2]
    assert (correlation**2 > 0.3).all() and verdicts.recovered_output["a", "fold"] < 0.1


def test_what_went_is_said(run: tuple[Audit, list[str]]) -> None:
    found, said = run
    assert "small: with a go its proxies: p" in said and "small: with b go its proxies: q" in said
    assert json.loads((found.path / "run.json").read_text())["datasets"]["small"]["proxies_gone"] == {
        "a": ["p"], "b": ["q"]}
    assert "With a go its proxies: p." in (found.path / "report.html").read_text()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hidden units have no proxies"):
        make_spec(["iris"], layer=1, proxies="drop")
    with pytest.raises(InputError, match="proxies 'residual'"):
        make_spec(["iris"], proxies="residual")
    with pytest.raises(InputError, match="all that there is"):
        audit(table(2), remove=["a"], proxies="drop", out=tmp_path, say=lambda line: None, **QUIET)
