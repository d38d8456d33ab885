"""An edited network in a file: read by plain PyTorch and onnxruntime, fed by its card alone, checked by a command."""

import csv
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from command import call_main
from people_run import COLOURS, WORDS, people, people_run
from plain_suite import plain_figures
from safetensors.torch import load_file
from torch import nn

from attribution_suite import audit, check, from_arrays, load_dataset, remove, train
from attribution_suite.auditing.store import Store
from attribution_suite.datasets.columns import prepared
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.errors import InputError
from attribution_suite.networks.exported import read_network
from attribution_suite.results import Audit

SMALL = Preset("default", (6, 5), Training(6, 32, 0.02), tuning_epochs=1)


@pytest.fixture(scope="module")
def run() -> tuple[Audit, Path]:
    return people_run()


def by_hand(card: dict[str, Any], file: Path) -> np.ndarray:
    """The rows of the file as the card alone says that they enter the network."""
    rows = []
    with file.open() as lines:
        for row in csv.DictReader(lines):
            values = []
            for column in card["columns"]:
                name, original = column["name"], column["column"]
                if name == original:
                    value = float(row[name]) if row[name] else column["filled"]
                elif name == f"{original} missing":
                    value = float(not row[original])
                else:
                    value = float(row[original] == name.removeprefix(f"{original}="))
                values.append((value - column["centre"]) / column["scale"])
            rows.append(values)
    return np.array(rows, np.float32)


def stored(found: Audit, removal: str, removed: str, seed: int, inputs: np.ndarray) -> torch.Tensor:
    """What the network that the run kept says of rows without a decoy; straight from the chunk's arrays."""
    entry = next(chunk for chunk in found.record["chunks"] if chunk["removal"] == removal)
    arrays = Store(found.path / "chunks").load(entry["key"])
    assert arrays is not None
    member = entry["seeds"].index(seed) * len(entry["removed"][0]) + entry["removed"][0].index(removed)
    values = torch.from_numpy(np.hstack([inputs, np.zeros((len(inputs), 1), np.float32)]))  # the decoy at its mean
    layers = sum(name.startswith("weight ") for name in arrays.arrays)
    for layer in range(layers):
        weight, bias = (torch.from_numpy(arrays.arrays[f"{kind} {layer}"][member]) for kind in ("weight", "bias"))
        values = values @ weight.T + bias
        values = values.relu() if layer < layers - 1 else values
    return values


@pytest.mark.parametrize("removal", ["fold", "stochastic_tuning"])
@pytest.mark.parametrize("ending", ["safetensors", "onnx"])
def test_plain_torch_and_onnxruntime_say_what_the_audited_network_says(
        run: tuple[Audit, Path], removal: str, ending: str, tmp_path: Path) -> None:
    found, file = run
    path = found.export(removal, "colour", seed=1, to=tmp_path / f"net.{ending}")
    card = json.loads((tmp_path / f"net.{ending}.json").read_text())
    inputs = by_hand(card, file)
    if ending == "onnx":
        outputs = onnxruntime.InferenceSession(path).run(None, {"inputs": inputs})[0]
    else:
        tensors = load_file(path)
        widths = [len(tensors["0.weight"][0]), *(len(tensors[f"{layer}.bias"]) for layer in (0, 2, 4))]
        plain = nn.Sequential(*(module for pair in pairwise(widths)
                                for module in (nn.Linear(*pair), nn.ReLU())))[:-1]
        plain.load_state_dict(tensors)
        outputs = plain(torch.from_numpy(inputs)).detach().numpy()
    expected = stored(found, removal, "colour", 1, inputs).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    other = stored(found, removal, "age", 1, inputs).numpy()
    assert np.abs(other - expected).max() > 1e-3


