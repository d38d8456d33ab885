"""Options behind a name, NAME?option=value&option2=value: read, refused, kept in every table, and obeyed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr import IntegratedGradients
from command import BRIEF, NO_DATA, SMALL, call_main

from attribution_suite import attribute, load_dataset, remove, train
from attribution_suite.auditing.code_digest import plug_in_digest
from attribution_suite.auditing.spec import PROFILES, make_spec
from attribution_suite.command_line import parser
from attribution_suite.datasets.preset import Training
from attribution_suite.errors import InputError
from attribution_suite.options import checked_options
from attribution_suite.registry import bare, canonical, options_in
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.choice import Choice
from attribution_suite.tables import TABLES

ASKED = ("captum:NoiseTunnel(Saliency)?nt_samples=2&stdevs=0.1", "captum:IntegratedGradients?n_steps=50")
FAST = "integrated_gradients?steps=50"
ZERO = "constant?constant=zero"


@pytest.mark.parametrize(("text", "value"), [
    ("3", 3), ("0.5", 0.5), ("1e-6", 1e-6), ("true", True), ("False", False), ("none", None), ("(1,)", (1,)),
    ("zero", "zero"), ("010", "010"), ("-1", -1)])
def test_a_value_is_read_as_python_writes_it_else_as_a_word(text: str, value: object) -> None:
    read = options_in(f"name?option={text}")["option"]
    assert read == value and type(read) is type(value)
    assert options_in(canonical(f"name?option={text}"))["option"] == value


def test_one_name_for_what_means_the_same() -> None:
    assert canonical("a?y=0.50&x=true") == canonical(" a? x = True &y=0.5") == "a?x=True&y=0.5"
    assert canonical("a") == bare("a?x=1") == "a" and options_in("a") == {}
    spec = make_spec(["iris"], scorers=["lime?samples=200", "lime? samples =200", IntegratedGradients, "lime"],
                     removals=["subset_fold?search=exhaustive&nodes=2", "subset_fold?nodes=2&search=exhaustive"])
    assert spec.scorers == ("lime?samples=200", "captum:IntegratedGradients", "lime")
    assert spec.removals == ("subset_fold?nodes=2&search=exhaustive",)


@pytest.mark.parametrize(("name", "options", "message"), [
    ("lime?samples", {}, "'lime.samples': options are written lime.option=value&option2=value, got 'samples'"),
    ("lime?", {}, "options are written"), ("lime?samples=", {}, "options are written"),
    ("lime?samples=3&samples=4", {}, "option 'samples' is given twice"),
    ("lime?samples=30", {"samples": 40}, "option 'samples' of lime is given twice: in its name and beside it"),
    ("lime?sample=3", {}, "unknown option of lime 'sample'; did you mean samples"),
    ("lime?samples=1", {}, "option 'samples' of lime must be a whole number of at least 2, got 1"),
    ("lmie?samples=3", {}, "unknown scorer 'lmie'; did you mean lime"),
    ("saliency?steps=3", {}, "unknown option of saliency 'steps': it takes none"),
])
def test_wrong_options_are_named(name: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_options(SCORERS, name, options)


@pytest.mark.parametrize(("words", "message"), [
    ({"removals": ["constant?constant=median"]}, "option 'constant' of constant must be one of zero, mean, best"),
    ({"removals": ["sham?x=1"]}, "unknown option of sham"),
    ({"removals": ["constnt?constant=zero"]}, "unknown removal 'constnt'; did you mean constant"),
    ({"scorers": ["layer_conductance?steps=5"]}, "scores hidden units only: add layer 1"),
    ({"scorers": ["captum:LayerLRP@2"], "layer": 1}, "captum:LayerLRP@2 scores the units of layer 2: add layer 2"),
    ({"scorers": ["captum:NeuronGradient@1:0"], "layer": 1}, "scores the inputs: leave out layer 1"),
])
def test_a_spec_refuses_what_no_run_could_do(words: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_spec(["iris"], **words)
    make_spec(["iris"], scorers=["layer_conductance?steps=5", "captum:LayerLRP@1"], layer=1)  # the control


def test_the_names_own_options_win_over_the_profile_and_the_published_ones() -> None:
    assert Choice.of("lime?samples=77", PROFILES["quick"]).options == {}
    assert Choice.of("lime", PROFILES["quick"]).options == {"samples": 1000}
    made = REMOVALS.make("stochastic_tuning?published=False&deviation=0.5", published=True)
    assert (made.published, made.deviation) == (False, 0.5)
    assert REMOVALS.make("stochastic_tuning?deviation=0.5", published=True).published


def test_what_knows_a_method_knows_it_with_options() -> None:
    assert plug_in_digest(REMOVALS, ZERO) is None
    assert REMOVALS.load(ZERO) is REMOVALS.load("constant")
    words = parser().parse_args(["run", "iris", "--scorers", "captum:Occlusion?sliding_window_shapes=(1,),lime"])
    assert words.scorers == ["captum:Occlusion?sliding_window_shapes=(1,)", "lime"]


def test_the_library_takes_options_in_the_name_and_beside_it() -> None:
    data = load_dataset("iris")
    networks = train(data, seeds=2, training=Training(3, 16, 0.05)).networks
    named, beside, plain = (attribute(networks, data, scorer, rows=5, **options) for scorer, options in (
        (FAST.replace("50", "3"), {}), ("integrated_gradients", {"steps": 3}), ("integrated_gradients", {})))
    assert torch.equal(named.values, beside.values) and not torch.allclose(named.values, plain.values, rtol=1e-4)
    assert named.to_frame().scorer.unique() == ["integrated_gradients?steps=3"]
    zero, same, mean = (remove(networks, data, "petal_width", method, **options).first_bias for method, options in (
        (ZERO, {}), ("constant", {"constant": "zero"}), ("constant", {})))
    assert torch.equal(zero, same) and torch.equal(zero, networks.first_bias) and not torch.equal(zero, mean)
    units = attribute(networks, data, "captum:LayerActivation@1", rows=5)
    torch.testing.assert_close(units.values, networks.activations(data.test.inputs[:5])[1])
    assert units.features == tuple(f"unit:{unit}" for unit in range(12))
    with pytest.raises(InputError, match="scores the units of layer 1: add layer 1"):
        attribute(networks, data, "captum:LayerActivation@1", rows=5, layer=0)


def test_an_audit_by_names_with_options(tmp_path: Path) -> None:
    """Captum's integrated gradients are the fast ones, in every table by the names that were written."""
    status, out, err = call_main(
        "run", "iris", *SMALL, *BRIEF, "--remove", "petal_width", "--scorers", ",".join((*ASKED, FAST)),
        "--removals", f"{ZERO},constant", "--jobs", "1", "--out", "run", cwd=tmp_path, **NO_DATA)
    assert status == 0, err
    tables = {name: pd.read_parquet(tmp_path / "run" / f"{name}.parquet") for name in TABLES}
    assert tables["failures"].empty and f" {ZERO} " in out
    shares = tables["attributions"].set_index(["removal", "seed", "feature", "scorer"]).share.unstack()
    assert list(shares.columns) == sorted((*ASKED, FAST)) and shares.notna().all(axis=None)
    np.testing.assert_allclose(shares[ASKED[1]], shares[FAST], rtol=1e-4, atol=1e-6)
    assert not np.allclose(shares[ASKED[0]], shares[FAST], rtol=1e-2)
    outcomes = tables["outcomes"][tables["outcomes"].removed != ""].set_index(["removal", "seed"])
    assert {ZERO, "constant"} < set(outcomes.index.get_level_values(0))
    assert set(pd.read_parquet(tmp_path / "run" / "verdicts.parquet").removal) == {"original", ZERO, "constant"}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert all(name.replace("&", "&amp;") in page for name in (*ASKED, FAST, ZERO))
