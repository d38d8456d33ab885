"""Which figures a data set's section has, by chapter. A later chapter adds its figures here and a partial template."""

from collections.abc import Callable, Mapping, Sequence

from attribution_suite.report import figures_data, figures_matrix, figures_neurons, figures_removals, figures_scorers
from attribution_suite.report.figures_style import LeftOut, Picture
from attribution_suite.report.reading import Subject

Found = Picture | LeftOut | None
Draw = Callable[[Subject], Found | Sequence[Found]]

# Chapter → its figures in order; 'NAME' is shown by templates/chapters/NAME.html.
CHAPTERS: Mapping[str, tuple[Draw, ...]] = {
    "matrix": (figures_matrix.matrix,),
    "redistribution": (figures_removals.redistribution,),
    "cost": (figures_removals.cost,),
    "scorers": (figures_scorers.shares, figures_scorers.agreement, figures_scorers.xgboost),
    "neurons": (figures_neurons.units, figures_neurons.masking, figures_neurons.paths, figures_neurons.history),
    "data": (figures_data.training, figures_data.fits, figures_data.components),
}


def draw(subject: Subject) -> dict[str, list[Picture | LeftOut]]:
    """Chapter → drawn figures, and those left out with the reason; figures that do not concern it are absent."""
    return {chapter: [found for draws in figures for found in _listed(draws(subject)) if found is not None]
            for chapter, figures in CHAPTERS.items()}


def _listed(found: Found | Sequence[Found]) -> Sequence[Found]:
    return [found] if found is None or isinstance(found, Picture | LeftOut) else found
