"""Fine-tuning with a price on the output's dependence on the column, proxies and all."""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.measures.information.dependence import OF_WEAK_NORMALS, dependence_test, u_centred
from attribution_suite.measures.information.probes import margins
from attribution_suite.measures.information.targets import Target
from attribution_suite.networks.backward import Batch
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.outputs import task_loss
from attribution_suite.networks.training import FRONTIER, GOALS, Trained
from attribution_suite.options import check_one_of
from attribution_suite.removals.folding import fold_each, regress
from attribution_suite.removals.removal import RemovalTraits, Setting

STRENGTHS = (0.0, 0.5, 2.0, 8.0, 32.0)
VALIDATION_ROWS = 500  # that the choice of λ looks at: distances, whose cost grows with their square
MATRICES = 64  # of pairs of a piece's rows that are held at once: they stay in a core's cache
# Rows of a piece whose dependence is estimated, at most and at least. Its cost grows with their square; pieces of 64
# led on Prudential to no less dependence than those of 32, at no lower loss.
MOST, FEWEST = 32, 8
Measure = Literal["distance_correlation", "hsic"]


@dataclass(frozen=True)
class IndependenceTuning:
    """x_j is folded out; then tuning on loss + λ · dependence(output, x_j), so that proxies lose what they know of it.

    The dependence is the mean over pieces of (at most 32) rows of a batch. `measure`: their squared distance
    correlation, bias-corrected (Székely & Rizzo 2014), or 'hsic', their unbiased HSIC with Gaussian kernels of median
    width, likewise over the geometric mean of the two HSICs with themselves (Gretton et al. 2005; Song et al. 2012).
    Early stopping follows the penalised validation loss. A network is tuned for every λ of `strengths`, all in one
    ensemble; taken is the smallest λ whose upper limit of dependence on (at most 500) validation rows is below the
    margin of the audit's test, and where none is, the λ with the least upper limit, with the goal 'not reached'.
    `Trained.frontier` keeps what every λ led to.

    Raises InputError for strengths that are no numbers of at least 0, and for fewer than 10 validation rows.
    """

    measure: Measure = "distance_correlation"
    strengths: tuple[float, ...] = STRENGTHS
    name: ClassVar[str] = "independence_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="in training", tuned=True, default=False, of_index="never")

    def __post_init__(self) -> None:
        check_one_of(self, "measure", get_args(Measure))
        numbers = self.strengths if isinstance(self.strengths, tuple) else ()
        if not numbers or not all(isinstance(number, float | int) and 0 <= number < torch.inf for number in numbers):
            raise InputError("option 'strengths' of independence_tuning must be numbers of at least 0, as (0,1,10), "
                             f"got {self.strengths!r}")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes within `setting.tuning`, for every λ, and takes one. `seconds` is of all; `steps` of that one."""
        started, count = time.perf_counter(), len(self.strengths)
        strengths = torch.tensor(sorted(self.strengths), dtype=torch.float32, device=networks.device)
        copies = torch.arange(len(networks), device=networks.device).repeat_interleave(count)
        every = nodes.select(copies)
        rows = min(MOST, setting.tuning.batch_size)
        penalty = DependencePenalty(every, strengths.repeat(len(networks)), self.measure, rows)
        start = fold_each(networks, nodes, setting, regress).select(copies)
        tuned = setting.tune(start, setting.tuning, clamp=every, penalty=penalty)
        frontier, chosen, below = judged(tuned.networks, every, setting, strengths)
        taken = chosen + count * torch.arange(len(networks), device=chosen.device)
        goal = torch.where(below, GOALS.index("reached"), GOALS.index("not reached"))
        return Trained(tuned.networks.select(taken), tuned.training_loss[:, taken], tuned.validation_loss[:, taken],
                       tuned.steps[taken], time.perf_counter() - started, goal=goal, frontier=frontier)

    def replacement(self) -> None:
        """The loss is changed, not the data."""


@dataclass(frozen=True)
class DependencePenalty:
    """λ times the dependence of each member's output on its nodes, over pieces of `rows` rows; a `Penalty`.

    `strength` λ `[members]`. A piece of fewer than 8 rows counts as none.
    """

    nodes: Nodes
    strength: Tensor
    measure: Measure
    rows: int

    @cached_property
    def priced(self) -> Tensor:
        """The members whose λ is not 0."""
        return self.strength.nonzero()[:, 0]

    @cached_property
    def groups(self) -> tuple[Nodes, Tensor]:
        """Every set of nodes that a member loses, once, and which of them is each priced member's."""
        distinct, which = self.nodes.index.unique(dim=0, return_inverse=True)
        return Nodes(distinct), which[self.priced]

    def __call__(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Its sum over the rows, and its derivative by the output."""
        total, slope = self.strength.new_zeros(len(self.strength)), torch.zeros_like(output)
        whole = batch.size - batch.size % self.rows
        distinct, which = self.groups
        seed = self.priced * len(batch.inputs) // len(self.strength)
        for start, stop in ((0, whole), (whole, batch.size)):  # the whole pieces at once, and the last one
            length = min(self.rows, stop - start)
            if length < FEWEST:
                continue
            columns = batch.inputs[:, start:stop, distinct.index].transpose(1, 2) * ~distinct.repeats[:, None]
            # Of every seed and set of nodes once, whatever the strengths: `[seeds, sets, pieces, length, length]`.
            centred = u_centred(similarity(columns.unflatten(2, (-1, length)), self.measure)[0])
            at_once = max(1, MATRICES * length // (stop - start))
            for part in torch.arange(len(self.priced), device=output.device).split(at_once):
                members = self.priced[part]
                values = output[members, :, start:stop].transpose(1, 2).unflatten(1, (-1, length))
                value, gradient = dependence_and_slope(values, centred[seed[part], which[part]], self.measure)
                price = length * self.strength[members]
                total[members] += price * value.sum(1)
                slope[members, :, start:stop] = (price[:, None, None, None] * gradient).flatten(1, 2).transpose(1, 2)
        return total, slope

    def select(self, members: Tensor) -> "DependencePenalty":
        """That of the members at these positions."""
        return replace(self, nodes=self.nodes.select(members), strength=self.strength[members])


def dependence(outputs: Tensor, x: Tensor, measure: Measure) -> Tensor:
    """ΣAB / √(ΣAA ΣBB) of U-centred distances or kernels of `[…, rows, columns]`, `[…]`; 0 for a constant.

    Unbiased of independent variables: 0 on average, so that nothing is gained from noise.
    """
    return dependence_and_slope(outputs, u_centred(similarity(x, measure)[0]), measure)[0]


def dependence_and_slope(outputs: Tensor, b: Tensor, measure: Measure) -> tuple[Tensor, Tensor]:
    """`dependence` of outputs `[…, rows, columns]`, given the U-centred B `[…, rows, rows]`; its derivative by these.

    U-centring is an orthogonal projection (Székely & Rizzo 2014), so that the derivative by the similarities S is
    (B − A ΣAB/ΣAA) / √(ΣAA ΣBB); of S by an output it is c_ij (o_i − o_j) (`similarity`).
    """
    similarities, factor = similarity(outputs, measure)
    a = u_centred(similarities)
    both, within, other = (torch.einsum("...ij,...ij->...", *pair) for pair in ((a, b), (a, a), (b, b)))
    scale = within * other
    known, root = scale > 1e-12, scale.clamp_min(1e-12).sqrt()
    by_pair = torch.addcmul(b, a, (both / torch.where(known, within, 1.0))[..., None, None], value=-1)
    by_pair *= factor * (2 * known / root)[..., None, None]
    apart = (outputs.transpose(-1, -2) @ by_pair).transpose(-1, -2)  # by_pair is symmetric: four times as fast
    return torch.where(known, both / root, 0.0), by_pair.sum(-1, keepdim=True) * outputs - apart


def similarity(values: Tensor, measure: Measure) -> tuple[Tensor, Tensor]:
    """Distances, or Gaussian kernels of the median distance, 0 on the diagonal, `[…, rows, rows]`, and c.

    c `[…, rows, rows]`: their derivative by value i is c_ij (v_i − v_j), the kernels' width held.
    """
    distances = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
    if measure == "distance_correlation":
        return distances, distances.reciprocal().nan_to_num_(posinf=0.0)
    width = distances.detach().flatten(-2).median(-1).values.clamp_min(1e-12)[..., None, None]
    kernel = torch.exp(-distances.square() / (2 * width.square()))
    kernel = kernel * (1 - torch.eye(kernel.shape[-1], dtype=kernel.dtype, device=kernel.device))
    return kernel, -kernel / width.square()


def judged(networks: Ensemble, nodes: Nodes, setting: Setting,
           strengths: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """`FRONTIER` `[members, strengths]`, which strength each member takes, and whether it is below the margin.

    `networks`: every strength of a member, one after the other.
    """
    count, seeds = len(strengths), len(setting.seeds)
    rows = setting.validation.inputs
    losses = task_loss(networks.outputs(_each(rows, len(networks) // seeds)), setting.validation.targets, setting.task)
    few = rows[..., :VALIDATION_ROWS, :]
    outputs = networks.outputs(_each(few, len(networks) // seeds)).double().cpu()
    value, high, margin = (torch.empty(len(networks), dtype=torch.float64) for _ in range(3))
    for table, columns, members in _alike(nodes, few, seeds):
        x = table[:, list(columns)].numpy(force=True)
        target = Target.of(x)
        r2 = margins(target, None)[2] if target.values.shape[1] else torch.nan  # nothing to ask: never below it
        limits = dependence_test(outputs[members].numpy(), x, r2)
        value[members], high[members] = torch.from_numpy(limits.value), torch.from_numpy(limits.high)
        margin[members] = OF_WEAK_NORMALS * r2
    columns_of = {"strength": strengths.cpu().double().repeat(len(networks) // count), "dependence": value,
                  "dependence_high": high, "margin": margin, "validation_loss": losses.cpu().double()}
    table_of = {name: column.view(-1, count) for name, column in columns_of.items()}
    passed = table_of["dependence_high"] < table_of["margin"]
    least = table_of["dependence_high"].nan_to_num(torch.inf).argmin(1)
    chosen = torch.where(passed.any(1), passed.int().argmax(1), least)
    table_of["chosen"] = torch.nn.functional.one_hot(chosen, count).double()
    assert tuple(table_of) == FRONTIER
    return table_of, chosen.to(networks.device), passed.any(1).to(networks.device)


def _each(rows: Tensor, times: int) -> Tensor:
    """Rows that all share as they are; of a hidden layer those of every member."""
    return rows if rows.dim() == 2 else rows.repeat_interleave(times, 0)


def _alike(nodes: Nodes, rows: Tensor, seeds: int) -> list[tuple[Tensor, tuple[int, ...], list[int]]]:
    """The members that lose the same nodes and see the same rows: their rows, these nodes, their positions."""
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for member, index in enumerate(nodes.index.tolist()):
        seed = 0 if rows.dim() == 2 else member * seeds // len(nodes)
        groups.setdefault((seed, tuple(dict.fromkeys(index))), []).append(member)
    return [(rows if rows.dim() == 2 else rows[seed], columns, members)
            for (seed, columns), members in groups.items()]
