"""What a process that has done its chunks still holds when it draws the page."""

from collections.abc import Iterator

import pytest
import torch

from attribution_suite.auditing.engine import ThisProcess, after_chunks
from attribution_suite.scorers import memory

ROWS = [torch.arange(3.0)]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    memory.forget()
    yield
    memory.forget()


def made(kind: str) -> bool:
    """Was this made anew, not kept from a call before?"""
    calls: list[int] = []
    memory.made_once(kind, ROWS, (), lambda: calls.append(1))
    return bool(calls)


def test_what_scorers_kept_goes_before_what_comes_after_the_chunks() -> None:
    """Of every kind, surrogates and their rows; without it, it would be there."""
    assert made("rows") and made(memory.SURROGATES) and not made("rows") and not made(memory.SURROGATES)
    assert after_chunks(lambda kinds: [made(kind) for kind in kinds], ["rows", memory.SURROGATES]) == [True, True]


def test_a_process_that_computed_alone_forgets_before_each_item_and_keeps_their_order() -> None:
    assert made("rows")
    assert ThisProcess().each(lambda number: (number, made("rows")), [3, 1, 2]) == [(3, True), (1, True), (2, True)]
