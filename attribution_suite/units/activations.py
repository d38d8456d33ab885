"""What every unit does on some rows, which classes switch it on, and which inputs drive it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError
from attribution_suite.networks.forward import Collected
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import predicted_class
from attribution_suite.scorers.attribution import sum_groups

EVERY_ROW = "all"  # the class of a regression's rows, which have none


def class_members(outputs: Tensor, task: Task, classes: Sequence[str] = ()) -> tuple[tuple[str, ...], Tensor]:
    """The classes' names, and `[members, rows, classes]`: 1 where the network predicts the class.

    Regression has the one class 'all'. Classes without a name are numbered.
    """
    if task == "regression":
        return (EVERY_ROW,), torch.ones(*outputs.shape[:2], 1)
    count = outputs.shape[2] if task == "multiclass" else 2
    names = tuple(classes) or tuple(map(str, range(count)))
    if len(names) != count:
        raise InputError(f"{len(names)} names of classes for a network of {count} classes")
    return names, torch.nn.functional.one_hot(predicted_class(outputs, task), count).float()


def activity(collected: Collected, task: Task, classes: Sequence[str] = ()) -> pd.DataFrame:
    """One row a member, hidden layer, unit and predicted class.

    `rate` in [0, 1]: the part of the class's rows on which the unit is active (> 0); `mean`: its mean activation there;
    both NaN where no row is predicted as the class; `rows`: how many are. `state` is of the unit on all rows: 'dead'
    (the same output on every row: a ReLU that never fires, a saturated tanh), 'always on', 'never on' (≤ 0, as a tanh
    can be without being dead) or 'mixed'.
    """
    names, chosen = class_members(collected.outputs, task, classes)
    frames = []
    for layer, values in enumerate(collected.entering[1:], start=1):
        rows = chosen.sum(1)[..., None]
        rate = (chosen.transpose(1, 2) @ (values > 0).float() / rows).transpose(1, 2)
        mean = (chosen.transpose(1, 2) @ values / rows).transpose(1, 2)
        keys = _grid(member=len(values), layer=[layer], unit=values.shape[2], predicted=names)
        frames.append(keys.assign(rate=rate.flatten().numpy(), mean=mean.flatten().numpy(),
                                  rows=rows.transpose(1, 2).expand_as(rate).flatten().long().numpy(),
                                  state=np.repeat(states(values).ravel(), len(names))))
    return pd.concat(frames, ignore_index=True)


def states(values: Tensor) -> np.ndarray:
    """What each unit does on all rows: activations `[members, rows, units]` → names `[members, units]`."""
    low, high = values.amin(1).numpy(), values.amax(1).numpy()
    return np.select([low == high, low > 0, high <= 0], ["dead", "always on", "never on"], "mixed")


def drivers(networks: Ensemble, collected: Collected, groups: Mapping[str, tuple[int, ...]], task: Task,
            classes: Sequence[str] = ()) -> pd.DataFrame:
    """Which inputs drive the active units of the first hidden layer: one row a member, predicted class and feature.

    Over the class's rows and the units active there: `positive` in [0, 1], the part of these units into which the
    feature's weight is positive (as the notebook counts; a group's is the mean over its columns), and `share` in
    [0, 1], the feature's part Σ abs(w_uk x_k) / Σ_k Σ abs(w_uk x_k) of what these units are given (a group's is the sum
    over its columns), without the bias. NaN where no unit is active on any row of the class.
    """
    names, chosen = class_members(collected.outputs, task, classes)
    weight, inputs = networks.first_weight, collected.entering[0]
    active = (collected.leaving[0] > 0).float()
    counted = chosen.transpose(1, 2) @ active  # [members, classes, units]
    counts = counted @ (weight > 0).float() / counted.sum(2, keepdim=True)
    received = chosen.transpose(1, 2) @ ((active @ weight.abs()) * inputs.abs())
    sizes = torch.tensor([len(columns) for columns in groups.values()])
    positive, share = sum_groups(counts, groups) / sizes, sum_groups(received / received.sum(2, keepdim=True), groups)
    keys = _grid(member=len(networks), predicted=names, feature=tuple(groups))
    return keys.assign(positive=positive.flatten().numpy(), share=share.flatten().numpy())


def driven_by(networks: Ensemble, collected: Collected, groups: Mapping[str, tuple[int, ...]],
              most: int = 3) -> pd.DataFrame:
    """What switches each unit of the first hidden layer on: one row a member and unit (layer 1).

    `driven_by`: at most `most` features, the strongest first, of those whose mean contribution w_uk x_k (a group's is
    the sum over its columns) to the unit's pre-activation is above 0 on the rows on which it is active; '' without such
    a row.
    """
    active = (collected.leaving[0] > 0).float()
    given = active.transpose(1, 2) @ collected.entering[0] / active.sum(1)[..., None].clamp(min=1)
    parts = sum_groups(given * networks.first_weight, groups).numpy()
    order, names = np.argsort(-parts, axis=2, kind="stable")[..., :most], np.array(tuple(groups), dtype=object)
    texts = [", ".join(names[places[values[places] > 0]]) for values, places in zip(
        parts.reshape(-1, parts.shape[2]), order.reshape(-1, order.shape[2]), strict=True)]
    return _grid(member=len(networks), layer=[1], unit=parts.shape[1]).assign(driven_by=texts)


def unit_scores(values: Tensor, targets: Tensor, busiest: np.ndarray) -> dict[str, np.ndarray]:
    """'The unit is active' as a test for the class that it is active for most: precision, recall and F1.

    `values` `[members, rows, units]`, `targets` `[rows]`, `busiest` `[members, units]` the class' index, −1 for a
    regression, which has none: NaN. Each result `[members, units]`; 0 for a unit that is never active, and a class
    without rows.
    """
    if (busiest < 0).all():
        return dict.fromkeys(("precision", "recall", "f1"), np.full(busiest.shape, np.nan))
    of_class = torch.nn.functional.one_hot(targets.long(), max(int(busiest.max()), int(targets.max())) + 1).float()
    active = (values > 0).float()
    both = (active.transpose(1, 2) @ of_class).numpy()
    hits = np.take_along_axis(both, busiest[..., None], 2)[..., 0]
    fired, labelled = active.sum(1).numpy(), of_class.sum(0).numpy()[busiest]
    return {"precision": hits / np.maximum(fired, 1), "recall": hits / np.maximum(labelled, 1),
            "f1": 2 * hits / np.maximum(fired + labelled, 1)}


def class_scores(outputs: Tensor, targets: Tensor, task: Task, classes: Sequence[str] = ()) -> pd.DataFrame:
    """Precision, recall and F1 of every member and class by scikit-learn, with `rows`: how many have the label.

    0 where nothing is predicted as the class (precision) or labelled with it (recall). Raises InputError for a
    regression.
    """
    from sklearn.metrics import precision_recall_fscore_support

    if task == "regression":
        raise InputError("precision, recall and F1 are of classes; a regression has none")
    names, _ = class_members(outputs, task, classes)
    labels, predicted = targets.long().numpy(), predicted_class(outputs, task).numpy()
    scores = [precision_recall_fscore_support(labels, member, labels=range(len(names)), zero_division=0)
              for member in predicted]
    columns = (np.concatenate(column) for column in zip(*scores, strict=True))
    return _grid(member=len(outputs), label=names).assign(
        **dict(zip(("precision", "recall", "f1", "rows"), columns, strict=True)))


def _grid(**levels: int | Sequence[object]) -> pd.DataFrame:
    """All combinations, the last key fastest; a number n stands for 0 … n − 1."""
    index = pd.MultiIndex.from_product([range(level) if isinstance(level, int) else level for level in levels.values()],
                                       names=list(levels))
    return index.to_frame(index=False)
