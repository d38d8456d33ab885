"""What a user did wrong, in one line that names the thing and says what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: a file, column, option or name. The command line prints it as one line and exits with 2."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in `known`, with the nearest ones offered."""
    known = list(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    near = [folded[match] for match in difflib.get_close_matches(str(name).casefold(), folded, n=3, cutoff=0.5)]
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
