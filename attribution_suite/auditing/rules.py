"""What is fixed before a run starts about how its results are judged."""

from dataclasses import dataclass

from attribution_suite.errors import InputError
from attribution_suite.options import positive, word

INFORMATION = ("off", "quick", "full")


@dataclass(frozen=True)
class Rules:
    """The rules of the verdicts; run.json keeps them, and the answer is printed with them.

    `delta`: the largest move of f that counts as none, as a part of the standard deviation of each seed's original's f
    over the test rows; `delta_absolute`: instead, in the units of f.
    `information`: what is asked about what networks still tell of a removed feature: nothing ('off'); 'quick': ridge
    probes and distance correlation; 'full': boosted probes, every layer and dependence given the target too.
    `information_margin`: what counts as none: R² of a number (0.02 if not given), AUC above 0.5 of a category (0.07).
    `conditional_on`: columns given which dependence is asked as well. `favourable`: the class whose rates per group are
    told (class 1 of two, if not given).
    Raises InputError for a number that is not above 0, or not a margin; for an unknown word.
    """

    delta: float = 0.01
    delta_absolute: float | None = None
    information: str = "quick"
    information_margin: float | None = None
    conditional_on: tuple[str, ...] = ()
    favourable: str | None = None

    def __post_init__(self) -> None:
        positive("delta", self.delta)
        if self.delta_absolute is not None:
            positive("delta_absolute", self.delta_absolute)
        word("information", self.information, INFORMATION)
        if self.information_margin is not None and positive("information_margin", self.information_margin) >= 0.5:
            raise InputError("option 'information_margin' is a part of R², or AUC above 0.5: below 0.5, got "
                             f"{self.information_margin!r}")
        if self.information == "off" and self.conditional_on:
            raise InputError("option 'conditional_on' asks for information: leave out information 'off'")
