"""The documentation against the code: every name is defined, what is planned is marked, what is shown runs."""

import re
import runpy
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command import BRIEF, ROOT, SMALL, call, call_main

from attribution_suite.measures import MEASURES
from attribution_suite.registry import Registry
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS

pytestmark = pytest.mark.usefixtures("plain")
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "extending" / "examples"
PLANNED = "not yet in the package"
# Defined in docs/methods.md, computed in a run, but no entry of the catalogue: it reads the training, not a network.
NO_ENTRY = {"weight_history"}
DEFINITION = re.compile(r"^\((scorer|removal)-([a-z0-9-]+)\)=\n### (.+)$", re.MULTILINE)


def methods() -> str:
    return (DOCS / "methods.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "catalogue"), [("scorer", SCORERS), ("removal", REMOVALS)])
def test_methods_define_what_there_is_and_mark_what_is_planned(kind: str, catalogue: Registry) -> None:
    entries = [(anchor.replace("-", "_"), title) for found, anchor, title in DEFINITION.findall(methods())
               if found == kind]
    exist = {name for name, title in entries if PLANNED not in title}
    assert exist - NO_ENTRY == set(catalogue.builtin)
    planned = {name for name, title in entries if PLANNED in title}
    assert not planned & set(catalogue.builtin)
    assert all(title == name for name, title in entries if name in exist)


def test_every_measure_is_defined() -> None:
    anchors = set(re.findall(r"^\(measure-([a-z0-9-]+)\)=$", methods(), re.MULTILINE))
    assert {name.replace("_", "-") for name in MEASURES} <= anchors


def test_sources_that_are_cited_are_listed_and_those_listed_are_cited() -> None:
    text, _, references = methods().partition("(references)=")
    flat = " ".join(text.split())
    listed = re.findall(r"^- ([^\W\d_][^,. ]+)[^()]*? \((\d{4})\)\.", references, re.MULTILINE)
    assert len(listed) == references.count("\n- ") > 50
    several = r"(?:(?:, [A-ZŠ][\w-]+)* & [A-ZŠ][\w-]+| et al\.)?"
    cited = set(re.findall(rf"\b([A-ZŠ]\w+){several} (\d{{4}})\b", flat)) - {("Kaggle", "2015")}
    assert len(cited) > 40
    assert cited <= set(listed), cited - set(listed)
    for author, year in listed:
        assert re.search(rf"{author}.{{0,60}}?{year}", flat), f"{author} ({year}) is listed and not cited"


def test_the_glossary_defines_each_word_once_in_order() -> None:
    text = (DOCS / "guide" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^(\S.*)\n: ", text, re.MULTILINE)
    assert words == sorted(set(words), key=str.casefold)
    assert {"share", "chunk", "member", "variant", "baseline", "flips", "gone", "trait"} <= set(words)
    assert text.count("\n: ") == len(words)


def test_links_between_pages_lead_somewhere() -> None:
    """Sphinx checks them too; this is for a reader of the repository, where there is no site."""
    for page in [*DOCS.glob("*.md"), *DOCS.glob("guide/*.md"), *DOCS.glob("extending/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+\.md)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")):
            path = page.parent / target[0]
            if "generated" in path.parts:
                continue
            assert path.exists(), f"{page.name}: {target[0]}"
            assert not target[1] or f"({target[1]})=" in path.read_text(encoding="utf-8"), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["scorer", "removal", "dataset"])
def test_example_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each checks itself against something independent; here it has to get to its end."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_guides_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [block for page in sorted(DOCS.glob("guide/*.md"))
              for block in re.findall(r"(?ms)^```python\n(.*?)^```$", page.read_text(encoding="utf-8"))]
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, "docs/guide", "exec"), {})
    before, after = (float(line.split()[1]) for line in capsys.readouterr().out.splitlines())
    assert 1 >= before > after > 0.3


def apply(patch: str, folder: Path) -> None:
    """Puts a patch without line numbers on the files in `folder`: each piece replaces the one place that it fits."""
    for part in re.split(r"^--- .+\n\+\+\+ b/", patch, flags=re.MULTILINE)[1:]:
        name, *pieces = part.split("@@\n")
        path = folder / name.strip()
        text = path.read_text(encoding="utf-8")
        for piece in pieces:
            lines = piece.splitlines()
            old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] != sign) for sign in "+-")
            assert text.count(old) == 1, f"{name.strip()} has {text.count(old)} places like {old!r}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


@pytest.mark.long
@pytest.mark.no_cover
def test_column_patch_adds_the_column_that_was_tried_outside(tmp_path: Path) -> None:
    found = runpy.run_path(str(EXAMPLES / "column.py"), run_name="__main__")["found"]
    shutil.copytree(ROOT / "attribution_suite", tmp_path / "attribution_suite",
                    ignore=shutil.ignore_patterns("__pycache__"))
    words = ("run", "synthetic", "--remove", "X1", "--removals", ",".join(found), "--scorers", "saliency",
             "--seeds", "2", "--jobs", "1", "--out", "run")
    status, _, errors = call(*words, cwd=tmp_path)  # the copy in this folder, as it is
    assert status == 0, errors
    assert "largest_effect" not in pd.read_parquet(tmp_path / "run" / "outcomes.parquet")
    apply((EXAMPLES / "column.patch").read_text(encoding="utf-8"), tmp_path)
    status, _, errors = call(*words, cwd=tmp_path)  # what is stored is not taken for done
    assert status == 0, errors
    outcomes = pd.read_parquet(tmp_path / "run" / "outcomes.parquet").sort_values("seed").set_index("removal")
    for method, (largest, mean) in found.items():
        np.testing.assert_allclose(outcomes.loc[method, "largest_effect"], largest, rtol=1e-5, atol=1e-7)
        assert (outcomes.loc[method, "largest_effect"] >= mean).all()
    field = pq.read_schema(tmp_path / "run" / "outcomes.parquet").field("largest_effect")
    assert field.metadata[b"unit"].decode() == "≥ 0" and b"maximum over rows" in field.metadata[b"meaning"]
    assert "largest_effect" in call("list", "measures", cwd=tmp_path, program="attribution_suite")[1]


def installed(folder: Path) -> Path:
    """The example package as an installer would leave it in `folder`: its module, its metadata, its entry points."""
    project = tomllib.loads((EXAMPLES / "plugin" / "pyproject.toml").read_text())
    for module in project["tool"]["setuptools"]["py-modules"]:
        shutil.copy(EXAMPLES / "plugin" / f"{module}.py", folder)
    name, version, groups = (project["project"][key] for key in ("name", "version", "entry-points"))
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [line for group, entries in groups.items()
             for line in (f"[{group}]", *(f"{entry} = {place}" for entry, place in entries.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


PLUGIN_RUN = ("run", "two_moons", "--remove", "x", "--removals", "damp,constant", "--scorers", "weight_norm,saliency",
              *SMALL, *BRIEF, "--jobs", "1", "--out", "run")


@pytest.mark.no_cover
def test_plugin_adds_a_scorer_a_removal_and_a_data_set(tmp_path: Path) -> None:
    (site := tmp_path / "site").mkdir()
    installed(site)
    assert "weight_norm" not in call_main("list", "scorers", cwd=tmp_path)[1]
    assert "‖W_:k‖₂" in call_main("list", "scorers", cwd=tmp_path, packages=site)[1]
    assert "says so" in call_main("list", "removals", cwd=tmp_path, packages=site)[1]
    status, _, errors = call(*PLUGIN_RUN, cwd=tmp_path, packages=site)
    assert status == 0, errors
    attributions, shifts, outcomes = (pd.read_parquet(tmp_path / "run" / f"{name}.parquet")
                                      for name in ("attributions", "shifts", "outcomes"))
    assert set(attributions.scorer) == {"weight_norm", "saliency"} and set(attributions.dataset) == {"two_moons"}
    # A method that removes nothing is measured as such: half the column's weights, and the output still moves.
    lengths = attributions[(attributions.scorer == "weight_norm") & (attributions.feature == "x")]
    original, damped, constant = (lengths[lengths.removal == name].set_index("seed").mean_abs
                                  for name in ("original", "damp", "constant"))
    pd.testing.assert_series_equal(damped, original / 2, check_exact=False, rtol=1e-6)
    assert (constant == 0).all()
    effect = outcomes.set_index("removal").direct_effect
    assert (effect["damp"] > 0.1 * outcomes.direct_effect_before.min()).all() and (effect["constant"] == 0).all()
    assert (shifts[shifts.removal == "damp"].target_shift > -1).all()


def test_a_scorer_that_is_wrong_is_a_named_failure(tmp_path: Path) -> None:
    """The same plug-in, whose scores are now NaN: no share, no 'gone', and no harm to the other."""
    (site := tmp_path / "site").mkdir()
    module = installed(site) / "attribution_suite_example.py"
    right = module.read_text(encoding="utf-8")
    module.write_text(right.replace("norm(dim=1)", "norm(dim=1) * float('nan')"), encoding="utf-8")
    assert module.read_text(encoding="utf-8") != right
    status, _, errors = call_main(*PLUGIN_RUN, cwd=tmp_path, packages=site)
    assert status == 1
    assert "weight_norm" in errors and "score of x in network 0 is nan" in errors
    attributions, shifts, failures = (pd.read_parquet(tmp_path / "run" / f"{name}.parquet")
                                      for name in ("attributions", "shifts", "failures"))
    assert set(attributions.scorer) == {"saliency"} and attributions.share.notna().all()
    assert set(failures.scorer) == {"weight_norm"} and set(failures.removal) == {"original", "damp", "constant"}
    assert shifts[shifts.scorer == "weight_norm"][["share_after", "target_shift"]].isna().all(axis=None)
    assert (shifts[(shifts.scorer == "saliency") & (shifts.removal == "constant")].target_shift == -1).all()
