"""One attribution class of Captum, asked of every network of an ensemble."""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from inspect import signature
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.devices import CPU
from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.options import check_flags, check_one_of, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, check_applies, sum_groups
from attribution_suite.scorers.captum_methods.call import Call
from attribution_suite.scorers.captum_methods.catalogue import BASELINES, CATALOGUE, Entry

# Numbers in the widest layer of one call (4 bytes each); Captum keeps several tensors of this size.
CALL_VALUES = 16_000_000
MOST_VALUES = 300_000_000  # of a class that takes every row with every other
WORDS = {
    "method": ("riemann_trapezoid", "riemann_left", "riemann_right", "riemann_middle", "gausslegendre"),
    "nt_type": ("smoothgrad", "smoothgrad_sq", "vargrad")}


@dataclass(frozen=True)
class CaptumMethod:
    """φ as Captum's class computes it for each network, with Captum's own code and defaults.

    The explained output is the target, `evaluation.baseline` the baseline, the background rows the distribution of a
    class that wants one; of any other φ by a distribution is the mean over the drawn rows. A one-hot group is one
    feature of a feature mask where the class has that parameter; else its columns' φ are summed. Every network's call
    is seeded by `evaluation.seed`. Layer classes give φ per unit, `[members, rows, units]`, of the option `layer`. The
    fields of a subclass are Captum's options.
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
        self._check_size(networks, evaluation)
        home = networks.device
        if self.traits.draws or self.shared == "no":  # random numbers are the CPU's; one network is no work for a GPU
            networks, evaluation = networks.to(CPU), evaluation.to(CPU)
        with warnings.catch_warnings():  # of hooks that are set and gradients that are asked for
            warnings.simplefilter("ignore")
            try:
                values = torch.cat(list(self._values(networks, evaluation))).to(home)
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
        if self.traits.named:
            raise InputError(f"{self.name}: which number layer '{self.traits.named}' has, `at_named_layers` says")
        if self.place is None:
            return
        last = networks.architecture.depth - 1
        if not 1 <= self.place <= last:
            raise InputError(f"{self.name}: layer {self.place} is no hidden layer, the networks have "
                             + (f"1 to {last}" if last else "none"))
        if self.unit is not None and self.unit >= (units := networks.architecture.widths[self.place]):
            raise InputError(f"{self.name}: layer {self.place} has the units 0 to {units - 1}")

    def _check_size(self, networks: Ensemble, evaluation: Evaluation) -> None:
        most, features = self.traits.most_features, len(evaluation.groups)
        if most is not None and features > most:
            raise InputError(f"{self.name} evaluates every order of the features: at most {most}, and there are "
                             f"{features}; use captum:ShapleyValueSampling")
        every = self.tunnel and CATALOGUE[self.kind.__name__].points == "baselines"
        pairs = (self._points * evaluation.inputs.shape[-2]) ** 2
        if every and pairs * max(networks.architecture.widths) > MOST_VALUES:
            raise InputError(f"{self.name} takes every noisy row with every other: explain fewer rows (rows=), or draw "
                             "fewer samples (nt_samples=)")

    @property
    def _points(self) -> int:
        """How many inputs of the network are made of one row."""
        points = self.entry.points
        return BASELINES if points == "baselines" else points if isinstance(points, int) else getattr(self, points)

    def _values(self, networks: Ensemble, evaluation: Evaluation) -> Iterator[Tensor]:
        """One call for as many networks as memory allows, one network at a time where they cannot share it."""
        options = {option.name: getattr(self, option.name) for option in fields(self)}
        call = Call(self.kind, self.tunnel, self.shared, options, self.place, self.unit,
                    BASELINES if self.entry.points == "baselines" else None)
        values = self._points * evaluation.inputs.shape[-2] * max(networks.architecture.widths)
        together = self.shared == "wide" or (self.shared == "outputs" and evaluation.inputs.dim() == 2)
        step = max(1, CALL_VALUES // values) if together else 1  # networks of a hidden layer have rows of their own
        for members in torch.arange(len(networks)).split(step):
            part, seen = networks.select(slice(int(members[0]), int(members[-1]) + 1)), evaluation.for_members(members)
            each = seen.each_baseline() if self.traits.baseline == "zero" else [seen]
            first, *others = (call.values(part, by_one) for by_one in each)
            yield torch.stack([first, *others]).mean(0) if others else first
