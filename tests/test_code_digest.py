"""What code decides a chunk's numbers: any change of it changes every key, and a change of a page changes none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import SEEN, add_scorer

import attribution_suite
from attribution_suite.auditing.code_digest import digest_of, plug_in_digest
from attribution_suite.registry import Registry

PACKAGE = Path(attribution_suite.__file__).parent
COMPUTES = ["networks/perceptrons.py", "scorers/lime.py", "removals/folding.py", "measures/agreement.py",
            "datasets/boston.py", "units/masking.py", "auditing/work/score.py", "seeding.py"]
TELLS = ["reporting/page.py", "reporting/templates/report.css", "conclusions/words.py", "cli.py",
         "command_line.py", "api.py", "steps.py", "arguments.py",
         "tables/audit.py", "auditing/progress.py", "auditing/pool.py"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "attribution_suite", ignore=shutil.ignore_patterns("__pycache__")))


def change(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


def test_a_copy_has_the_digest_of_the_package(package: Path) -> None:
    assert digest_of(package) == digest_of(PACKAGE)


@pytest.mark.parametrize("name", COMPUTES)
def test_a_change_of_what_computes_changes_it(package: Path, name: str) -> None:
    before = digest_of(package)
    change(package / name)
    assert digest_of(package) != before


def test_a_new_file_and_an_exchange_change_it(package: Path) -> None:
    before = digest_of(package)
    first, second = package / "scorers" / "__init__.py", package / "removals" / "__init__.py"
    texts = first.read_text(), second.read_text()
    first.write_text(texts[1])
    second.write_text(texts[0])
    exchanged = digest_of(package)
    (package / "scorers" / "another.py").write_text("")
    assert len({before, exchanged, digest_of(package)}) == 3


@pytest.mark.parametrize("name", TELLS)
def test_a_change_of_what_tells_does_not(package: Path, name: str) -> None:
    before = digest_of(package)
    change(package / name)
    assert digest_of(package) == before


# After each change of a file the code is read anew, as by a new process.
KEYS = """
import sys
from pathlib import Path
import torch
from attribution_suite.auditing.code_digest import code_digest
from attribution_suite.auditing.plan import plan_originals
from attribution_suite.auditing.spec import make_spec
from attribution_suite.datasets.load import load_request
for path in ("", *sys.argv[1:]):
    if path:
        Path(path).write_text(Path(path).read_text() + "\\n# changed\\n")
    code_digest.cache_clear()
    spec = make_spec(["iris"], scorers=["saliency", "even"])
    print(plan_originals(spec, load_request(spec.requests[0]), None, torch.device("cpu")).key)
"""


def keys(*paths: Path, changed: tuple[Path, ...]) -> list[str]:
    """Of a chunk with the plug-in's scorer, before and after each change, in a process that finds `paths` first."""
    found = subprocess.run([sys.executable, "-c", KEYS, *changed], cwd=paths[-1], capture_output=True, text=True,
                           check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), SEEN])})
    return found.stdout.split()


@pytest.mark.no_cover
def test_the_key_follows_the_code_of_the_package_and_of_a_plug_in(package: Path, tmp_path: Path) -> None:
    packages = add_scorer(tmp_path / "packages", "even", "pass")
    plug_in = packages / "even_module.py"
    text = plug_in.read_text()
    before, told, computed, plugged = keys(package.parent, packages, changed=(
        package / "reporting" / "page.py", package / "scorers" / "gradients.py", plug_in))  # of the same version
    plug_in.write_text(text)
    same, another = keys(packages, changed=(plug_in,))
    assert before == told == same
    assert len({before, computed, plugged}) == 3 and another not in (before, computed, plugged)


def test_the_source_of_a_plug_in_is_its_whole_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = add_scorer(tmp_path, "deep", "pass")
    folder = tmp_path / "deep_folder"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (packages / "deep_module.py").rename(folder / "scorer.py")
    (folder / "helper.py").write_text("STEPS = 3\n")
    points = packages / "deep-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("deep_module", "deep_folder.scorer"))
    monkeypatch.syspath_prepend(packages)
    family = Registry("scorer", {"lime": "attribution_suite.scorers.lime:Lime"})
    before = plug_in_digest(family, "deep")
    assert before is not None and before.startswith("deep 1.0 ") and plug_in_digest(family, "lime") is None
    (folder / "helper.py").write_text("STEPS = 4\n")
    assert plug_in_digest(family, "deep") != before
