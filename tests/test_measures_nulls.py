"""Above the null: its size where x_j is one of the phantoms, its power where it is not, and what is not measured."""

from itertools import product

import numpy as np
import pytest

from attribution_suite.errors import InputError
from attribution_suite.measures.nulls import above_null, null_p


def test_one_network_by_hand() -> None:
    phantoms = np.arange(1.0, 20)[None]  # 19 of them
    assert null_p([19.5], phantoms) == 1 / 20 and above_null(float(null_p([19.5], phantoms))) is True
    assert null_p([19.0], phantoms) == 2 / 20 and above_null(2 / 20) is False  # a tie is not above
    assert null_p([0.5], phantoms) == 1
    assert null_p([19.5], phantoms[:, 1:]) == 1 / 19 and above_null(1 / 19) is False  # 18 phantoms are too few


def test_several_networks_from_the_definition() -> None:
    generator = np.random.default_rng(0)
    scores, phantoms = generator.exponential(size=(7, 3)), generator.exponential(size=(7, 3, 4))
    for p, feature, others in zip(null_p(scores, phantoms), scores, phantoms, strict=True):
        every = [[s / np.mean([o, *row]) for s in (o, *row)] for o, row in zip(feature, others, strict=True)]
        sums = [sum(choice) for choice in product(*every)]
        assert p == pytest.approx(np.mean([total >= sums[0] - 1e-12 for total in sums]))


@pytest.mark.parametrize(("networks", "count"), [(1, 19), (2, 10), (5, 4)])
def test_size_and_power(networks: int, count: int) -> None:
    """Exchangeable phantoms: above in one case of 20; scales differ by network. A feature with weight: above."""
    generator = np.random.default_rng(networks)
    cases = 4000
    scale = generator.lognormal(0, 2, (cases, networks, 1))
    every = np.abs(generator.standard_normal((cases, networks, 1 + count))) * scale
    rate = np.mean([above_null(p) for p in null_p(every[..., 0], every[..., 1:])])
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / cases) + 0.005
    weighted = every[..., 0] + 5 * scale[..., 0]
    assert np.mean([above_null(p) for p in null_p(weighted, every[..., 1:])]) > 0.99


def test_phantoms_that_move_together_are_no_independent_ones() -> None:
    """The control: networks that share their draws would call one case of five above, so they must not share them."""
    every = np.abs(np.random.default_rng(0).standard_normal((2000, 1, 5))).repeat(5, 1)
    assert np.mean(null_p(every[..., 0], every[..., 1:]) <= 0.05) > 0.15


def test_what_is_not_finite_is_not_measured() -> None:
    scores, phantoms = np.full((4, 2), 9.0), np.ones((4, 2, 5))
    scores[0, 1], phantoms[1, 0, 2], scores[2, 0] = np.nan, np.nan, np.inf
    p = null_p(scores, phantoms)
    assert [above_null(value) for value in p] == [None, None, None, True]


def test_scores_that_are_all_zero_are_not_above() -> None:
    assert null_p([0.0], np.zeros((1, 19))) == 1
    assert null_p([0.0, 5.0], np.zeros((2, 10))) == 1 / 11  # only the second network says something


def test_shapes_that_do_not_fit_are_refused() -> None:
    for scores, phantoms in ((np.ones(2), np.ones(2)), (np.ones(2), np.ones((3, 4))), (np.ones(2), np.ones((2, 0)))):
        with pytest.raises(InputError, match="phantoms"):
            null_p(scores, phantoms)
    with pytest.raises(InputError, match="fewer networks"):
        null_p(np.ones(30), np.ones((30, 1)))
