"""A scorer of the catalogue with its options, asked of networks at a layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.layered import at_layer
from attribution_suite.networks.network import Ensemble
from attribution_suite.options import checked_options
from attribution_suite.registry import canonical, options_in
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.alone import by_reference
from attribution_suite.scorers.attribution import Attribution, Evaluation, Scorer, ScorerTraits, check_applies
from attribution_suite.scorers.baselines import check_kind


@dataclass(frozen=True)
class Choice:
    """`options` are the scorer's own, beside those in its name (`integrated_gradients?steps=100`).

    `rows` limits how many rows it explains, None explains all that are given. `by_reference`: its numbers are those of
    its reference (where it has one), network by network: slow. Raises InputError for an unknown scorer, and for an
    option that it does not have or refuses.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None
    by_reference: bool = False

    def __post_init__(self) -> None:
        checked_options(SCORERS, self.name, self.options)
        if traits_of(self.name).below and "layer" in {**self.options, **options_in(self.name)}:
            raise InputError(f"{self.name}: 'layer' is no option of a scorer: it scores the layer that is asked for")

    @classmethod
    def of(cls, name: str, numbers: object, by_reference: bool = False) -> "Choice":
        """With the numbers of an audit's profile that the scorer's traits ask for."""
        traits = traits_of(name)
        for number in (*traits.from_profile.values(), *([] if traits.rows is None else [traits.rows])):
            if not hasattr(numbers, number):
                raise unknown_name(f"number of a profile that {name} asks for", number, vars(numbers))
        options = {option: getattr(numbers, number) for option, number in traits.from_profile.items()
                   if option not in options_in(name)}
        return cls(name, options, None if traits.rows is None else getattr(numbers, traits.rows), by_reference)

    def attribute(self, networks: Ensemble, evaluation: Evaluation, layer: int = 0) -> Attribution:
        """The attribution at a layer: through the tail, or of the whole network for what needs the layers below.

        Raises InputError where the networks do not have what the scorer reads, or it returns no Attribution.
        """
        if reason := refusal_at(self.name, layer):
            raise InputError(reason)
        scorer, through = self.scorer(layer), seen_from(self.name, layer)
        check_applies(scorer, networks.tail(through))
        limited = evaluation if self.rows is None else evaluation.with_rows(self.rows)
        attribution = scorer.attribute(networks.tail(through), limited.at_layer(networks, through))
        if not isinstance(attribution, Attribution):  # a plug-in may return anything
            raise InputError(f"{self.name} returned {type(attribution).__name__}, not an Attribution")
        if self.by_reference and scorer.traits.reference:
            attribution = by_reference(scorer, attribution, networks, limited, through)
        return replace(attribution, scorer=self.name)

    def scorer(self, layer: int = 0) -> Scorer:
        """The scorer with its options, for a layer."""
        below = {"layer": layer} if traits_of(self.name).below else {}
        made: Scorer = SCORERS.make(self.name, **self.options, **below)
        return made

    def attribute_seeds(self, networks: Ensemble, evaluation: Evaluation, layer: int,
                        seeds: Sequence[int]) -> Attribution:
        """The attribution of networks that are seed-major, each seed with draws of its own if the scorer draws."""
        if not traits_of(self.name).draws_of(evaluation):
            return self.attribute(networks, evaluation, layer)
        variants = len(networks) // len(seeds)
        return Attribution.joined([
            self.attribute(networks.select(members), replace(evaluation.for_members(members), seed=seed), layer)
            for seed, members in zip(seeds, torch.arange(len(networks), device=networks.device).split(variants),
                                     strict=True)])


def traits_of(name: str) -> ScorerTraits:
    """What a scorer declares of itself."""
    traits: ScorerTraits = SCORERS.load(name).traits
    return traits


def baseline_of(name: str, kind: str | None) -> str:
    """What a scorer compares a row with where the run names `kind`, or none; '' for one that has no baseline."""
    default = traits_of(name).baseline
    return default and (kind or default)


