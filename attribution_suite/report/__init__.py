"""From the tables of a run to a summary for the terminal, figures and one self-contained HTML file."""

from attribution_suite.audit import report
from attribution_suite.callable_package import make_callable

__all__ = ["report"]

make_callable(__name__)
