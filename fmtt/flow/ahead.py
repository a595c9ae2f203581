"""The work of the next step, done in a thread while this step computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """``make(k)`` for ``k < count``. When k is asked for, k + 1 is begun in a thread; any other k is made at once.

    For random numbers: NumPy fills arrays without holding the interpreter, so that a network runs beside it. The values
    do not depend on the thread, since every draw is a function of its key.

    Args:
        make: makes the work of a step; it must not depend on what was made before.
        count: how many steps there are.
    """

    def __init__(self, make: Callable[[int], Made], count: int):
        self._make, self._count = make, count
        self._pool = ThreadPoolExecutor(1)
        self._begun: tuple[int, Future[Made]] | None = None

    def __call__(self, step: int) -> Made:
        begun, self._begun = self._begun, None
        made = begun[1].result() if begun is not None and begun[0] == step else self._make(step)
        if step + 1 < self._count:
            self._begun = step + 1, self._pool.submit(self._make, step + 1)
        return made
