"""The pool: places made ahead give way to programs that run, until a job waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from rsi.execution import Limits, Shape
from sandboxes.bell import Bell
from sandboxes.docker.cell import Cell
from sandboxes.docker.pool import MAKERS, Pool


class Maker:
    """Makes cells that count their destruction; those of a slow shape only once they are needed or all may end."""

    def __init__(self) -> None:
        self.begun: list[threading.Event] = []
        self.all_may_end = threading.Event()
        self.changed = threading.Condition()
        self.living = 0

    def make(self, shape: Shape, bell: Bell, needed: threading.Event) -> Cell:
        with self.changed:
            self.begun.append(needed)
            self.living += 1
            self.changed.notify_all()
        while not (needed.wait(0.01) or self.all_may_end.is_set()):
            pass
        return cast("Cell", self)

    def destroy(self) -> bool:
        with self.changed:
            self.living -= 1
        return True

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.begun) >= count, 10)


@pytest.fixture
def maker() -> Iterator[Maker]:
    maker = Maker()
    yield maker
    assert maker.living == 0


def shape(processes: int) -> Shape:
    return Shape(limits=Limits(processes=processes))


def closed(pool: Pool, maker: Maker, taken: list[Any]) -> None:
    maker.all_may_end.set()
    for cell in taken:
        pool.bury(cell)
    pool.close()


def test_a_place_learns_that_a_job_waits_for_it(maker: Maker) -> None:
    pool, bell, taken = Pool(maker.make, size=2), Bell(), list[Any]()
    try:
        pool.warm([shape(1)])
        maker.wait_for(1)
        assert not maker.begun[0].is_set()
        taken.append(pool.take(shape(1), bell))
        assert maker.begun[0].is_set()
        maker.wait_for(2)  # the next one of its shape
        assert not maker.begun[1].is_set()
    finally:
        closed(pool, maker, taken)
        bell.close()


def test_a_job_does_not_wait_behind_places_that_nobody_needs(maker: Maker) -> None:
    pool, bell = Pool(maker.make, size=MAKERS + 1), Bell()
    try:
        pool.warm([*(shape(number) for number in range(1, MAKERS + 1)), shape(99)])
        maker.wait_for(MAKERS)
        assert pool.take(shape(99), bell) is None
        assert pool.take(shape(98), bell) is None
    finally:
        closed(pool, maker, [])
        bell.close()
