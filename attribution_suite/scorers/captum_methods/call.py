"""A call of Captum's class: on all networks by their wide view or their outputs, or on one network's module."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import captum.attr
import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.networks.wide import wide_view
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.seeding import seeded


def takes_baseline(kind: Any) -> bool:
    """Does Captum's class compare with a baseline?"""
    return bool({"baselines", "layer_baselines"} & signature(kind.attribute).parameters.keys())


def takes_distribution(kind: Any) -> bool:
    """Captum's classes draw from baselines, or average over them, where they cannot do without."""
    baselines = signature(kind.attribute).parameters.get("baselines")
    return baselines is not None and baselines.default is Parameter.empty


@dataclass(frozen=True)
class Call:
    """How Captum's class `kind` is called, with `options` of its own and, in a `tunnel`, of NoiseTunnel's.

    `shared`: as in the catalogue's `Entry`. `place`: the hidden layer that it is about; `unit`: that layer's unit which
    is explained. `most`: how many rows of a distribution it is given, None for all.
    """

    kind: type
    tunnel: bool
    shared: str
    options: Mapping[str, Any]
    place: int | None
    unit: int | None
    most: int | None

    def values(self, networks: Ensemble, evaluation: Evaluation) -> Tensor:
        """φ `[members, rows, columns or units]`; where networks share no call there is one network."""
        ways = {"outputs": self._outputs, "no": self._alone}
        with seeded(evaluation.seed):  # a module that is made draws its first weights
            return ways.get(self.shared, self._wide)(networks, evaluation)

    def _wide(self, networks: Ensemble, evaluation: Evaluation) -> Tensor:
        view, unit = wide_view(networks), self.unit
        rows, baselines = (inputs.expand(len(networks), -1, -1).transpose(0, 1)
                           for inputs in (evaluation.inputs, self._baselines(evaluation)))
        explained = None if evaluation.explained is None else (evaluation.explained.T,)
        words = {"additional_forward_args": explained,
                 "neuron_selector": None if unit is None else lambda units: units[..., unit].sum(1)}
        return self._ask(view, view.body, evaluation, rows, baselines, words).transpose(0, 1)

    def _outputs(self, networks: Ensemble, evaluation: Evaluation) -> Tensor:
        """Captum's class asks for one output a row and network, and keeps them apart."""
        def told(rows: Tensor) -> Tensor:
            return explained_output(networks.outputs(rows), evaluation.explained).T

        inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[0]
        baselines = self._baselines(evaluation).reshape(-1, inputs.shape[1])
        values = self._ask(told, None, evaluation, inputs, baselines, {})
        return values.reshape(len(inputs), len(networks), -1).transpose(0, 1)

    def _alone(self, networks: Ensemble, evaluation: Evaluation) -> Tensor:
        """The call on the module of the only network, as a user of Captum makes it."""
        network: Any = networks.to_sequential().eval().requires_grad_(False)
        inputs, baselines = (values if values.dim() == 2 else values[0]
                             for values in (evaluation.inputs, self._baselines(evaluation)))
        target: Any = None if evaluation.explained is None else evaluation.explained[0]
        if target is None and network(inputs[:1]).dim() > 1:
            target = 0
        words = {"target": target, "neuron_selector": self.unit}
        if self.place is not None:
            words["layer_baselines"] = network[:2 * self.place](baselines)
        return self._ask(network, network, evaluation, inputs, baselines, words)[None]

    def _baselines(self, evaluation: Evaluation) -> Tensor:
        """What the class is given, `[baselines, …]` or `[members, baselines, …]`."""
        if not takes_distribution(self.kind):
            return evaluation.baselines
        several = evaluation.distribution[..., :self.most, :]
        if several.shape[-2] > 1 or self.most is None:
            return several
        return torch.cat([several, several], -2)  # Captum's DeepLiftShap refuses one; twice it gives the same mean

    def _ask(self, function: Any, steps: Any, evaluation: Evaluation, inputs: Tensor, baselines: Tensor,
             words: dict[str, Any]) -> Tensor:
        """The class made for `function` and asked, with those of `words` and of the options that it takes.

        `steps[2l − 1]` is the activation of hidden layer l.
        """
        by_rule = self.kind is captum.attr.LayerLRP  # it keeps the relevance of what has a rule: Linear l + 1 does
        settings = {name: self.options[name] for name in signature(self.kind).parameters if name in self.options}
        if self.place is not None:
            settings["layer"] = steps[2 * self.place - (not by_rule)]
        made = self.kind(function, **settings)
        ask, takes = made.attribute, signature(made.attribute).parameters
        mask = torch.zeros(1, inputs.shape[-1], dtype=torch.int64, device=inputs.device)
        for number, columns in enumerate(evaluation.groups.values()):
            mask[0, list(columns)] = number
        words = {**self.options, **words, "feature_mask": mask, "attribute_to_layer_input": by_rule,
                 "baselines": baselines}
        words = {name: value for name, value in words.items() if name in takes}
        if self.tunnel:
            ask = captum.attr.NoiseTunnel(made).attribute
            words |= {name: self.options[name] for name in signature(ask).parameters if name in self.options}
            # Else it wants as many baselines as rows.
            words["draw_baseline_from_distrib"] = takes_distribution(self.kind)
        with seeded(evaluation.seed):
            values: Tensor = ask(inputs.detach().clone().requires_grad_(self.shared != "outputs"), **words)
        return values.detach()
