"""One row of a run as a page of its own."""

from pathlib import Path

from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg

from attribution_suite.auditing.explain import Explanation
from attribution_suite.errors import InputError
from attribution_suite.files import write_atomically
from attribution_suite.reporting.figures.shades import DARK, PALETTE
from attribution_suite.reporting.figures.style import svg
from attribution_suite.reporting.figures.svg import inline
from attribution_suite.reporting.reading import slug_of
from attribution_suite.reporting.views.explanation import EXPLANATION
from attribution_suite.reporting.views.view import environment


def write_row(explanation: Explanation, run: Path) -> Path:
    """Writes `rows/NAME-ROW.html` into the run's folder, with every kind of figure that the row has; its path."""
    title = f"Row {explanation.row} of {explanation.dataset}"
    pictures = []
    for kind in ("path", "waterfall", "scorers", "bars"):
        try:
            drawing = svg(FigureCanvasAgg(explanation.plot(kind)))
            pictures.append((kind, Markup(inline(drawing, f"figure-{kind}", f"{title}: {kind}")), ""))
        except InputError as error:
            pictures.append((kind, Markup(), str(error)))
    page = environment().get_template("row.html").render(
        title=title, pictures=pictures, result=EXPLANATION.html(explanation, kinds=False), palette=PALETTE, dark=DARK)
    folder = run / "rows"
    folder.mkdir(exist_ok=True)
    path = folder / f"{slug_of(explanation.dataset)}-{explanation.row}.html"
    write_atomically(path, page.encode())
    return path
