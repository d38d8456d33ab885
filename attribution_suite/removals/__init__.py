"""Ways to take a node's influence out of a network; each method lives in the file of its name."""

from attribution_suite.registry import Registry, bare

_HERE = "attribution_suite.removals"

REMOVALS = Registry("removal", {
    "retrain": f"{_HERE}.retrain:Retrain",
    "stochastic_tuning": f"{_HERE}.stochastic_tuning:StochasticTuning",
    "inversion_tuning": f"{_HERE}.inversion_tuning:InversionTuning",
    "shuffle_tuning": f"{_HERE}.shuffle_tuning:ShuffleTuning",
    "conditional_tuning": f"{_HERE}.conditional_tuning:ConditionalTuning",
    "fold_tuning": f"{_HERE}.fold_tuning:FoldTuning",
    "fold": f"{_HERE}.fold_tuning:Fold",
    "subset_fold": f"{_HERE}.subset_fold:SubsetFold",
    "subset_fold_dp": f"{_HERE}.subset_fold_dp:SubsetFoldDynamicProgramme",
    "independence_tuning": f"{_HERE}.independence_tuning:IndependenceTuning",
    "lazy": f"{_HERE}.lazy:Lazy",
    "newton": f"{_HERE}.newton:Newton",
    "constant": f"{_HERE}.constant:Constant",
    "residualise": f"{_HERE}.residualise:Residualise",
    "leace": f"{_HERE}.leace:Leace",
    "concept_scrubbing": f"{_HERE}.concept_scrubbing:ConceptScrubbing",
    "splince": f"{_HERE}.splince:Splince",
    "sham": f"{_HERE}.sham:Sham",
}, traits="RemovalTraits")

REFERENCE = "retrain"  # what every other method is compared with: a network that never had the column
# What the cost of a tuned method is compared with: the same tuning with nothing removed; 'sham?of=lazy': of lazy.
SHAM = "sham"


def is_sham(removal: str) -> bool:
    """Whether a name of the tables is that of a control of costs."""
    return bare(removal) == SHAM
