"""The catalogue of a family (data sets, scorers, removals): a name and where its class lives, loaded on first use.

A package outside adds to a family by an entry point, so that `--scorers its_name` finds it:

    [options.entry_points]
    attribution_suite.scorers =
        its_name = its_module:ItsScorer

Wherever a name is taken, options may follow it: `integrated_gradients?steps=100`, several joined by `&`. A name with
its options in alphabetical order is what tables, chunks and pages call it.
"""

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """One family: `builtin` maps a name to 'module:attribute'; nothing is imported before `load`.

    `makers` maps a prefix to the 'module:function' that makes a class of what follows it: 'captum' that of
    `captum:Saliency`. `traits`: the class of what every class of the family declares of itself, '' for nothing.
    """

    kind: str
    builtin: Mapping[str, str]
    makers: Mapping[str, str] = field(default_factory=dict)
    traits: str = ""

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
        """The class that the name stands for, its options apart.

        Raises InputError for an unknown one, and for one of a package that is broken or declares no `traits`.
        """
        name = bare(name)
        prefix, _, rest = name.partition(":")
        if prefix in self.makers and rest:
            module, _, function = self.makers[prefix].partition(":")
            return getattr(import_module(module), function)(rest)
        if name not in self.places:
            raise unknown_name(self.kind, name, [*self.names, *self.patterns])
        module, _, attribute = self.places[name].partition(":")
        try:
            kind = getattr(import_module(module), attribute)
        except (Exception, SystemExit) as error:  # a stranger's module may fail in any way while it is imported
            if name in self.builtin:
                raise
            raise InputError(f"{self.kind} '{name}' of {self.version(name)} cannot be loaded: {_reason(error)}"
                             ) from error
        if self.traits and type(getattr(kind, "traits", None)).__name__ != self.traits:
            raise InputError(f"{self.kind} '{name}' ({self.places[name]}) has no `traits`: let its class declare "
                             f"them: traits: ClassVar[{self.traits}] = {self.traits}(…)")
        return kind

    def loaded(self) -> dict[str, Any]:
        """The class of every name; what a broken package adds is left out, with a warning that names it."""
        classes = {}
        for name in self.names:
            try:
                classes[name] = self.load(name)
            except InputError as error:
                warnings.warn(f"{error}: it is left out", stacklevel=3)
        return classes

    def make(self, name: str, **defaults: Any) -> Any:
        """The class of the name, made with the name's options; `defaults` where it gives none."""
        return self.load(name)(**{**defaults, **options_in(name)})

    @property
    def patterns(self) -> list[str]:
        """The names that are made, as in 'captum:NAME'."""
        return [f"{prefix}:NAME" for prefix in self.makers]

    def describe(self, name: str) -> str:
        """The first line of the docstring, read from the source: describing a family loads no backend.

        What a package adds is loaded: of one that is broken it is told what breaks it.
        """
        place = self.places.get(name) or self.makers[name.partition(":")[0]]
        module, _, attribute = place.partition(":")
        if name in self.added:
            try:
                self.load(name)
            except InputError as error:
                return str(error)
        module_spec = find_spec(module)
        if module_spec is None or module_spec.origin is None or not module_spec.origin.endswith(".py"):
            return ""
        for node in ast.parse(Path(module_spec.origin).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""


def _reason(error: BaseException) -> str:
    """One line; the kind of what a missing module or name is needs no telling."""
    text = str(error).partition("\n")[0]
    return text if isinstance(error, ImportError | AttributeError) and text else f"{type(error).__name__}: {text}"


def bare(name: str) -> str:
    """A name without its options."""
    return name.partition("?")[0]


def options_in(name: str) -> dict[str, Any]:
    """The options in a name, by option: numbers, True, False, None and tuples as Python writes them, else words.

    Raises InputError for what is no 'option=value', and for an option that is given twice.
    """
    base, mark, text = name.partition("?")
    options: dict[str, Any] = {}
    for pair in text.split("&") if mark else []:
        option, equals, value = (part.strip() for part in pair.partition("="))
        if not (option and equals and value):
            raise InputError(f"'{name}': options are written {base}?option=value&option2=value, got '{pair}'")
        if option in options:
            raise InputError(f"'{name}': option '{option}' is given twice")
        options[option] = _value(value)
    return options


def canonical(name: str) -> str:
    """The name with its options in alphabetical order: names that mean the same are the same."""
    pairs = [f"{option}={str(value).replace(' ', '')}" for option, value in sorted(options_in(name).items())]
    return bare(name).strip() + ("?" + "&".join(pairs) if pairs else "")


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.title() if text.lower() in ("true", "false", "none") else text)
    except (ValueError, SyntaxError):
        return text
