"""`attribution-suite neurons` from the words to the page: tables against the library on the stored networks."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from command import NO_DATA, call, call_main
from PIL import Image
from scipy import stats
from shared import shared
from torch import nn

from attribution_suite import audit, from_arrays, load_dataset
from attribution_suite.auditing.chunks import finished
from attribution_suite.auditing.plan import plan_originals
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.store import Store
from attribution_suite.auditing.work.look import SCORERS
from attribution_suite.auditing.work.train import stored_originals
from attribution_suite.conclusions import inside as looked
from attribution_suite.datasets.load import load_request
from attribution_suite.devices import CPU
from attribution_suite.errors import InputError
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.reporting import page as pages
from attribution_suite.reporting.reading import Run
from attribution_suite.tables import NEURON_TABLES

SEEDS, ROWS = 2, 40
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def run() -> Path:
    """A look inside Iris and the simulated heart data."""
    return shared("neurons", look) / "look"


def look(folder: Path) -> None:
    words = ("neurons", "iris", "heart", "--seeds", SEEDS, "--rows", ROWS, "--jobs", 1, "--out", "look")
    status, out, err = call(*words, cwd=folder, program="attribution_suite", **NO_DATA)
    assert (status, "Traceback" in err) == (0, False), err
    assert "iris inside (layers 1)" in out and "heart inside (layers 1, 2)" in out


def table(run: Path, name: str, dataset: str = "iris") -> pd.DataFrame:
    frame = pd.read_parquet(run / f"{name}.parquet")
    return frame[frame.dataset == dataset].reset_index(drop=True)


@pytest.fixture(scope="module")
def networks(run: Path) -> Perceptrons:
    """The originals of Iris as the run left them."""
    spec = make_spec(["iris"], removals=[], scorers=SCORERS, inside="all", seeds=SEEDS, rows=ROWS)
    dataset = load_request(spec.requests[0])
    original = plan_originals(spec, dataset, None, CPU)
    return stored_originals(original.subject, dataset, finished(original, Store(run / "chunks")).arrays, CPU)


def test_every_table_is_whole_and_documented(run: Path) -> None:
    for name, columns in NEURON_TABLES.items():
        schema = pq.read_schema(run / f"{name}.parquet")
        assert schema.names == list(columns) and schema.names[0] == "dataset"
        assert schema.metadata[b"simulated"] == b"heart"
        assert all(schema.field(column).metadata[b"meaning"] == columns[column].meaning.encode() for column in columns)
        frame = pd.read_parquet(run / f"{name}.parquet")
        assert set(frame.dataset) == {"iris", "heart"}, name
        assert set(frame.seed) == ({0} if name == "samples" else set(range(SEEDS))), name
    assert set(table(run, "units", "heart").layer) == {1, 2}
    assert not pd.read_parquet(run / "units.parquet").drop(columns=["normality", "cohens_d", "bimodality"]).isna().any(
        axis=None)


def test_units_are_those_of_the_stored_networks(run: Path, networks: Perceptrons) -> None:
    train = load_dataset("iris").with_decoy().train
    units = table(run, "units").set_index(["seed", "unit"])
    for seed in range(SEEDS):
        before, active = (networks.to_module(seed)[:depth](train.inputs).detach().double().numpy() for depth in (1, 2))
        for unit in range(active.shape[1]):
            row = units.loc[(seed, unit)]
            assert row.rate == pytest.approx((active[:, unit] > 0).mean())
            classes = [before[train.targets.numpy() == label, unit] for label in range(3)]
            assert row.normality == pytest.approx(min(stats.shapiro(values).pvalue for values in classes), rel=1e-6)
            test = {"anova": stats.f_oneway, "kruskal": stats.kruskal}.get(row.test)
            assert row.p == pytest.approx(1.0 if test is None else test(*classes).pvalue, rel=1e-6)


def test_samples_are_what_the_tests_saw(run: Path, networks: Perceptrons) -> None:
    train = load_dataset("iris").with_decoy().train
    units, samples = table(run, "units").query("seed == 0"), table(run, "samples")
    ranked = units.sort_values("normality").unit
    assert set(samples.unit) == {*ranked[:4], *ranked[-4:]}
    before = networks.to_module(0)[0](train.inputs).detach().numpy()
    for unit, rows in samples.groupby("unit"):
        np.testing.assert_allclose(rows.value, before[:, unit], rtol=1e-5, atol=1e-6)
        assert (rows.label.to_numpy() == train.targets.numpy()).all()
    assert (samples.value < 0).any()  # no ReLU has been there


def test_masking_is_that_of_the_test_rows(run: Path, networks: Perceptrons) -> None:
    test = load_dataset("iris").with_decoy().test
    curves = table(run, "masking")
    intact = curves[curves.fraction == 0]
    assert set(curves.layer) == {1} and set(table(run, "masking", "heart").layer) == {0, 1, 2}
    for seed in range(SEEDS):
        hit = networks.to_module(seed)(test.inputs[:ROWS]).argmax(1) == test.targets[:ROWS]
        assert intact[intact.seed == seed].accuracy.to_numpy() == pytest.approx(float(hit.float().mean()))
    ranked = set(curves.selection[curves.selection.str.startswith("top:")])
    assert ranked == {f"top:{name}" for name in SCORERS if name != "random"}
    assert set(curves["fill"]) == {"zero", "mean"}
    # one ranking by hand: the units by abs weight, zeroed
    order = networks.weights[1].abs().mean(1)[0].argsort(descending=True)
    half = curves.query("selection == 'top:weights' and seed == 0 and fraction == 0.5 and fill == 'zero'").iloc[0]
    hidden = networks.to_module(0)[:2](test.inputs[:ROWS]).detach()
    hidden[:, order[:int(half.units)]] = 0
    accuracy = (networks.to_module(0)[2:](hidden).argmax(1) == test.targets[:ROWS]).float().mean()
    assert half.units == 6 and half.accuracy == pytest.approx(float(accuracy))


def test_history_ends_near_the_kept_weights_and_is_scored(run: Path, networks: Perceptrons) -> None:
    history, scores = table(run, "history"), table(run, "importances")
    for seed in range(SEEDS):
        own = history[history.seed == seed]
        shape = (own.epoch.nunique(), own.unit.nunique(), own.feature.nunique())
        weights = own.weight.to_numpy().reshape(shape)
        kept = networks.weights[0][seed].numpy()
        assert np.abs(weights - kept).max((1, 2)).min() < 1e-6  # the best epoch's weights are among the recorded
        expected = weights.std(0).sum(0)
        np.testing.assert_allclose(scores[scores.seed == seed].score, expected, rtol=1e-4)
    densities = table(run, "densities")
    assert len(densities) == SEEDS * 12 * 5
    assert (densities.len > 0).equals(densities["max"] >= 1)


def test_paths_start_at_inputs_and_end_at_every_class(run: Path) -> None:
    links = table(run, "paths")
    assert set(links.output) == {0, 1, 2} and set(links.layer) == {0, 1}
    last = links[links.layer == 1]
    np.testing.assert_allclose(last.variation, last.response_100 - last.response_0, rtol=1e-3, atol=1e-5)
    assert (np.sign(last.variation) == np.where(last.sign == "positive", 1, -1)).all()
    assert (last.groupby(["seed", "output", "sign"]).unit.nunique() <= 8).all()


def test_the_page_tells_and_shows_it(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert len(page) < 1_000_000 and "Inside the networks" in page and "removal methods" not in page
    for words in ("separate the target", "of a pool of layer 1 at zero", "ranks units of layer 2 best",
                  "importance here: rank correlation with", "cut alone, the next layer is moved most by unit",
                  "simulated data"):
        assert words in page.replace("\N{NO-BREAK SPACE}", " "), words
    files = {path.name for path in (run / "figures").iterdir()}
    for dataset, layers in (("iris", 1), ("heart", 2)):
        names = ["history.gif", "path-0.png", "history-still.png", "history-boxes.png", *[
            f"{kind}-{layer}.png" for kind in ("activity", "normality", "masking", "rankings")
            for layer in range(1, layers + 1)], "layers.png", "classes.png", "detectors.png", "cuts.png",
            "history-single.png", "history-barrage.png"]
        names += [f"{kind}-together.png" for kind in ("masking", "rankings")] * (layers > 1)
        assert {f"{dataset}-{name}" for name in names} <= files
    assert "data:image" not in page and 'id="figure-heart-history-still"' in page
    assert 'href="figures/iris-history.gif"' in page and 'href="figures/heart-masking-1.svg"' in page
    moving = Image.open(run / "figures" / "iris-history.gif")
    assert moving.is_animated and (run / "figures" / "iris-history.gif").stat().st_size < 2_000_000


@pytest.mark.no_cover
def test_the_tables_alone_draw_the_same(run: Path) -> None:
    whole = Run(run)
    iris = pages.section(whole.subjects(None)[0])
    pictures = {name: content for found in iris.chapters["neurons"] for name, content in found.files.items()}
    assert len(pictures) > 10
    assert all((run / "figures" / name).read_bytes() == content for name, content in pictures.items())


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_draws_the_page(run: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,6000",
             f"--screenshot={shot}", (run / "report.html").as_uri()]
    subprocess.run(words, check=True, capture_output=True, timeout=90)
    pixels = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("L"))
    assert (pixels[3000:].std(1) > 5).mean() > 0.5  # pictures down there, not an empty page


def test_shuffled_pools_are_told_apart_from_real_ones() -> None:
    """The words follow the numbers: a pool that costs more, as much, and less than its control."""
    generator = np.random.default_rng(0)
    rows = [{"fill": "zero", "fraction": 0.9, "selection": name, "seed": seed, "repeat": 0,
             "accuracy": level + 0.01 * generator.standard_normal()}
            for name, level in (("low", 0.5), ("control", 0.7), ("same", 0.7), ("high", 0.9)) for seed in range(10)]
    curves = pd.DataFrame(rows)
    words = {name: looked._matter(
        looked.pool_difference(curves, "accuracy", name, "control"), "accuracy")
        for name in ("low", "same", "high")}
    assert words == {"low": "cost clearly more than", "same": "cost no more than", "high": "cost less than"}


def test_one_layer_and_what_is_there_already(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "look")
    words = {"removals": [], "scorers": SCORERS, "seeds": SEEDS, "rows": ROWS, "jobs": 1, "page": False,
             "say": lambda line: None}
    found = audit("iris", out=copy, inside="1", **words)
    assert set(found.table("units").layer) == {1} and set(found.table("units").dataset) == {"iris"}
    assert found.record["timings"]["chunks_found"] == 2  # nothing is trained or looked at again
    for layer, message in (("2", "hidden layers 1 to 1"), ("0", "layer '0'"), ("x", "layer 'x'")):
        with pytest.raises(InputError, match=message):
            audit("iris", out=copy, inside=layer, **words)
    status, _, err = call_main("neurons", "iris", "--layer", 3, cwd=tmp_path, **NO_DATA)
    assert status == 2 and "hidden layers 1 to 1" in err


@pytest.mark.no_cover
def test_the_full_profile_looks_inside_and_the_quick_one_does_not(tmp_path: Path) -> None:
    words = {"remove": "petal_width", "removals": ["constant"], "scorers": ["saliency", "random"], "seeds": 1,
             "rows": 12, "information": "off", "jobs": 1, "say": lambda line: None}
    assert len(audit("iris", out=tmp_path, profile="full", **words).table("units")) == 12
    page = (tmp_path / "report.html").read_text()
    assert (tmp_path / "units.parquet").exists() and "Inside the network" in page and "Which removal" in page
    quick = audit("iris", out=tmp_path, **words)
    assert not (tmp_path / "units.parquet").exists()
    with pytest.raises(InputError, match="did not look inside"):
        quick.table("units")
    assert "Inside the network" not in (tmp_path / "report.html").read_text()


def test_networks_without_layers_to_read_are_named(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    data = from_arrays(rows, rows.sum(1), name="sums")

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 1)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.linear(inputs) + inputs[:, :1]

    lines: list[str] = []
    words = {"networks": Plain(), "out": tmp_path, "scorers": ["saliency"], "rows": 5, "jobs": 1, "say": lines.append,
             "seeds": 1, "inside": "all"}
    audit(data, removals=["constant"], **words)
    assert any("no look inside" in line and "Plain" in line for line in lines)
    with pytest.raises(InputError, match="nothing to look into"):
        audit(data, removals=[], **words)
