"""The control: random scores, the floor that every measure is read against."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits


@dataclass(frozen=True)
class Random:
    """s_k = abs(N(0, 1)), drawn from (evaluation.seed, member): it looks neither at the network nor at the rows.

    The local values are φ_ik = s_k · z_ik / mean_i abs(z_ik) with z_ik from N(0, 1), so that, as for every local
    method, s_k = mean_i abs(φ_ik).
    """

    name: ClassVar[str] = "random"
    traits: ClassVar[ScorerTraits] = ScorerTraits(control=True)

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Scores and local values, the same at every call for the same seed and position in the ensemble."""
        shape = (1 + evaluation.inputs.shape[-2], len(evaluation.features))
        draws = torch.from_numpy(np.stack([
            np.random.default_rng([evaluation.seed, member]).standard_normal(shape, dtype=np.float32)
            for member in range(len(networks))])).to(networks.device)
        scores, local = draws[:, :1].abs(), draws[:, 1:]
        values = scores * local / local.abs().mean(1, keepdim=True)
        return Attribution.from_local(self.name, values, evaluation.features)
