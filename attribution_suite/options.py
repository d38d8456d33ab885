"""What a caller gives, validated in one way: an InputError names the option and what it takes, in the caller's words.

A scorer or removal checks its values in `__post_init__`, so that a bad one is refused where it is given, not deep
inside.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from numbers import Integral, Real
from typing import Any, NoReturn

from attribution_suite.errors import InputError, unknown_name
from attribution_suite.registry import Registry, bare, options_in


def checked_options(family: Registry, name: object, options: Mapping[str, Any]) -> None:
    """The gate for a name and its options, those in the name (`NAME?option=value`) and those beside it.

    Raises InputError for a name that the family does not have, for an option that its class does not take, for one
    that is given twice or missing, and for a value that the class refuses.
    """
    if not isinstance(name, str):
        raise InputError(f"a {family.kind} is named by a string such as '{family.names[0]}', got {name!r}")
    kind, written = family.load(name), options_in(name)
    taken = [field for field in fields(kind) if field.init] if is_dataclass(kind) else []
    known = [field.name for field in taken]
    for option in (*written, *options):
        if not known:
            raise InputError(f"unknown option of {bare(name)} '{option}': it takes none")
        if option not in known:
            raise unknown_name(f"option of {bare(name)}", option, known)
        if option in written and option in options:
            raise InputError(f"option '{option}' of {bare(name)} is given twice: in its name and beside it")
    for field in taken:
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in {**written, **options}:
            raise InputError(f"{bare(name)} needs option '{field.name}', as in {bare(name)}?{field.name}=1")
    if written or options:
        kind(**written, **options)  # the values are the class's own to check


def check_whole(method: object, least: int, *options: str) -> None:
    """Raises InputError for an option of `method` that is no whole number of at least `least`."""
    for option in options:
        whole_number(option, getattr(method, option), least, _of(method))


def check_positive(method: object, *options: str) -> None:
    """Raises InputError for an option of `method` that is no finite number above 0."""
    for option in options:
        positive(option, getattr(method, option), _of(method))


def check_one_of(method: object, option: str, known: Sequence[str]) -> None:
    """Raises InputError for an option of `method` that is none of the words `known`."""
    value = getattr(method, option)
    if value not in known:
        _refuse(option, value, f"one of {', '.join(known)}", _of(method))


def check_number_or_word(method: object, option: str, word: str) -> None:
    """Raises InputError for an option of `method` that is neither a finite number of at least 0 nor the word."""
    value = getattr(method, option)
    number = isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf
    if not number and value != word:
        _refuse(option, value, f"a finite number of at least 0, or {word}", _of(method))


def check_flags(method: object, *options: str) -> None:
    """Raises InputError for an option of `method` that is neither True nor False."""
    for option in options:
        value = getattr(method, option)
        if not isinstance(value, bool):
            _refuse(option, value, "True or False", _of(method))


def whole_number(option: str, value: object, least: int, of: str = "") -> int:
    """The value. Raises InputError unless it is a whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        _refuse(option, value, f"a whole number of at least {least}", of)
    return int(value)


def positive(option: str, value: object, of: str = "") -> float:
    """The value. Raises InputError unless it is a finite number above 0."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < math.inf:
        _refuse(option, value, "a finite number above 0", of)
    return float(value)


def word(option: str, value: object, known: Sequence[str]) -> str:
    """The value. Raises InputError unless it is one of the words that are known."""
    if not isinstance(value, str) or value not in known:
        raise unknown_name(option, value, known)
    return value


def names(option: str, values: object) -> tuple[str, ...]:
    """A list of names, each once. Raises InputError for anything else."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(f"option '{option}' is a list of names, got {values!r}")
    for value in values:
        if not isinstance(value, str):
            raise InputError(f"option '{option}' is a list of names, and {value!r} is none")
    return tuple(dict.fromkeys(values))


def one_or_more(option: str, values: object) -> tuple[str, ...]:
    """One name, which is not split, or a list of names, each once. Raises InputError for anything else."""
    return (values,) if isinstance(values, str) else names(option, values)


def name_sets(option: str, values: object) -> tuple[str | tuple[str, ...], ...]:
    """A list of names, and of lists of names that go together. Raises InputError for anything else."""
    if not isinstance(values, list | tuple):
        raise InputError(f"option '{option}' is a list of names, got {values!r}")
    together = [value for value in values if isinstance(value, list | tuple)]
    names(option, [value for value in values if value not in together])
    if not all(together):
        raise InputError(f"option '{option}': a list of names that go together is empty")
    return tuple(names(option, value) if isinstance(value, list | tuple) else value for value in values)


def seed_numbers(seeds: object) -> list[int]:
    """`seeds` networks 0, 1, …, or the seeds of a list. Raises InputError for anything else, and for none at all."""
    if isinstance(seeds, range | list | tuple) and seeds:
        return [whole_number("seeds", seed, 0) for seed in seeds]
    return list(range(whole_number("seeds", seeds, 1)))


def _of(method: object) -> str:
    return f" of {getattr(method, 'name', type(method).__name__)}"


def _refuse(option: str, value: object, allowed: str, of: str) -> NoReturn:
    raise InputError(f"option '{option}'{of} must be {allowed}, got {value!r}")
