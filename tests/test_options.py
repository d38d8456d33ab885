"""Options of scorers and removals: every bad value is refused where it is given, in words that say what is allowed."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from attribution_suite.errors import InputError
from attribution_suite.options import checked_options
from attribution_suite.registry import Registry
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.choice import Choice

INF, NAN = float("inf"), float("nan")
# name, option, the values just outside, the values just inside, what the error says is allowed
BOUNDS: list[tuple[Registry, str, str, tuple, tuple, str]] = [
    (SCORERS, "gradient_weight", "batch_size", (0, -1, 2.5, True), (1, np.int64(3)), "whole number of at least 1"),
    (SCORERS, "lrp_epsilon", "epsilon", (0.0, -1e-6, INF, NAN), (1e-12, 1, np.float32(0.5)), "finite number above 0"),
    (SCORERS, "lrp_gamma", "gamma", (0.0, -1.0, INF, NAN), (1e-3, 1), "finite number above 0"),
    (SCORERS, "lrp_alpha_beta", "alpha", (0.0, INF, NAN), (1.0, 2), "finite number above 0"),
    (SCORERS, "shapley_sampling", "permutations", (0, 2, 4.5), (4, 10), "whole number of at least 4"),
    (SCORERS, "integrated_gradients", "steps", (0, -5, 1.5), (1,), "whole number of at least 1"),
    (SCORERS, "smooth_integrated_gradients", "steps", (0,), (1,), "whole number of at least 1"),
    (SCORERS, "smooth_integrated_gradients", "samples", (0,), (1,), "whole number of at least 1"),
    (SCORERS, "smooth_integrated_gradients", "deviation", (0.0, -0.1, NAN), (0.01,), "finite number above 0"),
    (SCORERS, "gradient_shap", "samples", (0, 0.5), (1,), "whole number of at least 1"),
    (SCORERS, "layer_conductance", "layer", (-1, 1.0), (0, 2), "whole number of at least 0"),
    (SCORERS, "layer_conductance", "steps", (0,), (1,), "whole number of at least 1"),
    (SCORERS, "permutation", "repeats", (0,), (1,), "whole number of at least 1"),
    (SCORERS, "lime", "samples", (1, 99.5), (2,), "whole number of at least 2"),
    (SCORERS, "lime", "neighbourhoods", (0,), (1,), "whole number of at least 1"),
    (SCORERS, "lime", "published", (1,), (True,), "True or False"),
    (SCORERS, "weights", "reading", ("last_unit",), ("first_unit",), "one of mean_abs, first_unit"),
    *((SCORERS, f"xgboost_{kind}", option, (0, 1.5), (1,), "whole number of at least 1")
      for kind in ("gain", "gain_surrogate", "shap", "shap_surrogate") for option in ("rounds", "depth", "rows")),
    (REMOVALS, "constant", "constant", ("median",), ("zero", "best"), "one of zero, mean, best"),
    (REMOVALS, "inversion_tuning", "published", (1,), (True,), "True or False"),
    (REMOVALS, "stochastic_tuning", "published", (0,), (True,), "True or False"),
    (REMOVALS, "stochastic_tuning", "deviation", (0, -1.0, INF, NAN), (0.1,), "finite number above 0"),
    (REMOVALS, "subset_fold", "nodes", (0, 2.0), (1,), "whole number of at least 1"),
    (REMOVALS, "subset_fold", "search", ("greedy",), ("exhaustive",), "one of omp, exhaustive"),
    (REMOVALS, "fold", "damping", (-1e-6, INF, NAN, True), (0, 1e-3, "validation"),
     "finite number of at least 0, or validation"),
    (REMOVALS, "concept_scrubbing", "layers", ("first",), ("last",), "one of all, last"),
    (REMOVALS, "subset_fold_dp", "nodes", (0,), (1,), "whole number of at least 1"),
]
CATALOGUE = [(family, name) for family in (SCORERS, REMOVALS) for name in family.names]


@pytest.mark.parametrize(("family", "name", "option", "bad", "good", "allowed"), BOUNDS,
                         ids=[f"{name}-{option}" for _, name, option, *_ in BOUNDS])
def test_a_value_is_refused_where_it_is_given(family: Registry, name: str, option: str, bad: tuple, good: tuple,
                                              allowed: str) -> None:
    kind = family.load(name)
    for value in bad:
        with pytest.raises(InputError) as caught:
            kind(**{option: value})
        assert str(caught.value) == f"option '{option}' of {name} must be {expected(allowed)}, got {value!r}"
    for value in good:
        assert getattr(kind(**{option: value}), option) == value


def expected(allowed: str) -> str:
    return f"a {allowed}" if "number" in allowed else allowed


@pytest.mark.parametrize(("family", "name"), CATALOGUE, ids=[name for _, name in CATALOGUE])
@pytest.mark.parametrize("nonsense", ["no such value", None, [], object])
def test_every_option_refuses_nonsense(family: Registry, name: str, nonsense: Any) -> None:
    kind = family.load(name)
    for field in fields(kind):
        if nonsense is None and field.default is None:
            continue  # an option that is left out
        with pytest.raises(InputError, match=f"option '{field.name}' of {name} must be"):
            kind(**{field.name: nonsense})


@pytest.mark.parametrize(("family", "name"), CATALOGUE, ids=[name for _, name in CATALOGUE])
def test_an_option_that_is_none_is_named(family: Registry, name: str) -> None:
    with pytest.raises(InputError, match=f"unknown option of {name} 'stepz'"):
        checked_options(family, name, {"stepz": 3})
    checked_options(family, name, {field.name: field.default for field in fields(family.load(name))})


def test_a_choice_refuses_an_unknown_option() -> None:
    with pytest.raises(InputError, match="unknown option of integrated_gradients 'step'; did you mean steps"):
        Choice("integrated_gradients", {"step": 3})
    with pytest.raises(InputError, match="unknown scorer 'lim'"):
        Choice("lim")
