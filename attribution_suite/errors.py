"""What a user did wrong, in one line that names the thing and says what to do."""

import difflib
import re
from collections.abc import Iterable

LONG_VALUE, LONG_MESSAGE = 200, 1500  # characters
OUT_OF_MEMORY = ("out of memory; what is finished is kept: give this process more, or ask for less by fewer --jobs, "
                 "--rows, --background or --lime-samples")
_SIGNS = ("can't allocate memory", "bad_alloc", "out of memory", "can't start new thread")  # in a RuntimeError


class InputError(ValueError):
    """Bad input: a file, column, option or name. The command line prints it as one line and exits with 2.

    A value in it that has more than 200 characters is cut, and a message of more than 1,500.
    """

    def __init__(self, message: str) -> None:
        super().__init__(cut(message))


def cut(message: str) -> str:
    """A message without the middle of what is too long in it: a cell may hold a whole text."""
    message = re.sub(rf"\S{{{LONG_VALUE + 1},}}", lambda found: f"{found[0][:40]}…{found[0][-20:]}", message)
    return message if len(message) <= LONG_MESSAGE else f"{message[:LONG_MESSAGE - 400]} … {message[-390:]}"


def out_of_memory(error: BaseException) -> bool:
    """True where the system refused memory, or a thread for want of it, however a library words that."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(
        sign in str(error) for sign in _SIGNS))


def in_one_line(error: BaseException) -> str:
    """An error of any library: its kind and the first line of its message; what to do where memory was short."""
    if out_of_memory(error):
        return f"{type(error).__name__}: {OUT_OF_MEMORY}"
    return cut(f"{type(error).__name__}: {error}".splitlines()[0])


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in `known`, with the nearest ones offered."""
    known = list(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    near = [folded[match] for match in difflib.get_close_matches(str(name).casefold(), folded, n=3, cutoff=0.5)]
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
