"""A scorer: the gradient at each row, in units of the feature's own spread."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite import load_dataset, train
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import Piece, attribute_in_pieces


@dataclass(frozen=True)
class StandardisedGradient:
    """φ_k = σ_k ∂f/∂x_k, σ_k the standard deviation of column k on the background rows.

    What one standard deviation of the column does to the output, were the network linear (a sensitivity, as the
    sigma-normalised derivative of Saltelli et al. 2008, Global Sensitivity Analysis).
    """

    name: ClassVar[str] = "standardised_gradient"
    traits: ClassVar[ScorerTraits] = ScorerTraits(reads="gradients")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        spread = evaluation.background.std(-2)  # [columns], or [members, columns] at a hidden layer

        def local(piece: Piece) -> Tensor:
            gradient = piece.pull_back(piece.networks.gradient(piece.networks.first(piece.inputs), piece.explained))
            return gradient * (spread if spread.dim() == 1 else spread[piece.members, None])

        return attribute_in_pieces(self.name, networks, evaluation, 1, local)


if __name__ == "__main__":
    import torch

    iris = load_dataset("iris")
    networks = train(iris, seeds=2).networks
    evaluation = Evaluation.of(iris, networks, rows=500, background=2000)
    attribution = StandardisedGradient().attribute(networks, evaluation)

    # The same by autograd on one network: the formula, and not the code above.
    rows = iris.test.inputs.clone().requires_grad_()
    output = networks.to_module(1)(rows).gather(1, evaluation.explained[1][:, None]).sum()
    gradient, = torch.autograd.grad(output, rows)
    torch.testing.assert_close(attribution.values[1], gradient * iris.train.inputs.std(0))
    print(attribution.to_frame())
