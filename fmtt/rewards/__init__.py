"""Rewards: ``reward(x)`` maps clean samples ``(B, *D)`` to ``(B,)``; the tilt is ``exp(scale * r)``.

Every configured reward is a frozen dataclass with a field ``scale``. In the library a plain function is enough.
"""

from fmtt.rewards.classifier import Digit
from fmtt.rewards.clock import Clock
from fmtt.rewards.combination import WeightedSum
from fmtt.rewards.geometry import Antisymmetry, Keep, Mask, Rotation, Symmetry
from fmtt.rewards.plane import HalfPlane, Linear, Quadratic, WavyRing
from fmtt.rewards.questions import Questions
from fmtt.rewards.scene_edits import KeepScene

__all__ = [
    "Antisymmetry", "Clock", "Digit", "HalfPlane", "Keep", "KeepScene", "Linear", "Mask", "Quadratic", "Questions",
    "Rotation", "Symmetry", "WavyRing", "WeightedSum",
]  # fmt: skip
