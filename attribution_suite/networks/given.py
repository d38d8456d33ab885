"""Networks that a user has, of any kind, as one ensemble that fits their table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.chain import NoChain
from attribution_suite.networks.estimators import Reading, as_perceptrons, check_columns, is_estimator, private
from attribution_suite.networks.forward import collect
from attribution_suite.networks.indexed import with_index_columns
from attribution_suite.networks.modules import CLOSE, PROBE_ROWS, Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.predictors import Predictors
from attribution_suite.networks.probabilities import as_logits, refuse_probabilities
from attribution_suite.networks.probe import check_modules, copied
from attribution_suite.networks.taken_apart import Fitted, in_float32, is_network, picked, taken_apart
from attribution_suite.networks.training import Trained
from attribution_suite.networks.wrapped import LogitDifference

Network = nn.Module | Fitted
Estimator = Any  # what fits, predicts and knows its parameters, as scikit-learn's do
Networks = Ensemble | Trained | Network | Estimator | Sequence[Network] | Sequence[Estimator]
KINK = 1e-5  # rows with a pre-activation nearer to 0 may have another gradient by rounding


def as_ensemble(networks: Networks, dataset: TabularDataset, outputs: str | None = None,
                output: int | str | None = None) -> Ensemble:
    """The networks as an ensemble that takes the data set's inputs and returns the outputs of its task.

    Chains of Linear and one kind of activation, in any class, become stacked weights (`Perceptrons`) where these return
    the modules' outputs and gradients on training rows; any other module goes behind an editable layer (`Modules`), and
    its `note` says why. A skorch net, a compiled module and one on several devices are taken apart; float64 is taken as
    float32 where the outputs stay. Of two logits for a binary task the second minus the first is explained.
    A fitted MLPClassifier or MLPRegressor of scikit-learn becomes stacked weights too; of any other estimator only the
    predictions are known (`Predictors`). Columns that hold a category's number are known of modules and estimators.

    `outputs`: what modules return for classes, 'logit' or 'probability' (networks of this library return logits);
    without it, what looks like probabilities is refused. `output`: which of several results that they return, by index,
    key or attribute. Raises InputError where networks do not fit together, or not the table.
    """
    inputs, ready = dataset.train.inputs[:PROBE_ROWS], isinstance(networks, Trained | Ensemble)
    ensemble = _ready(networks) if ready else _of_given(listed(networks), dataset, outputs, output)
    if ensemble.architecture.features != inputs.shape[1]:
        raise InputError(f"the networks take {ensemble.architecture.features} inputs, the table has {inputs.shape[1]} "
                         "columns after encoding: give the table that they were trained on")
    if outputs is None and not ready and all(map(is_network, listed(networks))):
        refuse_probabilities(ensemble, dataset)
    if dataset.task == "binary" and ensemble.architecture.outputs == 2:
        ensemble = _difference(ensemble, inputs)
    if not ready:
        ensemble = with_index_columns(ensemble, dataset)
    count, wanted = ensemble.architecture.outputs, dataset.outputs
    if count != wanted:
        raise InputError(f"{dataset.name} is a {dataset.task} task of {wanted} output{'s' * (wanted > 1)}, the "
                         f"networks have {count}")
    return ensemble


def count_networks(networks: Networks) -> int:
    """How many networks a user gives: one module is one. Raises InputError for what are no networks."""
    return len(_ready(networks)) if isinstance(networks, Trained | Ensemble) else len(listed(networks))


def _ready(networks: object) -> Ensemble:
    if isinstance(networks, Trained):
        return networks.networks
    assert isinstance(networks, Ensemble)
    return networks


def _of_given(networks: list[object], dataset: TabularDataset, outputs: str | None,
              output: int | str | None) -> Ensemble:
    estimators = [network for network in networks if not is_network(network)]
    if not estimators:
        return _of_modules(networks, dataset.train.inputs[:PROBE_ROWS], outputs, output)
    if len(estimators) < len(networks):
        raise InputError("some networks are modules, some estimators: audit them one by one")
    if outputs is not None or output is not None:
        raise InputError("options 'outputs' and 'output' are for modules: an estimator's own predict_proba, "
                         "decision_function or predict is read")
    return _of_estimators(estimators, dataset)


def _of_estimators(estimators: list[object], dataset: TabularDataset) -> Ensemble:
    for number, estimator in enumerate(estimators):
        check_columns(estimator, number, dataset)
    inputs = dataset.train.inputs[:PROBE_ROWS]
    copies = [private(estimator, number) for number, estimator in enumerate(estimators)]
    readings = [Reading.of(estimator, dataset) for estimator in copies]
    predictors = Predictors.wrap(copies, readings, inputs)
    return as_perceptrons(copies, readings, dataset, inputs) or predictors


def _of_modules(networks: list[object], inputs: Tensor, outputs: str | None, output: int | str | None) -> Ensemble:
    modules, note = in_float32(picked(taken_apart(networks), output), inputs)
    explained = as_logits(modules, outputs)
    check_modules(modules)
    try:
        stacked = _stacked(modules, inputs, outputs)
    except NoChain as reason:
        note = f"no chain: it {reason}" + f"; {note}" * bool(note)
        return replace(Modules.wrap(explained, inputs), note=note)
    assert stacked.origin is not None
    return replace(stacked, origin=replace(stacked.origin, note=note))


def _stacked(modules: Sequence[nn.Module], inputs: Tensor, outputs: str | None) -> Perceptrons:
    """The modules as stacked weights, tried against copies of them. Raises NoChain where they are no such thing.

    A sigmoid at the end of what returns probabilities is left out: what enters it is their logit.
    """
    stacked, ends_in_sigmoid = Perceptrons.read([copied(module, number) for number, module in enumerate(modules)])
    if ends_in_sigmoid != (outputs == "probability"):
        raise NoChain("ends in a sigmoid" if ends_in_sigmoid else "returns probabilities, and not by a sigmoid")
    if stacked.architecture.features == inputs.shape[1]:  # else what they take is named
        _compare(stacked, Modules.wrap(modules, inputs), inputs, ends_in_sigmoid)
    return stacked


def _compare(stacked: Perceptrons, alone: Modules, inputs: Tensor, ends_in_sigmoid: bool) -> None:
    """Raises NoChain where outputs or gradients differ, as by a hook of the user's that changes what a layer returns.

    Gradients are those of the row's largest output, on rows where no unit is within 1e-5 of a kink.
    """
    expected = alone.outputs(inputs)
    if expected.shape[2] != stacked.architecture.outputs:
        raise NoChain("returns a part of what its last Linear does")
    explained = expected.argmax(2)
    collected = collect(stacked, inputs)
    outputs, slope = collected.outputs, torch.ones(())
    if ends_in_sigmoid:
        outputs = outputs.sigmoid()
        slope = (outputs * (1 - outputs)).gather(2, explained[..., None])
    gradient = torch.bmm(stacked.gradient(stacked.first(inputs), explained), stacked.first_weight) * slope
    sure = torch.ones_like(explained[..., None], dtype=torch.bool)
    for pre in collected.leaving[:-1]:
        sure &= (pre.abs() > KINK).all(2, keepdim=True)
    wanted = alone.gradient(alone.first(inputs), explained)
    for name, new, old in (("outputs", outputs, expected), ("gradients", gradient * sure, wanted * sure)):
        if bool(((new - old).abs() > CLOSE / 10 * old.abs().amax((1, 2), keepdim=True) + CLOSE * old.abs()).any()):
            raise NoChain(f"returns other {name} than its layers in their order")


def _difference(networks: Ensemble, inputs: Tensor) -> Ensemble:
    if isinstance(networks, Perceptrons):
        return networks.with_logit_difference()
    assert isinstance(networks, Modules)
    return replace(Modules.wrap([LogitDifference(module) for module in networks.templates], inputs), note=networks.note)


def listed(networks: object) -> list[object]:
    """A user's list. Raises InputError for what is none, or holds anything but networks."""
    alone = is_network(networks) or is_estimator(networks)
    if not alone and callable(getattr(networks, "predict", None)) and not isinstance(networks, type):
        raise InputError(f"{type(networks).__name__} only predicts, and an estimator has fit, predict and get_params, "
                         "as scikit-learn's have, so that it can be retrained: put it into one (a Booster of XGBoost "
                         "is read by load_model of an XGBClassifier or XGBRegressor)")
    listed = [networks] if alone else list(networks) if isinstance(networks, Sequence) else []
    if not listed or not all(is_network(network) or is_estimator(network) for network in listed):
        raise InputError(f"networks are an nn.Module, a fitted estimator, a list of these or what `train` returns, got "
                         f"{' '.join(repr(networks).split())[:60]}")
    return listed
