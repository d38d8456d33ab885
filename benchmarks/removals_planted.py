"""Tables whose right answer without x is known, for both meanings of 'gone'.

x is a number of mean 0 and variance 1 (or a category), e is normal noise. The target is Y = 2 x + z + N(0, 0.2²), z is
free of x, and one or two proxies know x up to `r`. *Direct*: x must not be read, so the right function is
E[Y | proxies, z], which reads the proxies. *Marginal*: nothing that depends on x may come through, so it is z alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from attribution_suite import from_arrays
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset

ROWS, NOISE = 2000, 0.2
SMALL = Preset("default", (16, 8), Training(60, 32, 5e-3, patience=10), tuning_epochs=30)
LEVELS = np.array([-1.0, 0.0, 1.0]) * np.sqrt(1.5)  # what the three categories add: mean 0, variance 1
Array = np.ndarray
Draw = Callable[[np.random.Generator, float], tuple[Array, Array, Array, Array]]


@dataclass(frozen=True)
class Planted:
    """A table that loses 'x', and what a network without x should say on each of its rows, by the meaning of 'gone'.

    `marginal` is None for the leaked target, where only one answer is right.
    """

    dataset: TabularDataset
    direct: Array
    marginal: Array | None


def planted() -> dict[str, Planted]:
    """By name."""
    cases: dict[str, tuple[Draw, float]] = {
        "linear_0": (linear, 0.0), "linear_0.5": (linear, 0.5), "linear_0.9": (linear, 0.9),
        "nonlinear_0.9": (nonlinear, 0.9), "interaction_0.9": (interaction, 0.9)}
    made = {name: _of(name, draw, r) for name, (draw, r) in cases.items()}
    return {**made, "category_0.9": category(0.9), "leak": leak()}


def linear(generator: np.random.Generator, r: float) -> tuple[Array, Array, Array, Array]:
    """x, proxies, z and E[x | proxies]: the proxy is r x + √(1 − r²) e, so that the mean is r times it."""
    x, e, z = generator.standard_normal((3, ROWS))
    proxy = r * x + np.sqrt(1 - r**2) * e
    return x, proxy[:, None], z, r * proxy


def nonlinear(generator: np.random.Generator, r: float) -> tuple[Array, Array, Array, Array]:
    """x = r (p² − 1)/√2 + √(1 − r²) e: no linear method sees that p knows x."""
    p, e, z = generator.standard_normal((3, ROWS))
    square = (p**2 - 1) / np.sqrt(2)
    return r * square + np.sqrt(1 - r**2) * e, p[:, None], z, r * square


def interaction(generator: np.random.Generator, r: float) -> tuple[Array, Array, Array, Array]:
    """x = r p q + √(1 − r²) e: each proxy alone knows nothing of x."""
    p, q, e, z = generator.standard_normal((4, ROWS))
    return r * p * q + np.sqrt(1 - r**2) * e, np.column_stack([p, q]), z, r * p * q


def category(r: float) -> Planted:
    """x is one of three categories, the proxy r level + √(1 − r²) e; E[level | proxy] by Bayes' rule."""
    generator = np.random.default_rng(5)
    x = generator.integers(0, 3, ROWS)
    e, z = generator.standard_normal((2, ROWS))
    proxy = r * LEVELS[x] + np.sqrt(1 - r**2) * e
    likelihood = np.exp(-((proxy[:, None] - r * LEVELS) ** 2) / (2 * (1 - r**2)))
    known = likelihood @ LEVELS / likelihood.sum(1)
    inputs = np.column_stack([np.eye(3)[x], proxy, z])
    table = from_arrays(inputs, 2 * LEVELS[x] + z + generator.normal(0, NOISE, ROWS), name="category_0.9",
                        feature_names=["x=a", "x=b", "x=c", "p0", "z"], groups={"x": ["x=a", "x=b", "x=c"]},
                        scaling="standard")
    return Planted(replace(table, preset=SMALL, default_removals=("x",)), 2 * known + z, z)


def leak() -> Planted:
    """Y = p + z + N(0, 0.5²), and x is Y with a little noise: without it p + z is right, and nothing else is."""
    generator = np.random.default_rng(6)
    p, z, e, late = generator.standard_normal((4, ROWS))
    y = p + z + 0.5 * e
    table = from_arrays(np.column_stack([y + 0.1 * late, p, z]), y, name="leak", feature_names=["x", "p0", "z"],
                        scaling="standard")
    return Planted(replace(table, preset=SMALL, default_removals=("x",)), p + z, None)


def _of(name: str, draw: Draw, r: float) -> Planted:
    generator = np.random.default_rng(4)
    x, proxies, z, known = draw(generator, r)
    names = ["x", *(f"p{place}" for place in range(proxies.shape[1])), "z"]
    table = from_arrays(np.column_stack([x, proxies, z]), 2 * x + z + generator.normal(0, NOISE, ROWS), name=name,
                        feature_names=names, scaling="standard")
    return Planted(replace(table, preset=SMALL, default_removals=("x",)), 2 * known + z, z)