def test_the_card_tells_the_run_the_data_and_the_weights(run: tuple[Audit, Path]) -> None:
    found, file = run
    path = found.export("fold", "age+member", seed=1)
    assert path == found.path / "exports" / "fold-age+member-seed1.safetensors"
    card = json.loads(Path(f"{path}.json").read_text())
    verdict = found.verdicts.query("removal == 'fold' and removed == 'age+member'").iloc[0]
    outcome = found.table("outcomes").query("removal == 'fold' and removed == 'age+member' and seed == 1").iloc[0]
    assert (card["verdict"]["direct"], card["network"]["worst_case"]) == ("proved none", 0.0)
    assert card["verdict"]["delta"] == verdict.delta
    assert card["network"]["loss_native"] == pytest.approx(outcome.loss_native)
    assert card["dataset"]["sha256"] == found.record["datasets"]["people"]["sha256"]
    assert card["dataset"]["location"] == str(file)
    hashes = card["weights"]
    assert len({hashes["original"], hashes["edited"], hashes["exported"]}) == 3  # edited, and then without the decoy
    colour = json.loads(Path(f"{found.export('fold', 'colour', seed=1)}.json").read_text())
    assert colour["weights"]["original"] == hashes["original"] and colour["weights"]["edited"] != hashes["edited"]
    another = json.loads(Path(f"{found.export('fold', 'colour')}.json").read_text())
    assert another["weights"]["original"] != hashes["original"]


