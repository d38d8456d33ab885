"""Retraining by a user's own recipe: `fit(model, split, seed)`."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import joblib
from torch import nn

from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.estimators import is_estimator
from attribution_suite.networks.given import Networks, as_ensemble, listed
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.probe import reset
from attribution_suite.networks.taken_apart import is_network
from attribution_suite.networks.training import Trained
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class Rows:
    """What `fit` trains on: `train` and `validation`, each with `inputs` `[rows, features]` and `targets` `[rows]`.

    The columns that go are at their training means in every row. Targets are those of `Split`.
    """

    train: Split
    validation: Split


Fit = Callable[[Any, Rows, int], Any]


@dataclass(frozen=True)
class Refit:
    """Trains each of a user's `models` anew, by their own `fit(model, split, seed)`.

    `model` is an untrained copy of the user's (a module reset by its `reset_parameters`, in train mode; an estimator
    cloned); `fit` trains it in place or returns another. `outputs`, `output`: as for `as_ensemble`.
    """

    fit: Fit
    models: tuple[Any, ...]
    outputs: str | None = None
    output: int | str | None = None

    @classmethod
    def of(cls, fit: object, networks: Networks, outputs: str | None, output: int | str | None,
           layer: int) -> "Refit | None":
        """None without a `fit`. Raises InputError for what is no function, and where there is nothing for it to fit."""
        if fit is None:
            return None
        if not callable(fit):
            raise InputError(f"option 'fit' is a function fit(model, split, seed), got {fit!r}")
        if isinstance(networks, Ensemble | Trained):
            raise InputError("option 'fit' trains models of your own: give these as 'networks'")
        if layer:
            raise InputError("option 'fit' trains whole networks, and at a hidden layer only those above it are "
                             "retrained: leave it out")
        return cls(fit, tuple(listed(networks)), outputs, output)

    @property
    def source(self) -> str:
        """What tells one recipe from another: its code."""
        try:
            return inspect.getsource(self.fit)
        except (OSError, TypeError):  # no file, or an object that is called
            digest: str = joblib.hash(cloudpickle.dumps(self.fit))
            return digest

    def networks(self, dataset: TabularDataset, like: Ensemble, nodes: Nodes, seeds: Sequence[int]) -> Ensemble:
        """Networks fitted without each member's nodes, `like` those that these are taken from; seed-major.

        The nodes' training means stand in the first layer, so that no value of theirs reaches what was fitted.
        Raises InputError, naming the network, where `fit` fails or returns another kind of network.
        """
        variants, means = len(nodes) // len(seeds), dataset.train.inputs.mean(0)[nodes.index.cpu()]
        models = []
        for member, (columns, values) in enumerate(zip(nodes.index.tolist(), means, strict=True)):
            rows = Rows(*(_filled(split, columns, values) for split in (dataset.train, dataset.validation)))
            models.append(self._fitted(member // variants, rows, seeds[member // variants]))
        # The given ones were logits if nothing else was said; whether these look like probabilities is not asked again.
        outputs = self.outputs or ("logit" if all(map(is_network, models)) else None)
        try:
            refitted = as_ensemble(models, dataset, outputs, self.output).to(like.device)
        except InputError as error:
            raise InputError(f"what option 'fit' made cannot be taken: {error}") from error
        if type(refitted) is not type(like) or refitted.architecture != like.architecture:
            raise InputError(f"option 'fit' returns {refitted.architecture}, and the networks are {like.architecture}: "
                             "it must train the same kind of network")
        return refitted.with_nodes_folded(nodes, means.to(like.device))

    def _fitted(self, number: int, rows: Rows, seed: int) -> Any:
        with seeded(seed):
            model, problem = _untrained(self.models[number])
            try:
                returned = self.fit(model, rows, seed)
            except Exception as error:  # the user's code
                raise InputError(f"option 'fit' fails on network {number}: {type(error).__name__}: "
                                 f"{(str(error).strip() or 'no message').splitlines()[0]}") from error
        if problem and (returned is None or returned is model):
            raise InputError(f"{problem}; or let 'fit' return a new network")
        return model if returned is None else returned


def _untrained(given: Any) -> tuple[Any, str]:
    """An untrained copy, and why it still is trained, if it is."""
    if is_estimator(given) and not isinstance(given, nn.Module):
        from sklearn.base import clone

        return clone(given), ""
    model = copy.deepcopy(given)
    module = getattr(model, "module_", model).train()
    try:
        reset(module)
    except InputError as error:
        return model, str(error)
    return model, ""


def _filled(split: Split, columns: list[int], values: Any) -> Split:
    inputs = split.inputs.clone()
    inputs[:, columns] = values
    return replace(split, inputs=inputs)
