"""The better side of each metric, and the worst side of each curve."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch

GOALS = (  # the first pattern that matches decides
    ("*/base_mean*", None),  # the same for every method
    ("exact/*", None),
    ("*/floor", None),
    ("*stderr", "minimize"),
    ("reward/*", "maximize"),
    ("held_out*", "maximize"),
    ("ess/*", "maximize"),
    ("ancestors/*", "maximize"),
    ("recognised/tilted", "maximize"),
    ("discrepancy", "minimize"),
    ("thermodynamic_length", "minimize"),
    ("transport_gap", "minimize"),
    ("overshoot", "minimize"),
    ("kid", "minimize"),
    ("mmd", "minimize"),
    ("sliced_w2", "minimize"),
    ("nfe/*", "minimize"),
    ("time/*", "minimize"),
    ("memory/*", "minimize"),
)
WORST = {"ess": "min", "temperature": "min", "discrepancy/step": "max"}  # one bad step spoils the weights


def goals(names: Iterable[str]) -> dict[str, str]:
    """``maximize`` or ``minimize`` for each metric that has a better side; log Z, for example, has none."""
    known = {name: next((goal for pattern, goal in GOALS if fnmatch(name, pattern)), None) for name in names}
    return {name: goal for name, goal in known.items() if goal is not None}
