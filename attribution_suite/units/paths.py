"""Quantile paths: the ways from the inputs to an output, found layer by layer from the output down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.units import VALUES_AT_ONCE

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
Sign = Literal["positive", "negative"]


@dataclass(frozen=True)
class Step:
    """One layer of a path, from the kept units of layer `layer` to its targets, the kept nodes of the layer above.

    `units` `[members, units]`, `targets` `[members, targets]`: their numbers, strongest first; `unit_kept` and
    `target_kept` likewise, bool: False where fewer nodes than asked for vary with the path's sign.
    `responses` `[members, targets, units, levels]`: the target's value when the unit alone stands at each of its
    levels. `output` `[members, units, 2]`: the explained output when it stands at the lowest and the highest level.
    """

    layer: int
    units: Tensor
    unit_kept: Tensor
    targets: Tensor
    target_kept: Tensor
    responses: Tensor
    weights: Tensor
    output: Tensor

    @property
    def variation(self) -> Tensor:
        """The target's value at the highest level minus that at the lowest, `[members, targets, units]`."""
        return self.responses[..., -1] - self.responses[..., 0]


@dataclass(frozen=True)
class Path:
    """The steps of a path of one sign, the one that ends at the output first. `levels`: names of the levels."""

    sign: Sign
    steps: tuple[Step, ...]
    levels: tuple[str, ...]

    def to_frame(self, feature_names: Sequence[str]) -> pd.DataFrame:
        """One row a link between kept nodes.

        member, sign, layer (of the unit; 0 the inputs), unit, unit_name, target, target_name, weight, `variation` (of
        the target, in its units), `output_variation` (of the explained output when the unit alone of its layer moves)
        and `response_<level>`: the target's value at each level of the unit.
        """
        return pd.concat([self._links(step, feature_names) for step in self.steps], ignore_index=True)

    def _links(self, step: Step, feature_names: Sequence[str]) -> pd.DataFrame:
        member, target, unit = torch.nonzero(step.target_kept[:, :, None] & step.unit_kept[:, None], as_tuple=True)
        units, targets = step.units[member, unit].tolist(), step.targets[member, target].tolist()
        last = step is self.steps[0]
        output = (step.output[..., 1] - step.output[..., 0])[member, unit]
        responses = step.responses[member, target, unit].numpy()
        return pd.DataFrame({
            "member": member.numpy(), "sign": self.sign, "layer": step.layer,
            "unit": units, "unit_name": [feature_names[u] if step.layer == 0 else f"unit:{u}" for u in units],
            "target": targets, "target_name": [f"output:{t}" if last else f"unit:{t}" for t in targets],
            "weight": step.weights[member, target, unit].numpy(),
            "variation": step.variation[member, target, unit].numpy(), "output_variation": output.numpy(),
            **{f"response_{level}": responses[:, place] for place, level in enumerate(self.levels)}})


def quantile_path(networks: Ensemble, inputs: Tensor, sign: Sign = "positive", output: int = 0,
                  keep: int = 8) -> Path:
    """The path to output `output` over the quantiles of every unit on `inputs` `[rows, features]` (all, or a class's).

    From the output down: each unit of a layer takes its quantiles (0, .05, .25, .5, .75, .95, 1 over the rows) with the
    other units of its layer at zero. At most `keep` units stay whose variation, target at the top quantile minus target
    at the bottom one, is the most positive (or the most negative); they are the targets of the layer below. With more
    targets than one, a unit counts by its most positive (negative) link. A hidden target's value is its activation,
    the output's is raw.

    All units, quantiles and targets of a layer are one batched pass (`responses`). `output_variation` tells where a
    unit moves the *output*: two negative links in a row raise it.
    """
    stacked = _stacked(networks)
    values = stacked.activations(inputs)
    levels = [_quantiles(layer) for layer in values[:-1]]
    return _path(stacked, levels, sign, output, keep, tuple(f"{100 * q:g}" for q in QUANTILES))


def row_path(networks: Ensemble, row: Tensor, sign: Sign = "positive", output: int = 0, keep: int = 8) -> Path:
    """The path for one row `[features]`: as `quantile_path`, each unit going from zero to its value on that row."""
    stacked = _stacked(networks)
    if row.dim() != 1:
        raise InputError(f"a row's path takes one row of inputs, got shape {tuple(row.shape)}")
    values = stacked.activations(row[None])
    levels = [torch.stack([torch.zeros_like(layer[:, 0]), layer[:, 0]], 2) for layer in values[:-1]]
    return _path(stacked, levels, sign, output, keep, ("absent", "present"))


def responses(networks: Perceptrons, layer: int, weight: Tensor, bias: Tensor, levels: Tensor) -> Tensor:
    """Values of targets above `layer` when unit u alone stands at its level k, the others at zero: of W_tu q_uk + b_t.

    `weight` `[members, targets, units]`, `bias` `[members, targets]`: the targets' rows of Linear `layer` + 1; `levels`
    `[members, units, levels]` → `[members, targets, units, levels]`, all of them at once.
    """
    pre = torch.addcmul(bias[..., None, None], weight[..., None], levels[:, None])
    return pre if layer == networks.architecture.depth - 1 else networks.activate(pre)


