"""What `list measures` names is there: a column of a table, or a function that can be imported."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import attribution_suite
from attribution_suite.measures import MEASURES
from attribution_suite.measures.agreement import METRICS
from attribution_suite.tables import ALL_TABLES

PACKAGE = Path(attribution_suite.__file__).parent


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_found_where_the_catalogue_says(name: str) -> None:
    meaning, places = MEASURES[name]
    assert places and len(meaning) > 10 and "\n" not in meaning
    for place in places:
        owner, _, last = place.rpartition(".")
        if owner in ALL_TABLES:
            assert last in ALL_TABLES[owner] and last in (name, "value")
        else:
            assert last == name and callable(getattr(import_module(owner), last))


def test_the_metrics_of_agreement_are_those_of_its_column() -> None:
    assert {name for name, measure in MEASURES.items() if "agreement.value" in measure.places} == set(METRICS)


def test_no_measure_is_for_the_tests_alone() -> None:
    """A public function of measures/ is in the catalogue, or the package itself calls it."""
    reached = {place for measure in MEASURES.values() for place in measure.places}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                reached |= {f"{node.module}.{alias.name}" for alias in node.names}
    for path in (PACKAGE / "measures").glob("[a-z]*.py"):
        source = path.read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                called = re.search(rf"(?<!def )\b{node.name}\(", source)
                assert called or f"attribution_suite.measures.{path.stem}.{node.name}" in reached, node.name
