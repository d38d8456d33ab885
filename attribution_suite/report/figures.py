"""Which figures a data set's section has, by chapter. A later chapter adds its figures here and a partial template."""

from collections.abc import Callable, Mapping

from attribution_suite.report import figures_data, figures_matrix, figures_removals, figures_scorers
from attribution_suite.report.figures_style import LeftOut, Picture
from attribution_suite.report.reading import Subject

Draw = Callable[[Subject], Picture | LeftOut | None]

# Chapter → its figures in order; 'NAME' is shown by templates/chapters/NAME.html.
CHAPTERS: Mapping[str, tuple[Draw, ...]] = {
    "matrix": (figures_matrix.matrix,),
    "redistribution": (figures_removals.redistribution,),
    "cost": (figures_removals.cost,),
    "scorers": (figures_scorers.shares, figures_scorers.agreement, figures_scorers.xgboost),
    "data": (figures_data.training, figures_data.fits, figures_data.components),
}


def draw(subject: Subject) -> dict[str, list[Picture | LeftOut]]:
    """Chapter → drawn figures, and those left out with the reason; figures that do not concern it are absent."""
    return {chapter: [found for draws in figures if (found := draws(subject)) is not None]
            for chapter, figures in CHAPTERS.items()}
