"""Every block of code in the README runs: the library's as they stand, on small data; a command as far as its plan."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
import torch
from command import ROOT
from torch import nn

import attribution_suite
from attribution_suite import Audit, Training, cli, load_dataset, train
from attribution_suite.auditing import run as auditing_run
from attribution_suite.auditing import workers
from attribution_suite.auditing.spec import PROFILES, Spec
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals.constant import Constant
from attribution_suite.removals.removal import Setting
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.gradients import Saliency

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BASH = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BASH for line in block.splitlines() if line.startswith("attribution-suite")]
AUDIT, OWN, INSIDE, SCORER, REMOVAL = range(5)
LEAST = {"seeds": 2, "rows": 8, "lime_rows": 2, "lime_samples": 20, "background": 60, "tuning": 0.02}


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A folder with data.csv, the least profile, one worker, and training of two epochs; returns the table."""
    generator = np.random.default_rng(0)
    sex, age, race = generator.choice(["f", "m"], 120), generator.normal(size=120), generator.choice([*"uvw"], 120)
    table = pd.DataFrame({"sex": sex, "age": age, "race": race, "y": age + (sex == "f")})
    table.to_csv(tmp_path / "data.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], **LEAST))
    monkeypatch.setattr(workers, "available_cores", lambda: 1)
    made = Training.__init__

    def brief(self: Training, epochs: int, *arguments: Any, **options: Any) -> None:
        made(self, min(epochs, 2), *arguments, **options)

    monkeypatch.setattr(Training, "__init__", brief)
    return table


def executed(block: int, **names: Any) -> dict[str, Any]:
    """What a block of Python defines."""
    exec(compile(PYTHON[block], f"README.md, Python block {block}", "exec"), names)
    return names


def test_no_block_is_left_out() -> None:
    assert len(PYTHON) == 5 and len(COMMANDS) == 10
    assert len(BASH) == 4 and sum("<!--" in part for part in README.split("```bash")) == 2  # the other two set up


@pytest.mark.long
@pytest.mark.usefixtures("plain")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_first_steps(quick: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    names = executed(AUDIT)
    assert len(names["networks"].networks) == 5  # one member a seed
    assert isinstance(names["result"], Audit) and not names["result"].failed and not names["inside"].failed
    assert set(names["result"].summary.removed) == {"sex"} and len(names["result"].table("outcomes"))
    assert len(names["inside"].table("units"))
    shares = names["attribute"](names["edited"], names["boston"], "integrated_gradients").shares
    assert (shares[:, list(names["boston"].groups).index("LSTAT")] == 0).all()
    assert "LSTAT" in capsys.readouterr().out and Path("audit/report.html").exists()


@pytest.mark.long
@pytest.mark.usefixtures("plain")
def test_networks_of_ones_own(quick: pd.DataFrame) -> None:
    torch.manual_seed(0)
    model_a, model_b = (nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1)) for _ in range(2))
    inputs = quick[["age"]].assign(sex=(quick.sex == "f").astype(float)).to_numpy(np.float32)
    before = [parameter.clone() for parameter in model_a.parameters()]
    names = executed(OWN, X=inputs, y=quick.y.to_numpy(np.float32), names=["age", "sex"], model_a=model_a,
                     model_b=model_b)
    assert not names["result"].failed
    assert set(names["result"].table("shifts").seed) == {0, 1}  # a network each
    assert all(map(torch.equal, before, model_a.parameters()))
    assert (names["edited"].first_weight[0, :, 1] == 0).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inside_the_network(quick: pd.DataFrame) -> None:
    names = executed(INSIDE)
    assert set(names["units"].layer) == {1, 2} and names["units"].significant.dtype == bool
    assert "significant" in set(names["curves"].selection)
    assert set(names["links"].unit_name) & set(names["heart"].feature_names)
    assert names["moved"].shares.shape == (5, len(names["heart"].groups))


def test_the_scorer_is_the_catalogues() -> None:
    iris = load_dataset("iris")
    networks = train(iris, seeds=2, training=Training(3, 16, 1e-2)).networks
    evaluation = Evaluation.of(iris, networks, 20, 100)
    scorers = executed(SCORER)["Saliency"](), Saliency()
    found, expected = (scorer.attribute(networks, evaluation) for scorer in scorers)
    assert torch.equal(found.values, expected.values) and found.scores.min() > 0


def test_the_removal_is_a_constant() -> None:
    iris, budget = load_dataset("iris"), Training(3, 16, 1e-2)
    networks = train(iris, seeds=2, training=budget).networks
    setting, nodes = Setting.of(iris, networks, 0, [0, 1], budget, budget), Nodes.of([(2,)]).repeat(2)
    found, expected, other = (
        method.remove(networks, nodes, setting).networks.outputs(iris.test.inputs)
        for method in (executed(REMOVAL)["MeanFill"](), Constant("mean"), Constant("zero")))
    assert torch.equal(found, expected)
    assert not torch.equal(networks.outputs(iris.test.inputs), found) and isinstance(networks, Perceptrons)
    assert other.shape == found.shape


class Planned(Exception):
    """The run was planned: what it would do is known, and nothing is done."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_command_can_be_planned(command: str, quick: pd.DataFrame, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words[0] in ("list", "report"):
        drawn: list[object] = []
        monkeypatch.setattr("attribution_suite.reporting.redraw.redraw",
                            lambda folder, say: drawn.append(folder) or folder / "report.html")
        monkeypatch.setattr("attribution_suite.reporting.pack.pack", lambda folder: drawn.append("zip") or folder)
        monkeypatch.setattr("attribution_suite.api.compare", lambda *runs, out: drawn.extend(runs) or (None, out))
        monkeypatch.setattr("attribution_suite.reporting.compare.lines", str)
        assert cli.main(words) == 0
        assert capsys.readouterr().out and drawn == {
            "list": [], "--zip": [Path("attribution-audit"), "zip"],
            "other-audit": ["attribution-audit", "other-audit"]}[words[0] if words[0] == "list" else words[-1]]
        return
    prepare, planned = auditing_run.prepare, []

    def planned_only(spec: Spec, **options: Any) -> NoReturn:
        planned.append(prepare(spec, **options))
        raise Planned

    monkeypatch.setattr(auditing_run, "prepare", planned_only)
    with pytest.raises(Planned):
        cli.main(words)
    assert planned[0].plan.originals


def test_the_tables_are_those_that_a_run_writes() -> None:
    named = re.findall(r"^\| `(\w+)\.parquet` \|", README, re.MULTILINE)
    assert named == ["verdicts", *attribution_suite.tables.TABLES]


def test_the_tree_is_the_package() -> None:
    tree = re.search(r"^attribution_suite/\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert tree is not None
    named = set(re.findall(r"(\w+)(?:/|\.py)", tree[1]))
    there = {path.stem for path in (ROOT / "attribution_suite").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert there - {"__init__", "__main__", "__pycache__"} == named
