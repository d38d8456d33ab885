"""The network that belongs to a data set, as plain data: widths, activation, and what its training may cost.

A data set carries its preset (`TabularDataset.preset`), so that a table is trained as its own loader says, whatever
the table is called.
"""

from dataclasses import dataclass
from typing import Literal

from attribution_suite.errors import InputError, unknown_name

Activation = Literal["relu", "tanh", "linear", "leaky_relu", "sigmoid", "gelu", "silu"]


@dataclass(frozen=True)
class Training:
    """A budget: the optimiser, and when to stop.

    `patience`: epochs without a better validation loss before a member stops; None trains all `epochs`.
    `keep`: the weights of the best validation loss, or the last ones. `max_steps` ends training within an epoch.
    `record_every`: copies the first layer's weights after every k-th epoch into `Trained.history`; None copies nothing.
    `standardise`: a regression is trained on (y − μ)/σ, μ and σ of the training targets, so that the learning rate
    means the same whatever their unit; False trains on targets as they are, as published presets do. Classes have
    no such scale.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam"
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    max_steps: int | None = None
    record_every: int | None = None
    standardise: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InputError(f"training needs epochs ≥ 0, batch_size ≥ 1 and learning_rate > 0, got {self}")
        for option in ("patience", "max_steps", "record_every"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise InputError(f"training needs {option} of at least 1, or None to do without, got {value}")
        if self.optimiser not in ("adam", "rmsprop", "sgd"):
            raise unknown_name("optimiser", self.optimiser, ("adam", "rmsprop", "sgd"))
        if self.keep not in ("best", "last"):
            raise unknown_name("weights to keep", self.keep, ("best", "last"))


@dataclass(frozen=True)
class Preset:
    """Hidden widths, activation and the training budget of an original; `tuning_epochs` is a full warm start's.

    `name`: 'default', a sound choice, or 'published', that of the source that the data set names.
    """

    name: str
    hidden: tuple[int, ...]
    training: Training
    activation: Activation = "relu"
    tuning_epochs: int = 30


# For a table of one's own.
GENERIC = Preset("default", (64, 32), Training(100, 32, 1e-3, patience=10))
