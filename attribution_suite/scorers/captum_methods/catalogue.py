"""Every attribution class of Captum: how this package calls it, or what it needs that networks of tables lack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Entry:
    """What Captum's signatures do not say of a class.

    `shared`: how the networks of an ensemble share one call. 'wide': the summed output of all networks is explained by
    the inputs of each, `[rows, networks, features]`, exact for what is made of gradients (the networks never mix).
    'outputs': every network's output is told of the same changed rows, exact for what replaces features. 'no': one
    network at a time; Captum's code of that class keeps a number a row, or draws noise for the whole input. 'single':
    likewise, by the wide view of one network (Captum's LayerFeaturePermutation selects a target twice).
    `points`: how many inputs of the network it makes of one row at once: a number, an option, or 'baselines'.
    `hooks`: it changes or reads activation modules through hooks. `draws` and `zero`: as `draws` and
    `zero_on_zero_weights` of `ScorerTraits`. `slow`: it explains a row at a time, so an audit gives it LIME's rows.
    `fast`: the scorer of this package that computes the same numbers faster, '' where there is none.
    """

    shared: Literal["wide", "outputs", "single", "no"]
    points: int | str = 2
    hooks: bool = False
    draws: bool = False
    zero: bool = True
    slow: bool = False
    fast: str = ""


CATALOGUE: Mapping[str, Entry] = {
    "IntegratedGradients": Entry("wide", "n_steps", fast="integrated_gradients"),
    "Saliency": Entry("wide", fast="saliency"),
    "InputXGradient": Entry("wide", fast="input_x_gradient"),
    "DeepLift": Entry("wide", hooks=True, fast="deep_lift"),
    "DeepLiftShap": Entry("wide", "baselines", hooks=True),
    "GradientShap": Entry("wide", "n_samples", draws=True, fast="gradient_shap"),
    "GuidedBackprop": Entry("wide", hooks=True),
    "Deconvolution": Entry("wide", hooks=True),
    "LRP": Entry("no", hooks=True, fast="lrp_epsilon"),
    "FeatureAblation": Entry("outputs", fast="feature_ablation"),
    "FeaturePermutation": Entry("outputs", draws=True),
    "Occlusion": Entry("outputs", zero=False),
    "ShapleyValueSampling": Entry("outputs", draws=True),
    "ShapleyValues": Entry("outputs"),
    "Lime": Entry("no", draws=True, zero=False, slow=True),
    "KernelShap": Entry("no", draws=True, zero=False, slow=True),
    "NoiseTunnel": Entry("no", "nt_samples", draws=True, fast="smooth_integrated_gradients"),
    "LayerActivation": Entry("wide", zero=False),
    "LayerGradientXActivation": Entry("wide"),
    "LayerConductance": Entry("wide", "n_steps", fast="layer_conductance"),
    "LayerIntegratedGradients": Entry("wide", "n_steps"),
    "InternalInfluence": Entry("wide", "n_steps"),
    "LayerDeepLift": Entry("wide", hooks=True),
    "LayerDeepLiftShap": Entry("wide", "baselines", hooks=True),
    "LayerGradientShap": Entry("wide", "n_samples", draws=True),
    "LayerLRP": Entry("no", hooks=True),
    "LayerFeatureAblation": Entry("no"),
    "LayerFeaturePermutation": Entry("single", draws=True),
    "NeuronGradient": Entry("wide"),
    "NeuronConductance": Entry("no", "n_steps"),
    "NeuronIntegratedGradients": Entry("wide", "n_steps"),
    "NeuronDeepLift": Entry("wide", hooks=True),
    "NeuronDeepLiftShap": Entry("wide", "baselines", hooks=True),
    "NeuronGradientShap": Entry("wide", "n_samples", draws=True),
    "NeuronGuidedBackprop": Entry("wide", hooks=True),
    "NeuronDeconvolution": Entry("wide", hooks=True),
    "NeuronFeatureAblation": Entry("no"),
}
TUNNEL = "NoiseTunnel"
# Captum's other attribution classes, and what they need that is not here.
NEEDS: Mapping[str, str] = {
    "GuidedGradCam": "convolutional layers", "LayerGradCam": "convolutional layers",
    "LLMAttribution": "a language model", "LLMGradientAttribution": "a language model",
    "RemoteLLMAttribution": "a language model", "LimeBase": "functions of your own (captum:Lime has Captum's)",
    "DataLoaderAttribution": "a DataLoader", "InterpretableEmbeddingBase": "embedding layers",
}
EXACT_SHAPLEY = 10  # features: all their orders are evaluated, 10! = 3.6 million
# A class that explains a row by every baseline is given so many background rows, the first ones.
BASELINES = 50
