"""`--proxies`: what predicts a removed feature goes with it, or stays as a residual; the feature is measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_suite import plain_figures
from sklearn.linear_model import LinearRegression

from attribution_suite import audit, from_arrays, remove, train
from attribution_suite.auditing.spec import make_spec
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.exported import read_network
from attribution_suite.results import Audit

QUIET: dict[str, Any] = {"seeds": 2, "rows": 20, "jobs": 1, "scorers": ["saliency"], "reference": "off"}


def table(columns: int = 4) -> TabularDataset:
    """y = a + p + b; p is a proxy of a, q of b, and neither tells of the other; c is of no one."""
    generator = np.random.default_rng(5)
    a, b, *noise = generator.standard_normal((4, 400))
    c = np.random.default_rng(6).standard_normal(400)
    inputs = np.column_stack([a, a + 0.5 * noise[0], b, b + 0.5 * noise[1], c])[:, :columns]
    found = from_arrays(inputs, 2 * a + inputs[:, 1] + b, name="small", feature_names=list("apbqc")[:columns])
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


def residuals(dataset: TabularDataset) -> TabularDataset:
    """The scaled table with p less its least squares on a, by hand."""
    inputs = dataset.rows(np.arange(400)).inputs.double().numpy()
    fit = LinearRegression().fit(inputs[dataset.train_rows][:, :1], inputs[dataset.train_rows, 1])
    inputs[:, 1] -= fit.coef_[0] * (inputs[:, 0] - inputs[dataset.train_rows, 0].mean())
    return replace(dataset, inputs=inputs.astype(np.float32), scaling="none")


def test_residuals_of_the_proxies_are_what_the_removal_begins_from(tmp_path: Path) -> None:
    """Each network is that of rows whose proxies are residuals, as one of the rows themselves, which reads a."""
    methods = ["fold", "retrain", "leace", "stochastic_tuning?then=fold"]
    said: list[str] = []
    with plain_figures():
        found = audit(table(5), remove=["a", "c"], removals=methods, proxies="residualise", say=said.append,
                      out=tmp_path, **QUIET)
    assert not found.failed and "small: with a its proxies become residuals: p" in said
    assert "With a its proxies become residuals" in (tmp_path / "report.html").read_text()
    dataset = table(5).with_decoy()
    mapped, originals = residuals(dataset), train(dataset, seeds=2).networks
    outcomes = found.table("outcomes").set_index(["removed", "removal"])
    verdicts = found.verdicts.set_index(["removed", "removal"])
    for method in methods:
        edited = remove(originals, mapped, "a", method, tuning=0.25)  # of the rows made by hand
        outputs = edited.outputs(mapped.test.inputs)[..., 0]
        loss = (outputs - mapped.test.targets).square().mean(1)
        np.testing.assert_allclose(outcomes.loc[("a", method)].loss_native, loss, rtol=1e-3)
        exported = read_network(found.export(method, "a", seed=0))
        quiet = mapped.test.inputs.clone()
        quiet[:, 5] = 0  # the decoy, which is not exported
        np.testing.assert_allclose(exported.outputs(dataset.test.inputs[:, :5])[0], edited.outputs(quiet)[0], atol=1e-4)
        assert exported.weights[0][..., 0].any()
        # Where nothing is a proxy, nothing reads the feature.
        assert verdicts.direct["a", method] == "present by design" and verdicts.direct["c", method] == "proved none"
        assert set(outcomes.reads["a", method]) == {"at inference"} != set(outcomes.reads["c", method])
    with_proxy = remove(originals, dataset, "a", "fold").outputs(dataset.test.inputs)[..., 0].numpy()
    told = [np.corrcoef(values, dataset.test.inputs[:, 0])[0, 1]**2 for values in (
        with_proxy[0], read_network(found.export("fold", "a", seed=0)).outputs(dataset.test.inputs[:, :5])[0, :, 0])]
    assert told[0] > 0.3 and told[1] < 0.1


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for proxies in ("drop", "residualise"):
        with pytest.raises(InputError, match="hidden units have no proxies"):
            make_spec(["iris"], layer=1, proxies=proxies)
    with pytest.raises(InputError, match="proxies 'residual'"):
        make_spec(["iris"], proxies="residual")
    with pytest.raises(InputError, match="all that there is"):
        audit(table(2), remove=["a"], proxies="drop", out=tmp_path, say=lambda line: None, **QUIET)
