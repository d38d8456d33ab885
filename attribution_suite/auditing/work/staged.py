"""As many phantoms as an answer needs: more are asked for only while hardly any reaches the feature."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attribution_suite.measures.nulls import LEVEL, QUESTIONS, null_p

STAGES = (79, 319, 20 * QUESTIONS - 1)  # phantoms of one network
# (variants, phantoms of each, number of the call) → `[networks, variants, 1 + phantoms]`: the features' scores, first,
# and those of their phantoms.
Ask = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class Null:
    """What a scorer said of one feature and its phantoms, call by call: `[networks, 1 + phantoms]`, the feature first.

    All are in the units of the first call: the others are scaled, network by network, to its phantoms' mean.
    """

    calls: list[np.ndarray]

    def and_also(self, said: np.ndarray) -> "Null":
        """With one more call."""
        mean, first = (call[:, 1:].mean(1, keepdims=True) for call in (said, self.calls[0]))
        return Null([*self.calls, said * np.divide(first, mean, out=np.zeros_like(mean), where=mean != 0)])

    @cached_property
    def feature(self) -> np.ndarray:
        """The mean of its calls, `[networks]`: no noisier than a phantom, which is in one call."""
        score: np.ndarray = np.mean([said[:, 0] for said in self.calls], 0)
        return score

    @cached_property
    def phantoms(self) -> np.ndarray:
        """`[networks, count]`."""
        return np.concatenate([said[:, 1:] for said in self.calls], 1)

    @cached_property
    def p(self) -> float:
        """That of `null_p`, of all networks together."""
        return float(null_p(self.feature, self.phantoms))


def staged(ask: Ask, first: int, gone: np.ndarray, at_once: np.ndarray) -> list[Null]:
    """Asks for `first` phantoms of every variant; of those that are `gone` `[variants]`, for more where p stays small.

    `at_once` `[variants]`: how many phantoms fit into a call. Holm's adjustment of m alarms needs p down to 1/(20 m),
    while nearly all answers are clear after 19 phantoms: stage by stage, four times as many are asked for where p is
    at most a level, up to what `QUESTIONS` alarms need. The level begins at 1/20 and halves, so that p stays valid:
    who is told p ≤ α has passed every stage of a level above α, and the p of the next stage is at most α too. A fixed
    number of looks, as in the sequential Monte Carlo tests of Besag & Clifford 1991.
    """
    said = ask(np.arange(len(gone)), first, 0)
    nulls, networks, time, level = [Null([one]) for one in said.swapaxes(0, 1)], len(said), 0, LEVEL
    for stage in STAGES:
        count = int(np.ceil((1 + stage) ** (1 / networks) - 1e-9)) - 1  # choices of one out of each network
        going = np.flatnonzero([left and null.p <= level for left, null in zip(gone, nulls, strict=True)])
        for size in np.unique(at_once[going]):
            together = going[at_once[going] == size]
            while (more := min(size, count - nulls[together[0]].phantoms.shape[1])) > 0:
                time += 1
                for variant, one in zip(together, ask(together, more, time).swapaxes(0, 1), strict=True):
                    nulls[variant] = nulls[variant].and_also(one)
        level /= 2
    return nulls
