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
from typing import TYPE_CHECKING, Any

from attribution_suite.errors import InputError, unknown_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Registry:
    """One family: `builtin` maps a name to 'module:attribute'; nothing is imported before `load`."""

    kind: str
    builtin: Mapping[str, str]

    @cached_property
    def added(self) -> "dict[str, EntryPoint]":
        """What other packages add. Raises InputError where one takes a name that the family has."""
        from importlib.metadata import entry_points  # slow to load, and --help does without

        group = f"attribution_suite.{self.kind.replace(' ', '_')}s"
        points = {point.name: point for point in entry_points(group=group)}
        for name in self.builtin.keys() & points.keys():
            raise InputError(f"{self.kind} '{name}' of an installed package ({points[name].value}): that name is "
                             "taken; rename it there, or uninstall the package")
        return points

    @cached_property
    def places(self) -> dict[str, str]:
        """Every name and its 'module:attribute', the family's own first, then those of entry points."""
        return {**self.builtin, **{name: point.value for name, point in self.added.items()}}

    def version(self, name: str) -> str | None:
        """The package that adds a name, and its version; None for the family's own."""
        dist = self.added[name].dist if name in self.added else None
        return f"{dist.name} {dist.version}" if dist else None

    @property
    def names(self) -> list[str]:
        """The names, in the order in which tables and figures show them."""
        return list(self.places)

    def load(self, name: str) -> Any:
        """What the name stands for. Raises InputError for an unknown one, and for one of a package that is broken."""
        if name not in self.places:
            raise unknown_name(self.kind, name, self.names)
        module, _, attribute = self.places[name].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            if name in self.builtin:
                raise
            raise InputError(f"{self.kind} '{name}' of {self.version(name)} cannot be loaded: {error}") from error

    def describe(self, name: str) -> str:
        """The first line of the docstring, read from the source: describing a family loads no backend."""
        module, _, attribute = self.places[name].partition(":")
        try:
            module_spec = find_spec(module)
        except ImportError as error:
            return f"cannot be loaded: {error}"
        if module_spec is None or module_spec.origin is None or not module_spec.origin.endswith(".py"):
            return ""
        for node in ast.parse(Path(module_spec.origin).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""
