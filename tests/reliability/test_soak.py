"""A long run does not fill the memory: ``make soak`` takes 10,000 steps, ``make test`` 1,500."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import psutil
import pytest

from fmtt.methods.trajectory import Trajectory
from tests.command import Outcome

STEPS = int(os.environ.get("FMTT_TRIES", "1500"))
WARM = 500  # steps until caches are full
EACH = 4096  # bytes of a step that may stay: its row of the history


def test_memory_is_flat(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    step = Trajectory.step

    def measured(loop: Trajectory, state: object) -> object:
        if state.step in (WARM, STEPS - 1):
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss)
        return step(loop, state)

    monkeypatch.setattr(Trajectory, "step", measured)
    words = (
        f"sampler.steps={STEPS}",
        "lookahead=denoiser",
        "mode.ess_threshold=0.5",
        "checkpoint.seconds=1",
        "baseline=false",
    )
    done = fmtt(*words, "population.particles=256")
    assert done.status == 0, done.err
    grown = sizes[1] - sizes[0]
    assert grown < EACH * (STEPS - WARM) + 2**22, f"{grown / 2**20:.1f} MiB in {STEPS - WARM} steps"
