"""A scorer of the catalogue with its options, asked of networks at a layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.network import Ensemble
from attribution_suite.options import checked_options
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits


@dataclass(frozen=True)
class Choice:
    """`options` are the scorer's own; `rows` limits how many rows it explains, None explains all that are given.

    Raises InputError for an unknown scorer, and for an option that it does not have.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None

    def __post_init__(self) -> None:
        checked_options(SCORERS, self.name, self.options)

    @classmethod
    def of(cls, name: str, numbers: object) -> "Choice":
        """With the numbers of an audit's profile that the scorer's traits ask for."""
        traits = traits_of(name)
        for number in (*traits.from_profile.values(), *([] if traits.rows is None else [traits.rows])):
            if not hasattr(numbers, number):
                raise unknown_name(f"number of a profile that {name} asks for", number, vars(numbers))
        options = {option: getattr(numbers, number) for option, number in traits.from_profile.items()}
        return cls(name, options, None if traits.rows is None else getattr(numbers, traits.rows))

    def attribute(self, networks: Ensemble, evaluation: Evaluation, layer: int = 0) -> Attribution:
        """The attribution at a layer: through the tail, or of the whole network for what needs the layers below."""
        kind = SCORERS.load(self.name)
        limited = evaluation if self.rows is None else evaluation.with_rows(self.rows)
        if traits_of(self.name).below:
            attribution: Attribution = kind(**self.options, layer=layer).attribute(networks, limited)
        else:
            attribution = kind(**self.options).attribute(networks.tail(layer), limited.at_layer(networks, layer))
        return attribution

    def attribute_seeds(self, networks: Ensemble, evaluation: Evaluation, layer: int,
                        seeds: Sequence[int]) -> Attribution:
        """The attribution of networks that are seed-major, each seed with draws of its own if the scorer draws."""
        if not traits_of(self.name).draws:
            return self.attribute(networks, evaluation, layer)
        variants = len(networks) // len(seeds)
        return Attribution.joined([
            self.attribute(networks.select(members), replace(evaluation.for_members(members), seed=seed), layer)
            for seed, members in zip(seeds, torch.arange(len(networks), device=networks.device).split(variants),
                                     strict=True)])


def traits_of(name: str) -> ScorerTraits:
    """What a scorer declares of itself. Raises InputError for one that declares nothing."""
    traits = getattr(SCORERS.load(name), "traits", None)
    if not isinstance(traits, ScorerTraits):
        raise InputError(f"scorer '{name}' ({SCORERS.places[name]}) has no `traits`: let its class declare them, "
                         "as in traits: ClassVar[ScorerTraits] = ScorerTraits()")
    return traits


def scorers_at(names: Sequence[str], layer: int) -> list[str]:
    """Those of `names` that apply at a layer: a scorer that reads the layers below one scores hidden units only."""
    return [name for name in names if layer > 0 or not traits_of(name).below]


def inapplicable(names: Sequence[str], networks: Ensemble) -> dict[str, str]:
    """Which scorers cannot be asked of these networks, and why, in one line each."""
    reasons = {name: networks.refusal(traits_of(name).reads) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}
