"""From the names of Captum's classes to scorers, and from Captum's classes and objects to names."""

import re
from dataclasses import dataclass, field, make_dataclass, replace
from functools import cache
from inspect import Parameter, signature
from sys import maxsize
from typing import Any

import captum.attr
import cloudpickle

from attribution_suite.errors import InputError, unknown_name
from attribution_suite.scorers.attribution import Reads, ScorerTraits
from attribution_suite.scorers.captum_methods.call import takes_baseline, takes_distribution
from attribution_suite.scorers.captum_methods.catalogue import CATALOGUE, EXACT_SHAPLEY, NEEDS, TUNNEL, Entry
from attribution_suite.scorers.captum_methods.method import CaptumMethod

FORM = re.compile(r"(?:NoiseTunnel\((?P<inner>\w+)\)|(?P<name>\w+))(?:@(?P<layer>[\w.]+)(?::(?P<unit>\d+))?)?")
WRITTEN = ("captum:NAME, captum:NoiseTunnel(NAME), @LAYER behind a layer class, @LAYER:UNIT behind a neuron class, "
           "LAYER a number or a name")
# What the scorer itself gives, or has no use for. (A layer is what enters the next Linear, here as everywhere.)
GIVEN = {"self", "forward_func", "model", "layer", "device_ids", "attribution_method", "inputs", "baselines", "target",
         "additional_forward_args", "feature_mask", "layer_mask", "layer_baselines", "neuron_selector",
         "draw_baseline_from_distrib", "attribute_to_layer_input", "attribute_to_neuron_input",
         "return_convergence_delta", "return_input_shape", "show_progress", "verbose", "kwargs"}


@dataclass(frozen=True)
class Asked:
    """A name taken apart: `captum:NoiseTunnel(Saliency)` is the class Saliency in a `tunnel`.

    `layer` and `unit`: what stands behind '@', None where nothing does. A layer's name is kept until the networks say
    which number it is.
    """

    kind: str
    tunnel: bool
    layer: int | str | None
    unit: int | None

    @property
    def entry(self) -> Entry:
        """Of the outermost class."""
        inner = CATALOGUE[self.kind]
        if not self.tunnel:
            return inner
        return replace(CATALOGUE[TUNNEL], shared="single") if inner.shared == "single" else CATALOGUE[TUNNEL]

    @property
    def scores_units(self) -> bool:
        """A layer class scores the units of its layer."""
        return self.kind.startswith("Layer") or self.kind == "InternalInfluence"

    @property
    def explains_unit(self) -> bool:
        """A neuron class scores the inputs, by what they do to one unit."""
        return self.kind.startswith("Neuron")

    def check(self, name: str) -> None:
        """Raises InputError for a class that there is not, and for a place that does not fit it."""
        if self.kind in NEEDS:
            raise InputError(f"captum:{self.kind} cannot score a table: it needs {NEEDS[self.kind]}")
        if self.kind not in CATALOGUE:
            raise unknown_name("scorer", f"captum:{self.kind}", [f"captum:{known}" for known in CATALOGUE])
        if self.kind == TUNNEL:
            raise InputError("captum:NoiseTunnel goes around another class: captum:NoiseTunnel(Saliency)")
        if self.layer == 0 or (self.layer is not None and not (self.scores_units or self.explains_unit)):
            raise InputError(f"captum:{name}: {self.kind} has no layer of its own; for the units of a hidden layer as "
                             "inputs ask it at that layer (--layer, layer=)" if self.layer else
                             f"captum:{name}: hidden layers are numbered from 1")
        if self.explains_unit and self.unit is None:
            raise InputError(f"captum:{name}: {self.kind} needs a unit: captum:{self.kind}@1:0 is unit 0 of layer 1")
        if self.unit is not None and not self.explains_unit:
            raise InputError(f"captum:{name}: {self.kind} scores all units of the layer: leave out ':{self.unit}'")

    def traits(self) -> ScorerTraits:
        """What the scorer declares of itself. A layer class scores its own layer, or that which is asked for."""
        inner, kind, at = CATALOGUE[self.kind], getattr(captum.attr, self.kind), range(maxsize)
        if self.scores_units:
            at = range(self.layer, self.layer + 1) if isinstance(self.layer, int) else range(1, maxsize)
        elif self.explains_unit:
            at = range(1)
        inside = self.scores_units or self.explains_unit
        outputs: Reads = "gradients" if inner.shared == "wide" else "network"
        units: Reads = "unit activations" if inner.hooks else "units"
        return ScorerTraits(
            reads=units if inside else "activations" if inner.hooks else outputs, below=self.scores_units, at=at,
            zero_on_zero_weights=inner.zero, draws=self.entry.draws or inner.draws,
            rows="lime_rows" if inner.slow or (self.tunnel and inner.points == "baselines") else None,
            baseline="distribution" if takes_distribution(kind) else "zero" if takes_baseline(kind) else "",
            unit=(self.layer if isinstance(self.layer, int) else 1, self.unit) if self.unit is not None else None,
            named=self.layer if isinstance(self.layer, str) else "",
            most_features=EXACT_SHAPLEY if self.kind == "ShapleyValues" else None)


