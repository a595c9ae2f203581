"""The reward of a scene that stays as it was, and what the exact judge says of its edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

from torch import Tensor

from fmtt.checks import finite
from fmtt.data.images import read_image, read_sample
from fmtt.data.questions import understood_question
from fmtt.data.scene_edits import judged
from fmtt.rewards.geometry import images, mean_square


@dataclass(frozen=True)
class KeepScene:
    """``r = -mean (x - picture)^2`` for scenes ``(B, 3, 32, 32)`` in [-1, 1].

    Its statistics are the verdicts of :func:`fmtt.data.scene_edits.judged`, which no reward uses.

    Attributes:
        path: of the picture that is edited.
        question: what the edit is asked for, such as "Is the circle green?".

    Raises:
        ValueError: if the file is not a picture, or the question is not understood or asks about no object.
    """

    path: str
    question: str
    scale: float = 1.0
    picture: Callable[[tuple[int, ...]], Tensor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        if not understood_question(self.question).groups:
            raise ValueError(f"reward.question={self.question}: an edit must be about an object")
        read_image("reward.path", self.path, channels=3)  # a wrong path fails here, before the run
        object.__setattr__(self, "picture", cache(partial(read_sample, "reward.path", self.path)))

    def __call__(self, x: Tensor) -> Tensor:
        return -mean_square(x - self.picture(tuple(images("keep", x).shape[1:])).to(x))

    def statistics(self, x: Tensor) -> dict[str, Tensor]:
        """Whether the change is ``made``, the rest is ``kept``, and both, ``edited``; ``(B,)`` each, 0 or 1."""
        return judged(self.picture(tuple(x.shape[1:])), self.question, x)
