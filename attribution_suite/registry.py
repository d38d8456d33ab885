"""The catalogue of a family (data sets, scorers, removals): a name and where its class lives, loaded on first use.

A package outside adds to a family by an entry point, so that `--scorers its_name` finds it:

    [options.entry_points]
    attribution_suite.scorers =
        its_name = its_module:ItsScorer
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attribution_suite.errors import unknown_name


@dataclass(frozen=True)
class Registry:
    """One family: `builtin` maps a name to 'module:attribute'; nothing is imported before `load`."""

    kind: str
    builtin: Mapping[str, str]

    @cached_property
    def places(self) -> dict[str, str]:
        """Every name and its 'module:attribute', the family's own first, then those of entry points."""
        from importlib.metadata import entry_points  # slow to load, and --help does without

        found = entry_points(group=f"attribution_suite.{self.kind.replace(' ', '_')}s")
        return {**self.builtin, **{point.name: point.value for point in found}}

    @property
    def names(self) -> list[str]:
        """The names, in the order in which tables and figures show them."""
        return list(self.places)

    def load(self, name: str) -> Any:
        """What the name stands for. Raises InputError with the nearest names for an unknown one."""
        if name not in self.places:
            raise unknown_name(self.kind, name, self.names)
        module, _, attribute = self.places[name].partition(":")
        return getattr(import_module(module), attribute)

    def describe(self, name: str) -> str:
        """The first line of the docstring, read from the source: describing a family loads no backend."""
        module, _, attribute = self.places[name].partition(":")
        found = find_spec(module)
        if found is None or found.origin is None:
            return ""
        for node in ast.parse(Path(found.origin).read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""
