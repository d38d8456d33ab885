"""How a number is written in sentences, tables and figures."""

from collections.abc import Sequence

import numpy as np

MINUS = "\N{MINUS SIGN}"
UNMEASURED = "not measured"
BASELESS = 3  # times the loss before: what is more is no per cent of anything


def percent(value: float) -> str:
    """A part of one as per cent: '0 %' only for what is nothing (below 1e-6), '–' for what does not exist.

    An infinite part is 'new': there was nothing before.
    """
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "new"
    if abs(value) < 1e-6:
        return "0 %"
    if abs(value) < 0.001:
        return "<0.1 %"
    digits = 1 if abs(value) < 0.0995 else 0
    return f"{100 * value:,.{digits}f} %".replace("-", MINUS)


def precise_percent(value: float) -> str:
    """A part of one as per cent with one decimal, '–' for what does not exist."""
    return "–" if np.isnan(value) else f"{100 * value:.1f} %"


def signed_percent(value: float) -> str:
    """A relative change as per cent, with its sign."""
    if np.isnan(value):
        return "–"
    digits = 1 if abs(value) < 0.0995 else 0
    text = f"{100 * value:+,.{digits}f} %"
    return "0 %" if float(text[:-2].replace(",", "")) == 0 else text.replace("-", MINUS)


def cost(relative: float) -> str:
    """A change of the test loss as per cent of the loss before; beyond `BASELESS` times it no more than that.

    A network whose loss was next to nothing loses tens of thousands of per cent by a loss that is small: `in_loss`.
    """
    if not abs(relative) > BASELESS:
        return signed_percent(relative)
    return f"> +{100 * BASELESS} %" if relative > 0 else f"< {MINUS}{100 * BASELESS} %"


def in_loss(change: float) -> str:
    """A change of the loss in its own units."""
    return f"{change:+.2g} in loss".replace("-", MINUS)


def seconds(value: float) -> str:
    """Seconds with about two significant digits; '<0.001' below a millisecond."""
    if np.isnan(value):
        return "–"
    if value < 0.001:
        return "<0.001"
    return f"{value:.{3 if value < 0.1 else 2 if value < 1 else 1 if value < 10 else 0}f}"


def number(value: float) -> str:
    """A quantity in its own units, two significant digits."""
    if np.isnan(value):
        return "–"
    return "0" if abs(value) < 1e-9 else f"{value:.2g}".replace("-", MINUS)


def rounded(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and a real minus sign; '–' where there is none."""
    return "–" if np.isnan(value) else f"{value:.{digits}g}".replace("-", MINUS)


def precise(value: float) -> str:
    """A number with three significant digits, zeros among them: '3.80' beside '3.74'; '–' where there is none."""
    return "–" if np.isnan(value) else f"{value:#.3g}".rstrip(".").replace("-", MINUS)


def score(value: float) -> str:
    """R², AUC and the like, two decimals; '–' where there is none."""
    return "–" if np.isnan(value) else f"{value:z.2f}".replace("-", MINUS)


def measured(text: str) -> str:
    """The text of a number that should be there: 'not measured' in the place of '–'."""
    return UNMEASURED if text == "–" else text


def unbroken(text: str) -> str:
    """The text with its per cent signs kept on the line of their numbers."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def listed(names: Sequence[str], word: str, most: int = 4) -> str:
    """'a, b and c'; beyond `most` names 'a, b, c and 4 more'."""
    names = list(names)
    if len(names) > most:
        return f"{', '.join(names[:most - 1])} and {len(names) - most + 1} more"
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)