def variations(networks: Perceptrons, layer: int, weight: Tensor, bias: Tensor, levels: Tensor) -> Tensor:
    """`responses` at the last level minus those at the first, `[members, targets, units]`, in pieces of targets."""
    ends = levels[..., [0, -1]]
    step = max(1, VALUES_AT_ONCE // ends.numel())
    parts = []
    for start in range(0, weight.shape[1], step):
        piece = slice(start, start + step)
        low, high = responses(networks, layer, weight[:, piece], bias[:, piece], ends).unbind(3)
        parts.append(high - low)
    return torch.cat(parts, 1)


def _stacked(networks: Ensemble) -> Perceptrons:
    if not isinstance(networks, Perceptrons):
        raise InputError(f"paths cannot be followed: {networks.refusal('layers')}")
    return networks


def _quantiles(values: Tensor) -> Tensor:
    """Over rows, `[members, rows, units]` → `[members, units, quantiles]`. Sorted, as torch's own takes few values."""
    place = torch.tensor(QUANTILES, dtype=torch.float64) * (values.shape[1] - 1)
    low, high = place.floor().long(), place.ceil().long()
    ordered = values.sort(1).values
    between = torch.lerp(ordered[:, low], ordered[:, high], (place - low).float()[:, None])
    return between.transpose(1, 2)


def _path(networks: Perceptrons, levels: list[Tensor], sign: Sign, output: int, keep: int,
          names: tuple[str, ...]) -> Path:
    _check(networks, levels, sign, output, keep)
    targets = torch.full((len(networks), 1), output)
    kept = torch.ones(len(networks), 1, dtype=torch.bool)
    steps = []
    for layer in reversed(range(networks.architecture.depth)):
        steps.append(_step(networks, layer, levels[layer], targets, kept, sign, output, keep))
        targets, kept = steps[-1].units, steps[-1].unit_kept
    return Path(sign, tuple(steps), names)


def _check(networks: Perceptrons, levels: list[Tensor], sign: str, output: int, keep: int) -> None:
    if sign not in ("positive", "negative"):
        raise unknown_name("sign", sign, ("positive", "negative"))
    if not 0 <= output < networks.architecture.outputs:
        raise InputError(f"output {output} does not exist: the network has outputs 0 to "
                         f"{networks.architecture.outputs - 1}")
    if keep < 1:
        raise InputError(f"a path keeps at least one unit a layer, got keep={keep}")
    if not all(bool(torch.isfinite(layer).all()) for layer in levels):
        raise InputError("a path needs finite activations: check the inputs and the network for NaN or infinite values")


def _step(networks: Perceptrons, layer: int, levels: Tensor, targets: Tensor, target_kept: Tensor, sign: Sign,
          output: int, keep: int) -> Step:
    """One layer down from its targets: all links are tried, the strongest units stay."""
    weight = _pick(networks.weights[layer], targets)
    bias = networks.biases[layer].gather(1, targets)
    strength = variations(networks, layer, weight, bias, levels) * (1.0 if sign == "positive" else -1.0)
    strength = strength.masked_fill(~target_kept[..., None], -torch.inf).amax(1)
    # Sorted, not topk: equal variations are common (a ReLU target cut off at zero), and the first unit shall win.
    best, units = (part[:, :keep] for part in strength.sort(dim=1, descending=True, stable=True))
    chosen = weight.gather(2, units[:, None].expand(-1, weight.shape[1], -1))
    unit_levels = _pick(levels, units)
    values = responses(networks, layer, chosen, bias, unit_levels)
    return Step(layer, units, best > 0, targets, target_kept, values, chosen,
                _output_responses(networks.tail(layer), units, unit_levels[..., [0, -1]], output))


def _pick(rows: Tensor, index: Tensor) -> Tensor:
    """`[members, all, n]` at `index` `[members, chosen]` → `[members, chosen, n]`."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))


def _output_responses(tail: Perceptrons, units: Tensor, ends: Tensor, output: int) -> Tensor:
    """The explained output when one unit of the tail's first layer stands at each of its ends, the others at zero.

    `ends` `[members, units, 2]` → `[members, units, 2]`.
    """
    columns = _pick(tail.weights[0].transpose(1, 2), units)  # [members, units, out]
    first = columns[:, :, None] * ends[..., None] + tail.biases[0][:, None, None]
    response: Tensor = tail.finish(first.flatten(1, 2))[..., output].unflatten(1, ends.shape[1:])
    return response


def to_frame(paths: Sequence[Path], feature_names: Sequence[str]) -> pd.DataFrame:
    """The links of several paths (of both signs, say) as one table."""
    return pd.concat([path.to_frame(feature_names) for path in paths], ignore_index=True)