def test_a_given_network_is_exported_as_its_edit(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    inputs = generator.standard_normal((90, 3))
    dataset = replace(from_arrays(inputs, inputs @ [1.0, 2.0, -1.0], name="three"), preset=SMALL)
    module = train(dataset, seeds=1).networks.to_module()
    with plain_figures():
        found = audit(dataset, networks=module, remove="x1", removals=["fold"], out=tmp_path / "run",
                      **{**WORDS, "seeds": None})
    network = read_network(found.export("fold", "x1"))
    rows = dataset.test.inputs
    assert torch.allclose(network.outputs(rows), remove(module, dataset, "x1", "fold").outputs(rows), atol=1e-6)


def test_the_command_passes_what_is_proved_or_bounded_and_nothing_else(run: tuple[Audit, Path], tmp_path: Path) -> None:
    found, file = run
    words = ["export", found.path, "--removal", "stochastic_tuning", "--remove", "age", "--to"]
    model = tmp_path / "age.safetensors"
    status, out, _ = call_main(*words, model, cwd=found.path)
    assert status == 0 and out.split() == [str(model), f"{model}.json"]
    effect = check(model, file, "age", 1e9).effect
    ages = [float(age) for age in pd.read_csv(file).age.dropna()]
    plain, card = read_network(model), json.loads(Path(f"{model}.json").read_text())
    rows, column = by_hand(card, file), card["columns"][0]
    moved = []
    for age in np.linspace(min(ages), max(ages), 400):
        other = rows.copy()
        other[rows[:, 1] < 0, 0] = (age - column["centre"]) / column["scale"]  # where the age is known
        moved.append((plain.outputs(torch.from_numpy(other)) - plain.outputs(torch.from_numpy(rows))).abs().max())
    assert 0 < max(moved) <= effect * (1 + 1e-5)
    place = next(number for number, entry in enumerate(card["columns"]) if entry["name"] == "income")
    low, high = rows[:, place].min(), rows[:, place].max()
    base, largest = plain.outputs(torch.from_numpy(rows)), 0.0
    for value in np.linspace(low, high, 2000):
        other = rows.copy()
        other[:, place] = value
        largest = max(largest, float((plain.outputs(torch.from_numpy(other)) - base).abs().max()))
    assert check(model, file, "income", 1e9).effect == pytest.approx(largest, rel=1e-3)
    cases = [(effect * 1.01, 0, "bounded"), (effect * 0.99, 1, "present")]
    for allowed, expected, verdict in cases:
        status, out, err = call_main("check", model, file, "--remove", "age", "--max-effect", allowed, cwd=found.path)
        assert (status, err) == (expected, "") and out.startswith(f"age: {verdict}: ") and out.count("\n") == 1
    # Of two numbers together a search finds something and bounds nothing: never a pass.
    for allowed, verdict in ((1e9, "undecided"), (effect * 0.99, "present")):
        status, out, _ = call_main("check", model, file, "--remove", "age+income", "--max-effect", allowed,
                                   cwd=found.path)
        assert (status, out.startswith(f"age+income: {verdict}: ")) == (1, True)
    gone = found.export("fold", "age")
    status, out, _ = call_main("check", gone, file, "--remove", "age", "--max-effect", 1e-9, cwd=found.path)
    assert status == 0 and out.startswith("age: proved none")


def test_new_rows_are_prepared_by_the_card_not_by_themselves(run: tuple[Audit, Path], tmp_path: Path) -> None:
    found, _ = run
    model = found.export("stochastic_tuning", "age", seed=1)
    new = people(tmp_path / "new.csv", rows=60, seed=9)
    frame = pd.read_csv(new)
    frame = frame[frame.colour != "green"]  # a category that does not occur is 0; its column stays
    frame.to_csv(new, index=False)
    card = json.loads(Path(f"{model}.json").read_text())
    np.testing.assert_allclose(prepared(load_dataset(new, target="y"), card["columns"]),
                               by_hand(card, new), rtol=1e-5, atol=1e-6)
    assert check(model, new, "age", 1e9, rows=7).rows == 7


@pytest.mark.parametrize(("change", "says"), [
    (lambda frame: frame.assign(colour=frame.colour.replace("red", "mauve")), "colour' holds 'mauve', which the netw"),
    (lambda frame: frame.assign(member=frame.member.replace("no", "maybe")), "member' holds 'maybe'"),
    (lambda frame: frame.assign(member=frame.member == "yes"), "no input 'member'"),
    (lambda frame: frame.assign(income="b" + (frame.income > 50).astype(str)), "no input 'income=bTrue'"),
    (lambda frame: frame.assign(income=frame.income.where(frame.income > 45)), "no input 'income missing'"),
    (lambda frame: frame.drop(columns="income"), "needs column 'income': add it"),
])
def test_another_table_is_refused_by_its_column(run: tuple[Audit, Path], tmp_path: Path, change: Any,
                                                says: str) -> None:
    found, file = run
    change(pd.read_csv(file)).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(InputError, match=says):
        check(found.export("fold", "age"), tmp_path / "other.csv", "age", 0.1)


def test_what_cannot_be_exported_or_checked_is_named(run: tuple[Audit, Path], tmp_path: Path) -> None:
    found, file = run
    for words, says in (({"removal": "retrain", "removed": "age"}, "unknown removal of this run on people 'retrain'"),
                        ({"removal": "fold", "removed": "member"}, "from network 0 of people 'member'"),
                        ({"removal": "fold", "removed": "age", "seed": 7}, "seed 7: the run has the seeds 0, 1"),
                        ({"removal": "fold", "removed": "age", "dataset": "iris"}, "data set of the run 'iris'"),
                        ({"removal": "fold", "removed": "age", "to": tmp_path / "net.pt"}, "safetensors or .onnx")):
        with pytest.raises(InputError, match=re.escape(says)):
            found.export(**words)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"holds no run\.json"):
        Audit(tmp_path).export("fold", "age")
    (tmp_path / "old").mkdir()
    for name in ("outcomes", "verdicts"):
        (tmp_path / "old" / f"{name}.parquet").write_bytes((found.path / f"{name}.parquet").read_bytes())
    (tmp_path / "old" / "run.json").write_text(json.dumps({k: v for k, v in found.record.items() if k != "chunks"}))
    with pytest.raises(InputError, match="an earlier version wrote it"):
        Audit(tmp_path / "old").export("fold", "age")
    model = found.export("fold", "age", to=tmp_path / "net.safetensors")
    card = Path(f"{model}.json")
    text = card.read_text()
    status, out, err = call_main("check", model, file, "--remove", "agee", "--max-effect", 1, cwd=found.path)
    assert (status, out) == (2, "") and "feature of the network 'agee'" in err
    card.write_text(text.replace(json.loads(text)["sha256"][:9], "0" * 9))
    with pytest.raises(InputError, match="is not the network of its card"):
        check(model, file, "age", 0.1)
    card.write_text(text[:100])
    with pytest.raises(InputError, match="is no card of a network"):
        check(model, file, "age", 0.1)
    card.unlink()
    with pytest.raises(InputError, match="lies beside the network"):
        check(model, file, "age", 0.1)
    with pytest.raises(InputError, match="can be run, not examined"):
        check(found.export("fold", "age", to=tmp_path / "net.onnx"), file, "age", 0.1)


