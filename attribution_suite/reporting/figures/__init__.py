"""Which figures a data set's section has, by chapter. A later chapter adds its figures here and a partial template."""

from collections.abc import Callable, Mapping, Sequence

from attribution_suite.reporting.figures import (
    animation,
    clusters,
    components,
    confusion,
    cost,
    data,
    dependence,
    history,
    layers,
    masking,
    matrix,
    paths,
    redistribution,
    rows,
    scorers,
    signs,
    single_weights,
    units,
)
from attribution_suite.reporting.figures.style import LeftOut, Picture
from attribution_suite.reporting.reading import Subject

Drawn = Picture | LeftOut | None
Draw = Callable[[Subject], Drawn | Sequence[Drawn]]

# Chapter → its figures in order; 'NAME' is shown by templates/chapters/NAME.html.
CHAPTERS: Mapping[str, tuple[Draw, ...]] = {
    "matrix": (matrix.matrix, dependence.dependence),
    "redistribution": (redistribution.redistribution,),
    "cost": (cost.cost, confusion.confusion),
    "scorers": (scorers.shares, signs.signed, rows.rows, signs.conductance, scorers.agreement, scorers.xgboost),
    "neurons": (layers.layers, units.units, masking.masking, paths.paths, history.history,
                single_weights.single_weights, animation.moving),
    "data": (data.training, clusters.clusters, data.fits, components.components),
}


def draw(subject: Subject) -> dict[str, list[Picture | LeftOut]]:
    """Chapter → drawn figures, and those left out with the reason; figures that do not concern it are absent."""
    return {chapter: [drawn for draws in figures for drawn in _listed(draws(subject)) if drawn is not None]
            for chapter, figures in CHAPTERS.items()}


def _listed(drawn: Drawn | Sequence[Drawn]) -> Sequence[Drawn]:
    return [drawn] if drawn is None or isinstance(drawn, Picture | LeftOut) else drawn
