"""Networks that a user has, of any kind, as one ensemble that fits their table."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.modules import CLOSE, PROBE_ROWS, Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons, is_perceptron
from attribution_suite.networks.probabilities import as_logits, refuse_probabilities
from attribution_suite.networks.probe import check_modules
from attribution_suite.networks.training import Trained

Networks = Ensemble | Trained | nn.Module | Sequence[nn.Module]


def as_ensemble(networks: Networks, dataset: TabularDataset, outputs: str | None = None) -> Ensemble:
    """The networks as an ensemble that takes the data set's inputs and returns the outputs of its task.

    Plain `nn.Sequential`s of Linear and ReLU or Tanh become stacked weights (`Perceptrons`); any other module goes
    behind an editable layer (`Modules`). `outputs`: what modules return for classes, 'logit' or 'probability' (networks
    of this library return logits); without it, what looks like probabilities is refused.
    Raises InputError where they do not fit together, or not the table.
    """
    inputs = dataset.train.inputs[:PROBE_ROWS]
    ensemble = _wrapped(networks, inputs, outputs)
    if ensemble.architecture.features != inputs.shape[1]:
        raise InputError(f"the networks take {ensemble.architecture.features} inputs, the table has {inputs.shape[1]} "
                         "columns after encoding: give the table that they were trained on")
    count, wanted = ensemble.architecture.outputs, dataset.outputs
    if count != wanted:
        hint = "; a binary network with two logits: give the table task='multiclass'" if count == 2 else ""
        raise InputError(f"{dataset.name} is a {dataset.task} task of {wanted} output{'s' * (wanted > 1)}, the "
                         f"networks have {count}{hint}")
    if outputs is None and not isinstance(networks, Trained | Ensemble):
        refuse_probabilities(ensemble, dataset)
    return ensemble


def _wrapped(networks: Networks, inputs: Tensor, outputs: str | None) -> Ensemble:
    if isinstance(networks, Trained | Perceptrons | Modules):
        return networks.networks if isinstance(networks, Trained) else networks
    modules = as_logits([networks] if isinstance(networks, nn.Module) else _listed(networks), outputs)
    plain = [module for module in modules if is_perceptron(module)]
    if len(plain) == len(modules):
        check_modules(modules)
        stacked = Perceptrons.from_modules(plain)
        fits = stacked.architecture.features == inputs.shape[1]
        if not fits or _same(stacked, modules, inputs):  # not if a hook of the user's changes what the layers return
            return stacked
    return Modules.wrap(modules, inputs)


def count_networks(networks: Networks) -> int:
    """How many networks a user gives: one module is one. Raises InputError for what are no networks."""
    if isinstance(networks, Trained):
        return len(networks.networks)
    if isinstance(networks, Ensemble):
        return len(networks)
    return 1 if isinstance(networks, nn.Module) else len(_listed(networks))


def _same(stacked: Perceptrons, modules: Sequence[nn.Module], inputs: Tensor) -> bool:
    """True if the stacked weights return what the modules do, called as copies."""
    alone = Modules.wrap(modules, inputs).outputs(inputs)
    return torch.allclose(stacked.outputs(inputs), alone, rtol=CLOSE, atol=CLOSE / 10)


def _listed(networks: object) -> list[nn.Module]:
    """A user's list. Raises InputError for what is none, or holds anything but modules."""
    modules = list(networks) if isinstance(networks, Sequence) else []
    if not modules or not all(isinstance(module, nn.Module) for module in modules):
        raise InputError(f"networks are an nn.Module, a list of nn.Modules or what `train` returns, got "
                         f"{' '.join(repr(networks).split())[:60]}")
    return modules