@cache
def captum_scorer(name: str) -> type[CaptumMethod]:
    """Any attribution class of Captum that takes a table, by its name: captum:KernelShap, captum:LayerLRP, ...

    Returns a dataclass whose fields are the options of Captum's class. Raises InputError for a class that there is not,
    that needs what networks of tables lack, or that is asked in the wrong form.
    """
    form = FORM.fullmatch(name)
    if form is None:
        raise InputError(f"captum:{name} is not in the form of a name: {WRITTEN}")
    place, unit = form["layer"], None if form["unit"] is None else int(form["unit"])
    layer = int(place) if place is not None and place.isdecimal() else place
    asked = Asked(form["inner"] or form["name"], form["inner"] is not None, layer, unit)
    asked.check(name)
    kinds = [getattr(captum.attr, asked.kind)] + ([captum.attr.NoiseTunnel] if asked.tunnel else [])
    options = {option: default for kind in kinds for call in (kind.__init__, kind.attribute)
               for option, default in parameters(call).items() if option not in GIVEN}
    fields: list[tuple[str, Any, Any]] = [
        (option, Any, field() if default is Parameter.empty else field(default=default))
        for option, default in options.items()]
    if asked.scores_units:
        fields.append(("layer", Any, field(default=layer if isinstance(layer, int) else 1)))
    return make_dataclass(
        asked.kind, fields, bases=(CaptumMethod,), frozen=True, kw_only=True,
        namespace={"name": f"captum:{name}", "traits": asked.traits(), "kind": kinds[0], "tunnel": asked.tunnel,
                   "entry": asked.entry})


def parameters(call: Any) -> dict[str, Any]:
    """What a function takes, and its defaults (`Parameter.empty` for none)."""
    return {name: parameter.default for name, parameter in signature(call).parameters.items()}


def name_of(scorer: object) -> str:
    """The name of a class of Captum, or of an object of one: its class, and its settings that are plain values.

    An object explains one function; its class is made anew for every network. Raises InputError for an object of a
    layer or neuron class (its layer is another network's), and for settings that are no plain values.
    """
    kind = scorer if isinstance(scorer, type) else type(scorer)
    if kind is captum.attr.NoiseTunnel and not isinstance(scorer, type):
        inner, mark, options = name_of(scorer.attribution_method).partition("?")  # type: ignore[attr-defined]
        return f"captum:NoiseTunnel({inner.removeprefix('captum:')}){mark}{options}"
    if kind is not getattr(captum.attr, kind.__name__, None):
        raise InputError(f"{kind.__module__}.{kind.__name__} is no attribution class of captum.attr")
    name = f"captum:{kind.__name__}"
    if isinstance(scorer, type):
        return name
    if hasattr(scorer, "layer"):
        raise InputError(f"an object of captum.attr.{kind.__name__} holds a layer of its own network: name the class "
                         f"and the layer, '{name}@1'")
    settings = [option for option in parameters(kind.__init__) if option not in GIVEN]
    made = kind(scorer.forward_func) if settings else None  # type: ignore[attr-defined]
    changed = []
    for option in sorted(settings):
        value, default = (getattr(each, option, getattr(each, f"_{option}", None)) for each in (scorer, made))
        if content(value) == content(default):
            continue
        if not isinstance(value, bool | int | float):
            raise InputError(f"an object of captum.attr.{kind.__name__} holds a '{option}' that no name can tell: call "
                             f"attribute(networks, dataset, '{name}', {option}=...)")
        changed.append(f"{option}={value}")
    return "?".join([name, "&".join(changed)]) if changed else name


def content(value: object) -> bytes:
    """What a setting is made of: Captum makes its default functions and models anew for every object.

    Of a linear model without what it fitted to the last row that was explained.
    """
    if hasattr(value, "construct_kwargs"):
        value = type(value), value.train_fn, value.construct_kwargs  # type: ignore[attr-defined]
    return bytes(cloudpickle.dumps(value))
