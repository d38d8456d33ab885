"""What one call of a scorer has made and the next can use: the last few results of a kind, by what made them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")

KEPT = 16  # results of a kind: two scorers that share fits ask one after the other for all seeds
LARGEST = 32 << 20  # bytes of a result that is kept: 16 of them are half a gigabyte
_kept: dict[str, OrderedDict[str, Any]] = {}


def made_once(kind: str, sources: Sequence[Tensor], options: tuple[object, ...], make: Callable[[], T],
              size: Callable[[T], int] = lambda _: 0) -> T:
    """What `make` returned when it was last called for the same numbers and options, if that is kept; else anew.

    `size`: the bytes of a result; what is larger than `LARGEST` is not kept.
    """
    digest = blake2b(repr(options).encode())
    for source in sources:
        digest.update(repr(source.shape).encode() + source.numpy(force=True).tobytes())
    made_of, kept = digest.hexdigest(), _kept.setdefault(kind, OrderedDict())
    if made_of in kept:
        kept.move_to_end(made_of)
        result: T = kept[made_of]
        return result
    result = make()
    if size(result) <= LARGEST:
        kept[made_of] = result
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return result


def forget() -> None:
    """Nothing is kept any more."""
    _kept.clear()
