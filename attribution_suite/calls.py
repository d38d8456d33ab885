"""A library call with the wrong words fails as a command with the wrong options does: in one line, by InputError."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import ParamSpec, TypeVar

from attribution_suite.errors import InputError, unknown_name

P = ParamSpec("P")
R = TypeVar("R")


def in_own_words(call: Callable[P, R]) -> Callable[P, R]:
    """Raises InputError, naming the argument, where Python would say TypeError for the call's words."""
    takes = signature(call)
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in takes.parameters.values())

    @wraps(call)
    def checked(*arguments: P.args, **words: P.kwargs) -> R:
        for word in words:
            if word not in takes.parameters and not takes_any:
                raise unknown_name(f"option of {call.__name__}", word, takes.parameters)
        try:
            takes.bind(*arguments, **words)
        except TypeError as error:
            raise InputError(f"{call.__name__}: {error}; it is called as {call.__name__}{_brief(call)}") from error
        return call(*arguments, **words)

    return checked


def _brief(call: Callable[..., object]) -> str:
    """The arguments that must be given."""
    names = [name for name, parameter in signature(call).parameters.items() if parameter.kind in
             (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return f"({', '.join(names)}, …)"
