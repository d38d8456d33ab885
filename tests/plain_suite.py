"""`attribution-suite` as it is, but one empty picture a data set: drawing takes most of a small audit."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

SVG = '<svg width="9" height="9"></svg>'


@contextmanager
def plain_figures() -> Iterator[None]:
    """Pages of this process have no figures, for tests of everything but these."""
    from attribution_suite.reporting import figures
    from attribution_suite.reporting.figures.style import Picture

    def draw(subject: Any) -> dict[str, list[Picture]]:
        chapters: dict[str, list[Picture]] = {name: [] for name in figures.CHAPTERS}
        return {**chapters, "matrix": [Picture(f"{subject.slug}-matrix", "m", "m", "m", b"png", SVG)]}

    with patch.object(figures, "draw", draw):
        yield


if __name__ == "__main__":
    from attribution_suite.cli import main

    with plain_figures():
        status = main()
    sys.exit(status)
