"""What a result is in a notebook: HTML, a tidy table, a figure. What draws them is loaded when it is asked for."""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Presented(ABC):
    """A result that a notebook shows. `view`: where its `reporting.views.view.View` lies, as 'module:name'."""

    view: ClassVar[str]

    @abstractmethod
    def to_frame(self) -> "pd.DataFrame":
        """The result as one tidy table."""

    def plot(self, kind: str | None = None, *, ax: "Axes | None" = None, **options: Any) -> "Figure":
        """Draws the result as a `kind` (the first that it has, if not given), and returns the figure; shows nothing.

        `ax`: the axes to draw into; without it the figure is new, and not one of pyplot's. `options` are the kind's.
        Raises InputError for a kind or an option that there is not, naming those that there are, and for what the
        result does not hold.
        """
        figure: Figure = self._view().plot(self, kind, ax, options)
        return figure

    def _repr_html_(self) -> str:
        """What a notebook shows: a sentence and a short table."""
        html: str = self._view().html(self)
        return html

    def _view(self) -> Any:
        module, _, name = self.view.partition(":")
        return getattr(import_module(module), name)
