"""Probes against scikit-learn and closed forms; their limits, power and error rates where the truth is planted."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import Ridge as OneRidge
from sklearn.metrics import roc_auc_score

from attribution_suite.errors import InputError
from attribution_suite.measures.information import limits, probes
from attribution_suite.measures.information.ridge import Ridge, fold_of_rows, within_folds
from attribution_suite.measures.information.ridge import planted as draws_of_r
from attribution_suite.measures.information.targets import Target

MARGIN = 0.02


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def planted(rng, members, rows, width, r2):
    """x_j, and representations `[members, rows, width]` from whose columns together it can be read with R² `r2`."""
    x = rng.standard_normal(rows)
    direction = rng.standard_normal((members, 1, width))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    noise = rng.standard_normal((members, rows, width))
    # Along the direction √r2 x + √(1 − r2) noise, across it noise: every column has variance 1.
    along = (noise * direction).sum(2, keepdims=True)
    mixed = np.sqrt(r2) * x[:, None] + np.sqrt(1 - r2) * along
    return torch.from_numpy(noise + (mixed - along) * direction), Target.of(x)


def test_the_batched_ridge_equals_scikit_learns_one_by_one(rng):
    tables = rng.standard_normal((3, 103, 4)) * [1, 10, 0.1, 0] + 5
    targets = rng.standard_normal((103, 2)) + tables[0, :, :2]
    predicted = Ridge.fit(torch.from_numpy(tables), targets, 7).predict(torch.from_numpy(tables))
    folds = fold_of_rows(103, 7)
    assert sorted(np.bincount(folds)) == [20, 20, 21, 21, 21]
    for member, table in enumerate(tables):
        for fold in range(5):
            held = folds == fold
            centre, scale = table[~held].mean(0), table[~held].std(0)
            scale[3] = 1
            # λ n = width of scikit-learn's unscaled objective
            model = OneRidge(alpha=4).fit((table[~held] - centre) / scale, targets[~held])
            expected = model.predict((table[held] - centre) / scale)
            np.testing.assert_allclose(predicted[member, held], expected - expected.mean(0), atol=1e-9)


def test_statistics_equal_their_definitions(rng):
    scores = np.round(rng.standard_normal((2, 60, 1)), 1)  # with ties
    positive = rng.random((60, 1)) < 0.3
    value, error = limits.auc(positive, scores)
    np.testing.assert_allclose(limits.quick_auc(positive, scores), value)
    for member in range(2):
        up, down = scores[member, positive[:, 0], 0], scores[member, ~positive[:, 0], 0]
        wins = (up[:, None] > down) + (up[:, None] == down) / 2
        assert value[member, 0] == pytest.approx(roc_auc_score(positive[:, 0], scores[member, :, 0]))
        expected = wins.mean(1).var(ddof=1) / len(up) + wins.mean(0).var(ddof=1) / len(down)
        assert error[member, 0] == pytest.approx(np.sqrt(expected))  # DeLong, from all pairs
    a, b = rng.standard_normal((2, 4000, 1))
    r, error = limits.correlation(a, 0.6 * a + 0.8 * b)
    assert r[0] == pytest.approx(np.corrcoef(a[:, 0], (0.6 * a + 0.8 * b)[:, 0])[0, 1])
    assert error[0] == pytest.approx((1 - 0.6**2) / np.sqrt(4000), rel=0.05)
    assert limits.correlation(a, np.ones_like(a)) == (0, 1 / np.sqrt(4000))


@pytest.mark.parametrize("r2", [0.3, 0.8])
def test_a_number_is_recovered_as_its_closed_form_says(rng, r2):
    representation, target = planted(rng, 40, 500, 3, r2)
    recovered = probes.ridge_probe(representation, target)
    assert recovered.metric == "r2" and recovered.value.mean() == pytest.approx(r2, abs=0.02)
    assert set(recovered.state) == {"found"} and recovered.p.max() == 0.01
    assert ((recovered.low < r2) & (r2 < recovered.high)).mean() > 0.85


def test_a_category_is_recovered_as_its_closed_form_says(rng):
    """Two normals d apart have AUC Φ(d / √2); of three classes the mean of one against the rest."""
    kind = rng.permutation(np.arange(600) % 2)
    shown = torch.from_numpy(1.0 * kind[None, :, None] + rng.standard_normal((40, 600, 1)))
    recovered = probes.ridge_probe(shown, Target.of(kind))
    assert recovered.metric == "auc" and recovered.value.mean() == pytest.approx(stats.norm.cdf(2**-0.5), abs=0.01)
    assert limits.equivalent_r2(0.26, np.array([0.5])) == pytest.approx(  # a closed form and a large sample
        np.corrcoef(kind, kind + rng.standard_normal((400, 600)) / 1.0)[0, 1:].mean() ** 2, abs=0.01)
    three = np.eye(3)[rng.permutation(np.arange(600) % 3)]
    shown = torch.from_numpy((three[:, :1] * 2)[None] + rng.standard_normal((20, 600, 1)))
    one = probes.ridge_probe(shown, Target.of(three))
    first, rest = stats.norm.cdf(2 / np.sqrt(2)), 0.5 + (stats.norm.cdf(2 / np.sqrt(2)) - 0.5) / 2
    assert one.value.mean() == pytest.approx((first + 2 * rest) / 3, abs=0.02)


@pytest.mark.parametrize(("width", "rows"), [(1, 500), (3, 800)])
@pytest.mark.no_cover
def test_error_rates_at_the_margin_and_without_dependence(rng, width, rows):
    """The claim 'none found' is false where R² is the margin: in 5 % of the networks; power is what is stated."""
    # Networks that share one x_j share what is odd about its rows: four of them.
    at_margin = [probes.ridge_probe(*planted(rng, 150, rows, width, MARGIN), seed=k) for k in range(4)]
    state = np.concatenate([probed.state for probed in at_margin])
    high, low, power = (np.concatenate([getattr(probed, name) for probed in at_margin])
                        for name in ("high", "low", "power"))
    assert (state == "none found").mean() < 0.075  # two standard errors above 5 %
    assert (high >= MARGIN).mean() > 0.925 and (low <= MARGIN).mean() > 0.925
    assert (state == "found").mean() == pytest.approx(power.mean(), abs=0.06)
    nothing = [probes.ridge_probe(*planted(rng, 100, rows, width, 0.0), seed=k) for k in range(4)]
    state = np.concatenate([probed.state for probed in nothing])
    assert (state == "found").mean() < 0.08 and (state == "none found").mean() > 0.65
    assert all((np.array(probed.state) == "found").sum() <= (probed.p <= 0.05).sum() for probed in nothing)


@pytest.mark.no_cover
def test_error_rates_of_a_category(rng):
    kind = rng.permutation(np.arange(700) % 2)
    apart = np.sqrt(2) * stats.norm.ppf(0.57)
    noise = rng.standard_normal((400, 700, 1))
    at_margin = probes.ridge_probe(torch.from_numpy(apart * kind[None, :, None] + noise), Target.of(kind))
    assert np.mean([state == "none found" for state in at_margin.state]) < 0.08
    assert np.mean([state == "found" for state in at_margin.state]) == pytest.approx(at_margin.power.mean(), abs=0.1)
    nothing = np.array(probes.ridge_probe(torch.from_numpy(noise), Target.of(kind)).state)
    assert (nothing == "found").mean() < 0.08 and (nothing == "none found").mean() > 0.65


@pytest.mark.parametrize(("width", "rows", "r2"), [(1, 300, 0.02), (8, 400, 0.05), (30, 800, 0.02)])
@pytest.mark.no_cover
def test_planted_draws_are_the_distribution_of_the_probes_r(rng, width, rows, r2):
    representation, target = planted(rng, 1500, rows, width, r2)
    predicted = Ridge.fit(representation, target.values, 3).predict(representation)
    r = limits.correlation(within_folds(target.values, 3)[None], predicted)[0][:, 0]
    drawn = draws_of_r(representation[:1], r2, 20_000)[:, 0]
    np.testing.assert_allclose(np.quantile(r, [0.05, 0.5, 0.95]), np.quantile(drawn, [0.05, 0.5, 0.95]),
                               atol=0.25 / np.sqrt(rows))


@pytest.mark.no_cover
def test_a_poor_probe_is_not_taken_for_an_absence(rng, monkeypatch):
    """Forty units and 1,500 rows: what overfitting hides is in the upper limit, and the power says so."""
    representation, target = planted(rng, 100, 1500, 40, MARGIN)
    honest = probes.ridge_probe(representation, target)
    assert np.mean([s == "none found" for s in honest.state]) < 0.1
    monkeypatch.setattr(probes, "planted", lambda values, r2: np.full((9, len(values)), np.sqrt(r2)))
    naive = probes.ridge_probe(representation, target)
    assert np.mean([state == "none found" for state in naive.state]) > 0.3  # without it: a false absence


def test_what_is_too_little_to_measure_is_never_read_as_none(rng):
    few, target = planted(rng, 20, 90, 1, 0.0)
    assert set(probes.ridge_probe(few, target).state) <= {"not measured", "found"}
    assert probes.ridge_probe(*planted(rng, 1, 90, 1, 0.9)).state == ("found",)  # a find is a find
    strict = probes.ridge_probe(*planted(rng, 20, 500, 1, 0.0), margin=0.001)
    assert "none found" not in strict.state
    constant = probes.ridge_probe(few, Target.of(np.ones(90)))
    assert set(constant.state) == {"not measured"} and np.isnan(constant.value).all()
    rare = Target.of(np.arange(500) < 4)
    assert set(probes.ridge_probe(torch.zeros(2, 500, 1), rare).state) == {"not measured"}
    dead = probes.ridge_probe(torch.full((2, 500, 3), 0.1), Target.of(rng.standard_normal(500)))
    assert dead.state == ("none found",) * 2 and dead.value.max() == 0 and dead.p.min() == 1


def test_what_bends_is_read_by_boosting_alone(rng):
    x = rng.standard_normal(500)
    representation = torch.from_numpy(np.stack([x, rng.standard_normal(500)])[..., None])
    target = Target.of(x**2)
    ridge, boosted = probes.ridge_probe(representation, target), probes.boosted_probe(representation, target)
    assert ridge.value[0] < 0.1 < 0.9 < boosted.value[0]
    assert boosted.state == ("found", "not distinguished")  # never 'none found': its power is not known
    kind = probes.boosted_probe(representation, Target.of(np.abs(x) > 0.7))
    assert kind.metric == "auc" and kind.value[0] > 0.95 and kind.state[1] == "not distinguished"


def test_several_numbers_are_judged_by_the_one_recovered_best(rng):
    x = rng.standard_normal((500, 2))
    representation = torch.from_numpy((x[:, :1] + 0.5 * rng.standard_normal((500, 1)))[None])
    assert probes.ridge_probe(representation, Target.of(x)).value[0] == pytest.approx(0.8, abs=0.05)


def test_bad_input_is_named(rng):
    with pytest.raises(InputError, match=r"\[members, rows, width\]"):
        probes.ridge_probe(torch.zeros(1, 40, 2), Target.of(np.arange(50)))
    with pytest.raises(InputError, match="NaN or inf"):
        probes.ridge_probe(torch.full((1, 50, 2), torch.nan), Target.of(np.arange(50)))
    with pytest.raises(InputError, match="the feature must be finite"):
        Target.of([1.0, np.nan])