def check_baseline(kind: str | None, names: Sequence[str]) -> str:
    """Which of the scorers a run's baseline does not apply to, as a line; '' where it applies to all.

    Raises InputError for what is no baseline, and where none of them compares with one.
    """
    check_kind(kind)
    asked_scorers = [name for name in names if not traits_of(name).control]
    without = [name for name in asked_scorers if not traits_of(name).baseline]
    if kind is None or not without:
        return ""
    if without == asked_scorers:
        raise InputError(f"option 'baseline' does not apply to {', '.join(without)}, where nothing is compared with "
                         "one: leave it out")
    return f"not applicable: baseline {kind} to {', '.join(without)}, where nothing is compared with one"


def scorers_at(names: Sequence[str], layer: int) -> list[str]:
    """Those of `names` that apply at a layer: what scores hidden units is not asked about inputs, nor the reverse."""
    return [name for name in names if layer in traits_of(name).at]


def layer_of(name: str) -> int | str:
    """The layer whose units a scorer's name asks for (`captum:LayerLRP@2`, `…@encoder.2`), 0 where it names none."""
    at, named = traits_of(name).at, traits_of(name).named
    return named if named and 0 not in at else at.start if len(at) == 1 else 0


def at_named_layers(networks: Ensemble, layer: int | str, names: Sequence[str],
                    inputs: Tensor) -> tuple[Ensemble, int, tuple[str, ...]]:
    """The networks with the layers that `layer` and the scorers name, and all of these by their numbers.

    `inputs` `[rows, features]`, some on which the networks are tried. Raises InputError for a layer that there is not,
    and for two layers of a module: it is cut at one.
    """
    networks, number = at_layer(networks, layer, inputs)
    numbered = []
    for name in names:
        if named := traits_of(name).named:
            if reason := refusal_at(name, number):
                raise InputError(reason)
            networks, place = at_layer(networks, named, inputs)
            name = name.replace(f"@{named}", f"@{place}", 1)
        numbered.append(name)
    return networks, number, tuple(dict.fromkeys(numbered))


def seen_from(name: str, layer: int) -> int:
    """The layer from which on a scorer of a layer's nodes is given the networks: 0 if it needs what lies below."""
    return 0 if traits_of(name).below else layer


def refusal_at(name: str, layer: int) -> str | None:
    """Why a scorer does not score the nodes of a layer, and which it does; None if it does."""
    at, named = traits_of(name).at, traits_of(name).named
    if layer in at:
        return None
    if named and at.stop > 1:
        return f"{name} scores the units of layer {named}: add layer {named}"
    if at.stop == 1:
        return f"{name} scores the inputs: leave out layer {layer}"
    nodes = f"the units of layer {at.start}" if len(at) == 1 else "hidden units only"
    return f"{name} scores {nodes}: add layer {at.start}"


def written(scorer: object) -> str:
    """The name of a scorer, its options in order; of a class or object of Captum, the name that stands for it.

    Raises InputError for anything else.
    """
    if isinstance(scorer, str):
        return canonical(scorer)
    kind = scorer if isinstance(scorer, type) else type(scorer)
    if not kind.__module__.startswith("captum."):
        raise InputError(f"a scorer is a name such as '{SCORERS.names[0]}', or a class or an object of captum.attr, "
                         f"got {scorer!r}")
    from attribution_suite.scorers.captum_methods.naming import name_of  # Captum is slow to load

    return canonical(name_of(scorer))


def asked(scorers: Sequence[object] | None) -> Sequence[object]:
    """What an audit asks: the scorers that are named, the default ones if none are, of ['all'] the whole catalogue."""
    if scorers is None:
        return [name for name in SCORERS.loaded() if traits_of(name).default]
    if not isinstance(scorers, list | tuple):
        return scorers  # refused by who asks
    return list(SCORERS.loaded()) if list(scorers) == ["all"] else list(map(written, scorers))


def inapplicable(names: Sequence[str], networks: Ensemble, layer: int = 0) -> dict[str, str]:
    """Which scorers cannot be asked of these networks at a layer, and why, in one line each."""
    reasons = {name: networks.tail(seen_from(name, layer)).refusal(traits_of(name).reads) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}
