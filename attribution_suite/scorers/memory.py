"""What one call of a scorer has made and the next can use: the last few results of a kind, by what made them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

T = TypeVar("T")

KEPT = 64  # results of a kind: two scorers that share fits ask one after the other for all seeds and phantoms
LARGEST, TOGETHER = 48 << 20, 256 << 20  # bytes of a result that is kept, and of all of a kind
SURROGATES = "surrogates"  # the kind of what is fitted to networks, which go with their chunk
_kept: dict[str, OrderedDict[str, tuple[Any, int]]] = {}


def made_once(kind: str, sources: Sequence[Tensor], options: tuple[object, ...], make: Callable[[], T],
              size: Callable[[T], int] = lambda _: 0) -> T:
    """What `make` returned when it was last called for the same numbers and options, if that is kept; else anew.

    `size`: the bytes of a result; what is larger than `LARGEST` is not kept, and what was asked for longest ago goes.
    """
    digest = sha256(repr(options).encode())  # processors have instructions for it: twice as fast as blake2b
    for source in sources:
        digest.update(repr(source.shape).encode())
        digest.update(np.ascontiguousarray(source.numpy(force=True)).data)
    made_of, kept = digest.hexdigest(), _kept.setdefault(kind, OrderedDict())
    if made_of in kept:
        kept.move_to_end(made_of)
        result: T = kept[made_of][0]
        return result
    result = make()
    if size(result) <= LARGEST:
        kept[made_of] = result, size(result)
    while len(kept) > KEPT or sum(held for _, held in kept.values()) > TOGETHER:
        kept.popitem(last=False)
    return result


def forget(kind: str | None = None) -> None:
    """Nothing of this kind, or of any, is kept any more."""
    if kind is None:
        _kept.clear()
    else:
        _kept.pop(kind, None)
