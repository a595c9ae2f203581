"""Settings that another setting, or the model, leaves without effect."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from fmtt.flow.protocols import Flow
from fmtt.methods.method import Method
from fmtt.step.dynamics import EXACT_LAPLACIAN


def warn_of_idle(config: DictConfig, flow: Flow, typed: Sequence[str], method: Method, has_gradient: bool) -> None:
    """Say on stderr which of the settings that were typed have no effect, but for those that ``method`` never uses."""
    absent = frozenset() if has_gradient else method.unused_without_gradient
    reasons = idle(config, flow) | dict.fromkeys(sorted(absent), "the reward is not differentiable")
    for name, reason in reasons.items():
        if name in typed and name not in method.unused:
            print(f"fmtt: warning: {name} has no effect: {reason}", file=sys.stderr)


def idle(config: DictConfig, flow: Flow) -> dict[str, str]:
    """The settings without effect by their names, and why they have none."""
    few = math.prod(flow.shape) <= EXACT_LAPLACIAN
    reasons = {
        "budget.min_particles": (config.budget.nfe is None, "there is no budget.nfe"),
        "budget.decode_cost": (flow.decode is None, "this model has no decoder"),
        "budget.decode_backward_cost": (flow.decode is None, "this model has no decoder"),
        "mode.ess_threshold": (config.mode.get("resample_at") is not None, "mode.resample_at is given"),
        "sampler.probes": (few, f"samples of at most {EXACT_LAPLACIAN} numbers have exact Laplacians"),
    }
    return {name: reason for name, (without_effect, reason) in reasons.items() if without_effect}
