"""Whether an edit of a scene is made, and keeps what it was not asked to change."""

from __future__ import annotations

import torch
from torch import Tensor

from fmtt.data.questions import answered, understood_question
from fmtt.data.scene_facts import Things
from fmtt.data.scene_reader import read

NEAR = 3.0  # pixels that an object may move and still count as kept


def judged(picture: Tensor, question: str, edits: Tensor) -> dict[str, Tensor]:
    """What the exact judge says of ``edits (B, 3, H, W)`` of a picture; ``(B,)`` each, 0 or 1.

    ``made``: the answer to the question is yes. ``kept``: all other objects are in their places. ``edited``: both. A
    broken picture is neither.
    """
    asked, before, after = understood_question(question), read(picture[None]), read(edits)
    made = answered(asked, after.things) & ~after.broken
    rest = kept(before.things, after.things, asked.groups[0].shape) & ~after.broken
    return {"made": made.double(), "kept": rest.double(), "edited": (made & rest).double()}


def kept(before: Things, after: Things, free: int) -> Tensor:
    """Which of the scenes ``after`` (B of them) have all objects of ``before`` (one scene) in their places, ``(B,)``.

    Objects of the shape ``free`` may change and move, but as many as before must be there.
    """
    rest = (before.shape >= 0) & (before.shape != free)  # (1, S)
    same = (before.shape[:, :, None] == after.shape[:, None]) & (before.colour[:, :, None] == after.colour[:, None])
    away = torch.hypot(before.x[:, :, None] - after.x[:, None], before.y[:, :, None] - after.y[:, None])
    there = (same & (away < NEAR)).any(2) | ~rest
    as_many = (after.count == before.count) & ((after.shape == free).sum(1) == (before.shape == free).sum(1))
    return there.all(1) & as_many
