"""One row of a run as a page of its own."""

import base64
import io
from pathlib import Path

from matplotlib.figure import Figure

from attribution_suite.auditing.explain import Explanation
from attribution_suite.errors import InputError
from attribution_suite.files import write_atomically
from attribution_suite.reporting.reading import slug_of
from attribution_suite.reporting.views.explanation import EXPLANATION
from attribution_suite.reporting.views.view import environment


def write_row(explanation: Explanation, run: Path) -> Path:
    """Writes `rows/NAME-ROW.html` into the run's folder, with every kind of figure that the row has; its path."""
    pictures = []
    for kind in ("path", "waterfall", "scorers", "bars"):
        try:
            pictures.append((kind, _png(explanation.plot(kind))))
        except InputError as error:
            pictures.append((kind, f"left out: {error}"))
    page = environment().get_template("row.html").render(
        title=f"Row {explanation.row} of {explanation.dataset}", pictures=pictures,
        result=EXPLANATION.html(explanation, kinds=False))
    folder = run / "rows"
    folder.mkdir(exist_ok=True)
    path = folder / f"{slug_of(explanation.dataset)}-{explanation.row}.html"
    write_atomically(path, page.encode())
    return path


def _png(figure: Figure) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
