"""Whatever a caller gets wrong is an InputError in the caller's own words, never Python's TypeError from below."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from captum.attr import NoiseTunnel
from torch import nn

from attribution_suite import Training, attribute, audit, from_arrays, load_dataset, neurons, remove, report, train
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.perceptrons import Perceptrons

pytestmark = pytest.mark.usefixtures("plain")

SHORT = Training(1, 50, 1e-2)


@pytest.fixture(scope="module")
def iris() -> TabularDataset:
    return load_dataset("iris")


@pytest.fixture(scope="module")
def networks(iris: TabularDataset) -> Perceptrons:
    return train(iris, seeds=2, training=SHORT).networks


def quiet(line: str) -> None:
    """For `say`."""


DATA: dict[str, tuple[Callable[[], Any], str]] = {
    "a list in a list": (lambda: audit([["boston"]]), r"a data set is a name.*got a list: \['boston'\]"),
    "a number": (lambda: audit(5), "a data set is a name.*got a int: 5"),
    "None": (lambda: audit(None), "a data set is a name.*got a NoneType"),
    "a DataFrame": (lambda: audit(pd.DataFrame({"a": [1]})), "table: name the column to predict"),
    "an array to train": (lambda: train(np.zeros((3, 2))), "made by `from_arrays`, got a ndarray"),
    "a name": (lambda: train("bosten"), "did you mean boston"),
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_are_none(case: str) -> None:
    call, message = DATA[case]
    with pytest.raises(InputError, match=message):
        call()


AUDITS: list[tuple[dict[str, Any], str]] = [
    ({"seed": 5}, "unknown option of audit 'seed'; did you mean seeds"),
    ({"scorers": [nn.Linear]}, "a scorer is a name such as .*, or a class or an object of captum.attr, got <class"),
    ({"scorers": [NoiseTunnel]}, "captum:NoiseTunnel goes around another class"),
    ({"scorers": "lime"}, "option 'scorers' is a list of names, got 'lime'"),
    ({"scorers": 3}, "option 'scorers' is a list of names, got 3"),
    ({"scorers": ["lmie"]}, "unknown scorer 'lmie'; did you mean lime"),
    ({"removals": "retrain"}, "option 'removals' is a list of names, got 'retrain'"),
    ({"removals": [None]}, "option 'removals' is a list of names, and None is none"),
    ({"remove": 3}, "option 'remove' is a list of names, got 3"),
    ({"remove": []}, "option 'remove': name at least one"),
    ({"seeds": "five"}, "option 'seeds' must be a whole number of at least 1, got 'five'"),
    ({"seeds": 0}, "option 'seeds' must be a whole number of at least 1, got 0"),
    ({"seeds": True}, "option 'seeds' must be a whole number of at least 1, got True"),
    ({"rows": 2.5}, "option 'rows' must be a whole number of at least 2, got 2.5"),
    ({"tuning": "all"}, "option 'tuning' must be a finite number above 0"),
    ({"tuning": float("inf")}, "option 'tuning' must be a finite number above 0"),
    ({"jobs": "2"}, "option 'jobs' must be a whole number of at least 1, got '2'"),
    ({"layer": 1.5}, "option 'layer' is 0 for the input, or the number or name of a hidden layer, got 1.5"),
    ({"layer": "1"}, "option 'layer': '1' is a name, and networks that are trained here have numbered layers"),
    ({"layer": 9}, "layer 9 does not exist"),
    ({"inside": 2.5}, "hidden layer '2.5'"),
    ({"profile": 5}, "unknown profile '5'; known: quick, full"),
    ({"profile": ["full"]}, "unknown profile"),
    ({"preset": ["published"]}, r"option 'preset' is a string, got \['published'\]"),
    ({"preset": "publshed"}, "unknown preset 'publshed'; did you mean published"),
    ({"pca": "2"}, "option 'pca' '2': iris has 1 to 4"),
    ({"task": 1}, "option 'task' is a string, got 1"),
    ({"target": "y"}, "iris has its own target"),
    ({"device": 5}, "unknown device '5'; known: auto, cpu, cuda"),
    ({"data_dir": 5}, "option 'data_dir' is a string, got 5"),
    ({"training": "short", "networks": nn.Linear(4, 3)}, "option 'training' is a Training.*got 'short'"),
    ({"networks": [1, 2]}, r"networks are an nn.Module, .* got \[1, 2\]"),
    ({"networks": 5}, "networks are an nn.Module, .* got 5"),
    ({"networks": []}, r"networks are an nn.Module, .* got \[\]"),
    ({"networks": nn.Linear}, "networks are an nn.Module, .* got <class"),
    ({"networks": nn.Linear(4, 3), "seeds": 5}, "1 networks are given for 5 seeds"),
    ({"out": 5}, "option 'out' is the path of a folder, got 5"),
    ({"say": None}, "option 'say' is a function"),
]


@pytest.mark.parametrize(("words", "message"), AUDITS, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_words_of_an_audit(tmp_path: Path, words: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit("iris", **{"out": tmp_path / "out", "say": quiet, **words})
    assert list(tmp_path.iterdir()) == []


CALLS: list[tuple[Callable[[Perceptrons, TabularDataset], Any], str]] = [
    (lambda n, d: audit("iris", "boston"), "audit: too many positional arguments; it is called as audit"),
    (lambda n, d: train(), "train: missing a required argument: 'dataset'"),
    (lambda n, d: train(d, seeds=0), "option 'seeds' must be a whole number of at least 1, got 0"),
    (lambda n, d: train(d, seeds=[]), r"option 'seeds'.*got \[\]"),
    (lambda n, d: train(d, seeds=[1, -1]), r"option 'seeds'.*at least 0, got -1"),
    (lambda n, d: train(d, seeds="two"), "option 'seeds'.*got 'two'"),
    (lambda n, d: train(d, seeds=2.5), "option 'seeds'.*got 2.5"),
    (lambda n, d: train(d, epochs=3), "unknown option of train 'epochs'"),
    (lambda n, d: train(d, training=3), "option 'training' is a Training.*got 3"),
    (lambda n, d: train(d, device="gpu"), "unknown device 'gpu'"),
    (lambda n, d: train("iris", preset=5), "option 'preset' is a string, got 5"),
    (lambda n, d: attribute(n, d, nn.Linear), "a scorer is a name such as .*, or a class or an object of captum"),
    (lambda n, d: attribute(n, d, None), "a scorer is a name such as .* got None"),
    (lambda n, d: attribute(n, d), "attribute: missing a required argument: 'scorer'"),
    (lambda n, d: attribute(None, d, "saliency"), "networks are an nn.Module.*got None"),
    (lambda n, d: attribute(n, d, "saliency", rows="all"), "option 'rows' must be a whole number of at least 2"),
    (lambda n, d: attribute(n, d, "saliency", rows=-1), "option 'rows' must be a whole number of at least 2"),
    (lambda n, d: attribute(n, d, "saliency", background=0), "option 'background' must be .* at least 10, got 0"),
    (lambda n, d: attribute(n, d, "saliency", layer=1.5), "option 'layer' must be a whole number of at least 0"),
    (lambda n, d: attribute(n, d, "saliency", layer="1"), "layer '1': hidden layers of these networks are numbered 1"),
    (lambda n, d: attribute(n, d, "saliency", layer=7), "layer 7 does not exist"),
    (lambda n, d: attribute(n, d, "saliency", steps=3), "unknown option of saliency 'steps'"),
    (lambda n, d: attribute(n, d, "integrated_gradients", steps="20"),
     "option 'steps' of integrated_gradients must be a whole number of at least 1, got '20'"),
    (lambda n, d: attribute(n, d, "lime", published=1), "option 'published' of lime must be True or False, got 1"),
    (lambda n, d: attribute(n, d, "weights", reading="median"), "option 'reading' of weights must be one of mean_abs"),
    (lambda n, d: attribute(n, d, "saliency", explained_by=3), "networks are an nn.Module.*got 3"),
    (lambda n, d: remove(n, d, 3, "constant"),
     "a feature is named by a string, several of them by a list of strings, got 3"),
    (lambda n, d: remove(n, d, ["petal_width", 3], "constant"), "a feature is named by a string"),
    (lambda n, d: remove(n, d, "petal_width", nn.Linear), "a removal is named by a string such as 'retrain'"),
    (lambda n, d: remove(n, d, "petal_width", "constant", value=0), "unknown option of constant 'value'"),
    (lambda n, d: remove(n, d, "petal_width", "constant", constant="median"),
     "option 'constant' of constant must be one"),
    (lambda n, d: remove(n, d, "petal_width", "stochastic_tuning", deviation="wide"),
     "option 'deviation' of stochastic_tuning must be a finite number above 0, got 'wide'"),
    (lambda n, d: remove(n, d, "petal_width", "constant", seeds="01"), "option 'seeds'.*got '01'"),
    (lambda n, d: remove(n, d, "petal_width", "constant", seeds=[0]), "2 networks need as many seeds, got 1"),
    (lambda n, d: remove(n, d, "petal_width", "constant", tuning=0), "option 'tuning' must be a finite number above 0"),
    (lambda n, d: remove(n, d, "petal_width", "constant", training=5), "option 'training' is a Training"),
    (lambda n, d: neurons(d, removals=["retrain"]), "unknown option of neurons 'removals'"),
    (lambda n, d: neurons(d, seed=2), "unknown option of neurons 'seed'; did you mean seeds"),
    (lambda n, d: report(None), "option 'run_dir' is the path of a folder, got None"),
    (lambda n, d: report("nothere"), "nothere holds no run.json"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_words_of_the_steps(networks: Perceptrons, iris: TabularDataset, call: Callable[..., Any],
                            message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(networks, iris)


def test_words_that_are_right_pass(networks: Perceptrons, iris: TabularDataset) -> None:
    """The control: what is refused above is refused for its value alone."""
    attribute(networks, iris, "integrated_gradients", steps=3, rows=2)
    attribute(networks, iris, "weights", reading="mean_abs")
    remove(networks, iris, "petal_width", "stochastic_tuning", deviation=1, tuning=0.01, seeds=(3, 4))
    table = from_arrays(np.eye(30)[:, :3], np.arange(30.0))
    assert len(train(table, seeds=range(2), training=SHORT).networks) == 2
