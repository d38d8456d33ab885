"""What is fixed before a run starts about how its results are judged."""

from dataclasses import dataclass

from attribution_suite.options import positive


@dataclass(frozen=True)
class Rules:
    """The rules of the verdicts; run.json keeps them, and the answer is printed with them.

    `delta`: the largest move of f that counts as none, as a part of the standard deviation of each seed's original's f
    over the test rows; `delta_absolute`: instead, in the units of f.
    Raises InputError for what is not above 0.
    """

    delta: float = 0.01
    delta_absolute: float | None = None

    def __post_init__(self) -> None:
        positive("delta", self.delta)
        if self.delta_absolute is not None:
            positive("delta_absolute", self.delta_absolute)
