"""A package that is also the function of its name."""

import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """Calls the function inside that has the package's name.

    `attribution_suite.audit` is a package of modules and, for the library's user, a function. Importing any of its
    modules binds the name to the package; so that `from attribution_suite import audit` means one thing before and
    after, the package can be called.
    """

    def __call__(self, *arguments: Any, **words: Any) -> Any:
        """What the function returns."""
        return getattr(self, self.__name__.rpartition(".")[2])(*arguments, **words)


def make_callable(package: str) -> None:
    """Makes the imported package of that name callable."""
    sys.modules[package].__class__ = CallablePackage