def test_a_category_that_the_run_did_not_know_is_rare_where_it_grouped(tmp_path: Path) -> None:
    """Of any number of rows, in text and in numbers that are names; a frame and the file of it say the same."""
    def rows(count: int, seed: int, other: str, number: int) -> pd.DataFrame:
        frame = pd.read_csv(people(tmp_path / "people.csv", count, seed))
        frame["colour"] = frame.colour.where(frame.index % 20 > 0, other)
        return frame.assign(zip=np.where(frame.index % 15 > 0, 10 + frame.index % 3, number))

    with plain_figures():
        found = audit(rows(120, 3, "teal", 77), target="y", remove="colour", removals=["fold"], group_rare=10,
                      categorical=["zip"], out=tmp_path / "run", **WORDS)
    model = found.export("fold", "colour")
    new = rows(90, 5, "mauve", 78)
    new.loc[30:70, "colour"] = "mauve"  # many: rare in training is what counts
    new.to_csv(tmp_path / "new.csv", index=False, sep=";", decimal=",")
    result = check(model, new, "colour", 1e-9)
    assert result.verdict == "proved none" and result.rows == 90
    assert check(model, tmp_path / "new.csv", "zip", 1e9, sep=";", decimal=",").effect == check(
        model, new, "zip", 1e9).effect > 0
    as_rare = new.assign(colour=new.colour.replace("mauve", "(rare)"), zip=new.zip.astype(str).replace("78", "(rare)"))
    assert check(model, as_rare, "zip", 1e9).effect == check(model, new, "zip", 1e9).effect
    with pytest.raises(InputError, match="unknown option 'sepp'"):
        check(model, new, "zip", 1e9, sepp=";")


def test_new_rows_become_what_the_run_made_of_its_columns(tmp_path: Path) -> None:
    """Grades in their order, dates in parts, an identifier left out: as in the run, with no word said again."""
    def file(name: str, rows: int, seed: int) -> Path:
        frame = pd.read_csv(people(tmp_path / name, rows, seed))
        frame["colour"] = frame.colour.replace(dict(zip(COLOURS, ("low", "mid", "high"), strict=True)))
        day = pd.date_range("2020-01-30", periods=rows, freq="11D").strftime("%Y-%m-%d")
        frame.assign(day=day, person_id=range(rows)).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    with plain_figures():
        found = audit(file("old.csv", 120, 3), target="y", remove="day", removals=["fold"], id="person_id",
                      dates=["day"], ordinal=["colour=low<mid<high"], out=tmp_path / "run", **WORDS)
    model, new = found.export("fold", "day"), file("new.csv", 40, 8)
    assert check(model, new, "day", 1e-9).verdict == "proved none"
    entered = check(model, new, "colour", 1e9).effect
    assert entered > 0
    pd.read_csv(new).drop(columns="person_id").to_csv(new, index=False)
    assert check(model, new, "colour", 1e9).effect == entered
    card = json.loads(Path(f"{model}.json").read_text())
    assert card["dataset"]["prepared"] == {"id": "person_id", "dates": ["day"], "ordinal": ["colour=low<mid<high"]}
