"""What training may cost: the optimiser, and when to stop."""

from dataclasses import dataclass
from typing import Literal

from attribution_suite.errors import InputError, unknown_name


@dataclass(frozen=True)
class Training:
    """A budget: the optimiser, and when to stop.

    `patience`: epochs without a better validation loss before a member stops; None trains all `epochs`.
    `keep`: the weights of the best validation loss, or the last ones. `max_steps` ends training within an epoch.
    `record_every`: copies the first layer's weights after every k-th epoch into `Trained.history`; None copies nothing.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam"
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    max_steps: int | None = None
    record_every: int | None = None

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
