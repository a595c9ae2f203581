"""A reward that fails in the second process of a run alone, when it is first called, or later."""

from __future__ import annotations

import os
from dataclasses import dataclass

from torch import Tensor

from fmtt.rewards import Quadratic


@dataclass
class Lonely:
    """``-|x|^2 / 2``; in the second process it raises, or ends the process, after ``calls`` calls."""

    calls: int = 0
    ends: bool = False
    scale: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls -= 1
        if os.environ.get("LOCAL_RANK") == "1" and self.calls < 0:
            if self.ends:
                os._exit(0)
            raise ArithmeticError("only here")
        return Quadratic()(x)
