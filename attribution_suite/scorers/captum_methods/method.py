"""One attribution class of Captum, asked of every network of an ensemble."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from inspect import Parameter, signature
from typing import Any, ClassVar

import captum.attr
import torch
from torch import Tensor

from attribution_suite.devices import CPU
from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.networks.wide import wide_view
from attribution_suite.options import check_flags, check_one_of, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, check_applies, sum_groups
from attribution_suite.scorers.captum_methods.catalogue import CATALOGUE, Entry
from attribution_suite.seeding import seeded

# A class that explains a row by every baseline is given so many background rows, the first ones.
BASELINES = 50
# Numbers in the widest layer of one call (4 bytes each); Captum keeps several tensors of this size.
CALL_VALUES = 16_000_000
MOST_VALUES = 300_000_000
WORDS = {
    "method": ("riemann_trapezoid", "riemann_left", "riemann_right", "riemann_middle", "gausslegendre"),
    "nt_type": ("smoothgrad", "smoothgrad_sq", "vargrad")}


@dataclass(frozen=True)
class CaptumMethod:
    """φ as Captum's class computes it for each network, with Captum's own code and defaults.

    The explained output is the target, `evaluation.baseline` the baseline, the first background rows the distribution
    of a class that wants one. A one-hot group is one feature of a feature mask where the class has that parameter; else
    its columns' φ are summed. Every network's call is seeded by `evaluation.seed`. Layer classes give φ per unit,
    `[members, rows, units]`, of the option `layer`. The fields of a subclass are Captum's options.
    Kokhlikyan et al. (2020), Captum: A unified and generic model interpretability library for PyTorch.
    """

    name: ClassVar[str]
    traits: ClassVar[ScorerTraits]
    kind: ClassVar[type]
    tunnel: ClassVar[bool]
    entry: ClassVar[Entry]

    def __post_init__(self) -> None:
        """Raises InputError for a value that Captum would refuse, or misunderstand."""
        for option in fields(self):
            value, default = getattr(self, option.name), option.default
            if isinstance(default, bool):
                check_flags(self, option.name)
            elif isinstance(default, int):
                check_whole(self, 1, option.name)
            elif isinstance(default, float):
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                    raise InputError(f"option '{option.name}' of {self.name} must be a finite number of at least 0, "
                                     f"got {value!r}")
                object.__setattr__(self, option.name, float(value))  # Captum's NoiseTunnel takes no other
            elif isinstance(default, str):
                check_one_of(self, option.name, WORDS[option.name])
            elif option.name == "sliding_window_shapes" or (option.name == "strides" and value is not None):
                columns = value[0] if isinstance(value, tuple) and len(value) == 1 else value
                if not isinstance(columns, int) or isinstance(columns, bool) or columns < 1:
                    raise InputError(f"option '{option.name}' of {self.name} must be a number of columns, got "
                                     f"{value!r}")
                object.__setattr__(self, option.name, (columns,))

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ, per feature or per unit. Raises InputError where the class cannot be asked of the networks."""
        check_applies(self, networks)
        self._check_place(networks)
        most = self.traits.most_features
        if most is not None and len(evaluation.groups) > most:
            raise InputError(f"{self.name} evaluates every order of the features: at most {most}, and there are "
                             f"{len(evaluation.groups)}; use captum:ShapleyValueSampling")
        home = networks.device
        if self.traits.draws or self.shared == "no":  # random numbers are the CPU's; one network is no work for a GPU
            networks, evaluation = networks.to(CPU), evaluation.to(CPU)
        with warnings.catch_warnings():  # of hooks that are set and gradients that are asked for
            warnings.simplefilter("ignore")
            try:
                values = torch.cat([call.values() for call in self._calls(networks, evaluation)]).to(home)
            except (AssertionError, TypeError, ValueError, NotImplementedError) as error:
                said = " ".join(str(error).split())[:200] or type(error).__name__
                raise InputError(f"{self.name}: Captum says: {said}") from error
        if self.traits.below:
            return Attribution.from_local(self.name, values, tuple(f"unit:{unit}" for unit in range(values.shape[2])))
        if self.masks:  # every column of a feature carries the feature's value
            return Attribution.from_local(
                self.name, values[..., [columns[0] for columns in evaluation.groups.values()]], evaluation.features)
        return Attribution.from_local(self.name, sum_groups(values, evaluation.groups), evaluation.features)

    @property
    def masks(self) -> bool:
        """Does the class take a feature mask?"""
        return "feature_mask" in signature(self.kind.attribute).parameters  # type: ignore[attr-defined]

    @property
    def shared(self) -> str:
        """How the networks share one call. Noise is drawn for the whole input, so with it they do not."""
        plain = not getattr(self, "stdevs", 0.0) and getattr(self, "perturbations_per_eval", 1) == 1
        return self.entry.shared if plain or self.entry.shared == "single" else "no"

    @property
    def place(self) -> int | None:
        """The hidden layer that the class is about, None where there is none."""
        return self.traits.unit[0] if self.traits.unit else getattr(self, "layer", None)

    @property
    def unit(self) -> int | None:
        """The unit of that layer whose activation is explained, None where the output is."""
        return self.traits.unit[1] if self.traits.unit else None

    def _check_place(self, networks: Ensemble) -> None:
        if self.place is None:
            return
        last = networks.architecture.depth - 1
        if not 1 <= self.place <= last:
            raise InputError(f"{self.name}: layer {self.place} is no hidden layer, the networks have "
                             + (f"1 to {last}" if last else "none"))
        if self.unit is not None and self.unit >= (units := networks.architecture.widths[self.place]):
            raise InputError(f"{self.name}: layer {self.place} has the units 0 to {units - 1}")

    def _calls(self, networks: Ensemble, evaluation: Evaluation) -> Iterator["Call"]:
        """One call for as many networks as memory allows, one network at a time where they cannot share it."""
        points = self.entry.points
        each = BASELINES if points == "baselines" else points if isinstance(points, int) else getattr(self, points)
        values = each * evaluation.inputs.shape[-2] * max(networks.architecture.widths)
        together = self.shared == "wide" or (self.shared == "outputs" and evaluation.inputs.dim() == 2)
        step = max(1, CALL_VALUES // values) if together else 1  # networks of a hidden layer have rows of their own
        if self.tunnel and wants_distribution(self.kind) and CATALOGUE[self.kind.__name__].points == "baselines":
            pairs = (each * evaluation.inputs.shape[-2]) ** 2 * max(networks.architecture.widths)
            if pairs > MOST_VALUES:
                raise InputError(f"{self.name} takes every noisy row with every other: explain fewer rows (rows=), or "
                                 "draw fewer samples (nt_samples=)")
        for members in torch.arange(len(networks)).split(step):
            part = networks.select(slice(int(members[0]), int(members[-1]) + 1))
            yield Call(self, part, evaluation.for_members(members))


@dataclass(frozen=True)
class Call:
    """A call of Captum's class on all of `networks`: by the wide view, by their outputs, or on the only one."""

    method: CaptumMethod
    networks: Ensemble
    evaluation: Evaluation

    def values(self) -> Tensor:
        """φ `[members, rows, columns or units]`."""
        ways = {"outputs": self._outputs, "no": self._alone}
        with seeded(self.evaluation.seed):  # a module that is made draws its first weights
            return ways.get(self.method.shared, self._wide)()

    def _wide(self) -> Tensor:
        view, evaluation = wide_view(self.networks), self.evaluation
        rows, background = (inputs.expand(len(self.networks), -1, -1).transpose(0, 1)
                            for inputs in (evaluation.inputs, evaluation.background[..., :self._baselines(), :]))
        baseline = evaluation.baseline.expand(len(self.networks), -1)[None]
        unit = self.method.unit
        explained = None if evaluation.explained is None else (evaluation.explained.T,)
        values = self._ask(view, view.body, rows, baseline, background, {"additional_forward_args": explained},
                           None if unit is None else lambda units: units[..., unit].sum(1))
        return values.transpose(0, 1)

    def _outputs(self) -> Tensor:
        networks, evaluation = self.networks, self.evaluation

        def told(rows: Tensor) -> Tensor:
            return explained_output(networks.outputs(rows), evaluation.explained).T

        inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[0]
        values = self._ask(told, None, inputs, evaluation.baseline.reshape(-1, inputs.shape[1])[:1], inputs, {}, None)
        return values.reshape(len(inputs), len(networks), -1).transpose(0, 1)

    def _alone(self) -> Tensor:
        """The call on the module of the only network."""
        evaluation = self.evaluation
        network: Any = self.networks.to_module().eval().requires_grad_(False)
        inputs, background = (values if values.dim() == 2 else values[0]
                              for values in (evaluation.inputs, evaluation.background))
        baseline = evaluation.baseline.reshape(-1, inputs.shape[1])[:1]
        target: Any = None if evaluation.explained is None else evaluation.explained[0]
        if target is None and network(inputs[:1]).dim() > 1:
            target = 0
        words = {"target": target}
        if self.method.place is not None:
            words["layer_baselines"] = network[:2 * self.method.place](baseline)
        return self._ask(network, network, inputs, baseline, background[:self._baselines()], words,
                         self.method.unit)[None]

    def _baselines(self) -> int | None:
        return BASELINES if self.method.entry.points == "baselines" else None

    def _ask(self, function: Any, steps: Any, inputs: Tensor, baseline: Tensor, background: Tensor,
             words: dict[str, Any], unit: Any) -> Tensor:
        """Captum's class made and asked, with those of `words` and of our options that it takes.

        `steps[2l − 1]` is the activation of hidden layer l; `unit` selects the neuron.
        """
        method, kind = self.method, self.method.kind
        options = {option.name: getattr(method, option.name) for option in fields(method)}
        by_rule = kind is captum.attr.LayerLRP  # it keeps the relevance of what has a rule: Linear l + 1, no activation
        place = {} if method.place is None else {"layer": steps[2 * method.place - (not by_rule)]}
        made = kind(function, **{**_taken(kind, options), **place})
        ask = made.attribute
        takes = signature(ask).parameters
        mask = torch.zeros(1, inputs.shape[-1], dtype=torch.int64, device=inputs.device)
        for number, columns in enumerate(self.evaluation.groups.values()):
            mask[0, list(columns)] = number
        distribution = wants_distribution(kind)
        words = {**options, **words, "feature_mask": mask, "neuron_selector": unit,
                 "baselines": background if distribution else baseline, "attribute_to_layer_input": by_rule}
        words = {name: value for name, value in words.items() if name in takes}
        if method.tunnel:
            ask = captum.attr.NoiseTunnel(made).attribute
            words |= {name: options[name] for name in signature(ask).parameters if name in options}
            words["draw_baseline_from_distrib"] = distribution  # else it wants as many baselines as rows
        with seeded(self.evaluation.seed):
            values: Tensor = ask(inputs.detach().clone().requires_grad_(method.shared != "outputs"), **words)
        return values.detach()


def wants_distribution(kind: type) -> bool:
    """Does the class need baselines to draw from, or to average over?"""
    baselines = signature(kind.attribute).parameters.get("baselines")  # type: ignore[attr-defined]
    return baselines is not None and baselines.default is Parameter.empty


def _taken(kind: type, options: dict[str, Any]) -> dict[str, Any]:
    """The options that a class is made with."""
    return {name: options[name] for name in signature(kind).parameters if name in options}
