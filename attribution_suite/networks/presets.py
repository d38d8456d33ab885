"""The network and training of each data set: a sound default, and the published one.

Published: Captum's Boston tutorial; the Iris and heart notebooks; the Prudential paper (METHODS.md names them all).
"""

from dataclasses import dataclass

from attribution_suite.errors import unknown_name
from attribution_suite.networks.architecture import Activation
from attribution_suite.networks.budget import Training


@dataclass(frozen=True)
class Preset:
    """Hidden widths, activation and the training budget of an original; `tuning_epochs` is a full warm start's."""

    hidden: tuple[int, ...]
    training: Training
    activation: Activation = "relu"
    tuning_epochs: int = 30


# For a table of one's own.
GENERIC = Preset((64, 32), Training(100, 32, 1e-3, patience=10))

PRESETS: dict[str, dict[str, Preset]] = {
    "default": {
        "boston": Preset((64, 32), Training(200, 32, 2e-3, patience=20), tuning_epochs=60),
        "iris": Preset((12,), Training(150, 16, 1e-2, patience=20), tuning_epochs=60),
        "heart": Preset((32, 16), Training(100, 32, 2e-3, patience=10), tuning_epochs=40),
        "prudential": Preset((32, 16), Training(30, 64, 1e-3, patience=2)),
        "synthetic": Preset((16,), Training(60, 32, 5e-3, patience=10)),
        "weight_history": Preset((4,), Training(500, 32, 1e-2), "linear"),
    },
    "published": {
        "boston": Preset((100, 50, 10), Training(200, 10, 1e-4, "rmsprop", keep="last")),
        "iris": Preset((12,), Training(125, 135, 0.15, keep="last")),
        "heart": Preset((512, 1024), Training(100, 8, 1e-3, keep="last"), "tanh"),
        "prudential": Preset((32, 16), Training(30, 64, 1e-3, patience=2)),
        "synthetic": Preset((), Training(60, 32, 5e-3, patience=10)),
        "weight_history": Preset((4,), Training(500, 32, 1e-2, keep="last"), "linear"),
    },
}


def preset_for(dataset: str, preset: str) -> Preset:
    """The network of a data set of the catalogue; GENERIC for any other table."""
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    return PRESETS[preset].get(dataset, GENERIC)
