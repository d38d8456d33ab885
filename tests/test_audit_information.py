"""An audit's tables `information` and `proxies` hold what the measures say of its networks, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attribution_suite import audit, information, load_dataset, remove, train
from attribution_suite.auditing.rules import Rules
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.measures.information.dependence import distance_correlation
from attribution_suite.measures.information.probes import ridge_probe
from attribution_suite.measures.information.proxies import forward_selection
from attribution_suite.measures.information.targets import Target

pytestmark = pytest.mark.usefixtures("plain")
QUIET: dict[str, Any] = {"jobs": 1, "device": "cpu", "seeds": 2, "rows": 20, "removals": ["fold"], "tuning": 0.05,
                         "scorers": ["saliency"], "reference": "off", "say": lambda line: None}


def briefly_trained(name: str) -> TabularDataset:
    """A data set whose networks are trained for ten epochs: what is shown here holds of any."""
    dataset = load_dataset(name)
    return replace(dataset, preset=replace(dataset.preset, training=replace(dataset.preset.training, epochs=10)))


@pytest.fixture(scope="module")
def heart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    result = audit(briefly_trained("heart"), out=tmp_path_factory.mktemp("heart"), remove=["Sex", "Age"],
                   information="full", conditional_on=["Cholesterol"], **QUIET)
    return {name: result.table(name) for name in ("information", "proxies")}


def test_the_rows_are_what_the_measures_say_of_the_same_networks(heart: dict[str, pd.DataFrame]) -> None:
    dataset = briefly_trained("heart").with_decoy()
    originals = train(dataset, seeds=2).networks
    rows = dataset.test.inputs
    for feature in ("Sex", "Age"):
        columns = list(dataset.columns(feature))
        target = Target.of(rows[:, columns])
        for removal, networks in (("original", originals), ("fold", remove(originals, dataset, feature, "fold"))):
            told = heart["information"].query("removal == @removal and removed == @feature and given == ''")
            told = told.set_index(["where", "measure", "seed"]).sort_index()
            for where, shown in (("output", networks.outputs(rows)), ("layer:2", networks.activations(rows)[2])):
                probe = ridge_probe(shown, target)
                for name in ("value", "low", "high", "control", "p", "power"):
                    np.testing.assert_allclose(told.loc[(where, "ridge")][name], getattr(probe, name), atol=1e-6)
                assert tuple(told.loc[(where, "ridge")].state) == probe.state
            np.testing.assert_allclose(told.loc[("output", "distance_correlation")].value, distance_correlation(
                networks.outputs(rows).numpy(), rows[:, columns].numpy()), atol=1e-4)
            assert (("inputs", "ridge", 0) in told.index) == (removal == "original")  # the ceiling
    assert set(heart["information"].query("measure == 'boosted'")["where"]) == {"output", "layer:2", "inputs"}
    assert set(heart["information"].query("measure == 'ridge'")["where"]) == {"output", "layer:1", "layer:2", "inputs"}
    assert set(heart["information"].given) == {"", dataset.target_name, "Cholesterol", "Sex=M", "not Sex=M"}


@pytest.mark.parametrize(("feature", "removal"), [("Sex", "original"), ("Age", "fold")])
def test_the_library_tells_the_same(heart: dict[str, pd.DataFrame], feature: str, removal: str) -> None:
    dataset = briefly_trained("heart").with_decoy()
    networks = train(dataset, seeds=2).networks
    if removal != "original":
        networks = remove(networks, dataset, feature, removal)
    told = information(networks, dataset, feature, profile="full", conditional_on="Cholesterol")
    assert len(told) == 2
    questions = ["where", "measure", "given", "seed"]
    for found, table in ((told.to_frame(), "information"), (told.proxies, "proxies")):
        keys = questions if table == "information" else ["proxy", "seed"]
        kept = heart[table].query("removal == @removal and removed == @feature").set_index(keys).sort_index()
        found = found.rename(columns={"member": "seed"}).set_index(keys).sort_index()
        if table == "information" and removal != "original":  # an audit asks the ceiling of the originals alone
            assert set(found.loc["inputs"].index.get_level_values("measure")) == {"ridge", "boosted"}
            found = found.drop("inputs")
        pd.testing.assert_frame_equal(found, kept[found.columns], rtol=1e-4, atol=1e-6, check_dtype=False)


def test_the_library_asks_less_by_default_and_refuses_what_makes_no_sense() -> None:
    dataset = briefly_trained("heart")
    networks = train(dataset, seeds=1)
    told = information(networks, dataset, ["Sex", "Age"]).to_frame()
    assert set(told.measure) == {"ridge", "distance_correlation"} and set(told.given) == {""}
    assert set(told["where"]) == {"output", "layer:2", "inputs"}
    for words, complaint in (({"profile": "off"}, "profile"), ({"margin": 0.5}, "below 0.5"),
                             ({"conditional_on": "Agee"}, "did you mean Age"),
                             ({"conditional_on": ["Cholesterol", "Sex"]}, "given Sex nothing more"),
                             ({"favourable": "nobody"}, "nobody")):
        with pytest.raises(InputError, match=complaint):
            information(networks, dataset, "Sex", **words)


def test_rates_are_told_of_categories_alone(heart: dict[str, pd.DataFrame]) -> None:
    dataset = briefly_trained("heart").with_decoy()
    ill = train(dataset, seeds=2).networks.outputs(dataset.test.inputs)[..., 0].numpy() > 0
    men = dataset.inputs[dataset.test_rows, dataset.columns("Sex")[0]] == 1
    rates = heart["information"].query("removal == 'original' and metric == 'rate'")
    assert set(rates.removed) == {"Sex"}
    told = rates.query("measure == 'favourable_rate'").set_index(["given", "seed"]).value
    np.testing.assert_allclose(told.loc["Sex=M"], ill[:, men].mean(1))
    np.testing.assert_allclose(told.loc["not Sex=M"], ill[:, ~men].mean(1))
    assert (rates.low < rates.value).all() and (rates.value < rates.high).all()


def test_proxies_are_those_of_the_training_rows(heart: dict[str, pd.DataFrame]) -> None:
    dataset = load_dataset("heart").with_decoy()
    chosen = forward_selection(dataset.train.inputs, dataset.groups, dataset.columns("Age"))
    for _, told in heart["proxies"].query("removed == 'Age'").groupby(["removal", "seed"]):
        assert tuple(told.proxy) == chosen.names and list(told.order) == [*range(1, len(chosen.names) + 1)]
        np.testing.assert_allclose(told.r2_added, chosen.added)
        assert told.part.notna().all()
    assert set(heart["proxies"].removal) == {"original", "fold"}


def test_nothing_is_asked_where_it_is_off_or_of_hidden_units(tmp_path: Path) -> None:
    for name, options in (("off", {"information": "off"}), ("hidden", {"layer": 1, "remove": "unit:1"})):
        result = audit(briefly_trained("synthetic"), out=tmp_path / name, **QUIET, **options)
        assert not result.failed and result.table("information").empty and result.table("proxies").empty


def test_bad_options_are_refused_before_anything_runs(tmp_path: Path) -> None:
    for options, complaint in (({"information": "some"}, "information"), ({"information_margin": 0.7}, "below 0.5"),
                               ({"conditional_on": ["nobody"]}, "nobody"), ({"favourable": "nobody"}, "nobody"),
                               ({"conditional_on": "nobody"}, "nobody"),
                               ({"information": "off", "conditional_on": ["Age"]}, "leave out")):
        with pytest.raises(InputError, match=complaint):
            audit("heart", out=tmp_path, **QUIET, **options)
    assert Rules().information == "quick"
