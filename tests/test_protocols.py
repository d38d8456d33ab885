"""Every scorer and removal is what its protocol says: mypy, which reads this file too, refuses one that is not."""

import pytest

from attribution_suite.registry import Registry
from attribution_suite.removals import REFERENCE, REMOVALS, SHAM
from attribution_suite.removals.concept_scrubbing import ConceptScrubbing
from attribution_suite.removals.conditional_tuning import ConditionalTuning
from attribution_suite.removals.constant import Constant
from attribution_suite.removals.fold_tuning import Fold, FoldTuning
from attribution_suite.removals.independence_tuning import IndependenceTuning
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.lazy import Lazy
from attribution_suite.removals.leace import Leace
from attribution_suite.removals.newton import Newton
from attribution_suite.removals.removal import Removal
from attribution_suite.removals.residualise import Residualise
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.sham import Sham
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.splince import Splince
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.removals.subset_fold import SubsetFold
from attribution_suite.removals.subset_fold_dp import SubsetFoldDynamicProgramme
from attribution_suite.scorers import CONTROL, SCORERS
from attribution_suite.scorers.attribution import Scorer
from attribution_suite.scorers.deep_lift import DeepLift
from attribution_suite.scorers.feature_ablation import FeatureAblation
from attribution_suite.scorers.gradient_shap import GradientShap
from attribution_suite.scorers.gradient_weight import GradientWeight
from attribution_suite.scorers.gradients import InputXGradient, Saliency
from attribution_suite.scorers.integrated_gradients import IntegratedGradients, SmoothIntegratedGradients
from attribution_suite.scorers.layer_conductance import LayerConductance
from attribution_suite.scorers.lime import Lime
from attribution_suite.scorers.lrp import LRP, LRPAlphaBeta, LRPEpsilon, LRPGamma
from attribution_suite.scorers.permutation import Permutation
from attribution_suite.scorers.random import Random
from attribution_suite.scorers.shapley_sampling import ShapleySampling
from attribution_suite.scorers.unit_significance import UnitSignificance
from attribution_suite.scorers.weights import Weights
from attribution_suite.scorers.xgboost_gain import XGBoostGain, XGBoostGainSurrogate
from attribution_suite.scorers.xgboost_shap import XGBoostShap, XGBoostShapSurrogate

SCORING: tuple[type[Scorer], ...] = (
    GradientWeight, LRP, LRPEpsilon, LRPGamma, LRPAlphaBeta, IntegratedGradients, SmoothIntegratedGradients, DeepLift,
    GradientShap, InputXGradient, Saliency, FeatureAblation, ShapleySampling, LayerConductance, Permutation, Lime,
    XGBoostGain, XGBoostGainSurrogate, XGBoostShap, XGBoostShapSurrogate, Weights, UnitSignificance, Random)
REMOVING: tuple[type[Removal], ...] = (
    Retrain, StochasticTuning, InversionTuning, ShuffleTuning, ConditionalTuning, FoldTuning, Fold, SubsetFold,
    SubsetFoldDynamicProgramme, IndependenceTuning, Lazy, Newton, Constant, Residualise, Leace, ConceptScrubbing,
    Splince, Sham)


@pytest.mark.parametrize(("family", "classes"), [(SCORERS, SCORING), (REMOVALS, REMOVING)])
def test_the_catalogue_is_what_mypy_has_seen(family: Registry, classes: tuple[type[Scorer | Removal], ...]) -> None:
    assert [family.load(name) for name in family.builtin] == list(classes), "list a new class above, for mypy"
    assert list(family.builtin) == [kind.name for kind in classes], "a class is called what its tables call it"


def test_the_controls_and_the_reference_are_what_they_declare() -> None:
    assert [name for name in SCORERS.names if SCORERS.load(name).traits.control] == [CONTROL]
    assert [name for name in REMOVALS.names if REMOVALS.load(name).traits.control] == [SHAM]
    assert REMOVALS.load(REFERENCE).traits.exact
