"""Which figures a data set's section has, by chapter. A later chapter adds its figures here and a partial template."""

from collections.abc import Callable, Mapping, Sequence

from attribution_suite.reporting.figures import (
    animation,
    data,
    history,
    masking,
    matrix,
    paths,
    removals,
    scorers,
    units,
)
from attribution_suite.reporting.figures.style import LeftOut, Picture
from attribution_suite.reporting.reading import Subject

Found = Picture | LeftOut | None
Draw = Callable[[Subject], Found | Sequence[Found]]

# Chapter → its figures in order; 'NAME' is shown by templates/chapters/NAME.html.
CHAPTERS: Mapping[str, tuple[Draw, ...]] = {
    "matrix": (matrix.matrix,),
    "redistribution": (removals.redistribution,),
    "cost": (removals.cost,),
    "scorers": (scorers.shares, scorers.agreement, scorers.xgboost),
    "neurons": (units.units, masking.masking, paths.paths, history.history, animation.moving),
    "data": (data.training, data.fits, data.components),
}


def draw(subject: Subject) -> dict[str, list[Picture | LeftOut]]:
    """Chapter → drawn figures, and those left out with the reason; figures that do not concern it are absent."""
    return {chapter: [found for draws in figures for found in _listed(draws(subject)) if found is not None]
            for chapter, figures in CHAPTERS.items()}


def _listed(found: Found | Sequence[Found]) -> Sequence[Found]:
    return [found] if found is None or isinstance(found, Picture | LeftOut) else found
