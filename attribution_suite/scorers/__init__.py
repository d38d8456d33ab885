"""Attribution methods behind one interface. `SCORERS` is the catalogue; each method lives in the file of its name."""

from attribution_suite.registry import Registry

_HERE = "attribution_suite.scorers"

SCORERS = Registry("scorer", {
    "gradient_weight": f"{_HERE}.gradient_weight:GradientWeight",
    "lrp": f"{_HERE}.lrp:LRP",
    "lrp_epsilon": f"{_HERE}.lrp:LRPEpsilon",
    "lrp_gamma": f"{_HERE}.lrp:LRPGamma",
    "lrp_alpha_beta": f"{_HERE}.lrp:LRPAlphaBeta",
    "integrated_gradients": f"{_HERE}.integrated_gradients:IntegratedGradients",
    "smooth_integrated_gradients": f"{_HERE}.integrated_gradients:SmoothIntegratedGradients",
    "deep_lift": f"{_HERE}.deep_lift:DeepLift",
    "gradient_shap": f"{_HERE}.gradient_shap:GradientShap",
    "input_x_gradient": f"{_HERE}.gradients:InputXGradient",
    "saliency": f"{_HERE}.gradients:Saliency",
    "feature_ablation": f"{_HERE}.feature_ablation:FeatureAblation",
    "shapley_sampling": f"{_HERE}.shapley_sampling:ShapleySampling",
    "layer_conductance": f"{_HERE}.layer_conductance:LayerConductance",
    "permutation": f"{_HERE}.permutation:Permutation",
    "lime": f"{_HERE}.lime:Lime",
    "xgboost_gain": f"{_HERE}.xgboost_gain:XGBoostGain",
    "xgboost_gain_surrogate": f"{_HERE}.xgboost_gain:XGBoostGainSurrogate",
    "xgboost_shap": f"{_HERE}.xgboost_shap:XGBoostShap",
    "xgboost_shap_surrogate": f"{_HERE}.xgboost_shap:XGBoostShapSurrogate",
    "weights": f"{_HERE}.weights:Weights",
    "unit_significance": f"{_HERE}.unit_significance:UnitSignificance",
    "random": f"{_HERE}.random:Random",
}, {"captum": f"{_HERE}.captum_methods.naming:captum_scorer"}, traits="ScorerTraits")

CONTROL = "random"  # the scorer whose traits say that it looks at nothing: a floor, without a vote
