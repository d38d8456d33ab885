"""How much every node of every layer matters, by the scorers that read a perceptron's layers."""

import pandas as pd

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice

LAYER_SCORERS = ("gradient_weight", "lrp")


def layer_importances(networks: Ensemble, evaluation: Evaluation) -> pd.DataFrame:
    """One row a member, layer (0 the inputs), node and scorer of `LAYER_SCORERS`.

    `node`: a feature's name, or 'unit:K' (from 0); `score` in the scorer's own units; `share` in [0, 1] of all nodes of
    the layer. gradient × weight reads the weights that leave a node, its column of the next Linear; LRP is the mean abs
    relevance that arrives at it from the explained output. Raises InputError for networks whose layers are not known.
    """
    frames = [Choice(name).attribute(networks, evaluation, layer).to_frame().assign(layer=layer, scorer=name)
              for layer in range(networks.architecture.depth) for name in LAYER_SCORERS]
    return pd.concat(frames, ignore_index=True).rename(columns={"feature": "node", "mean_abs": "score"})
