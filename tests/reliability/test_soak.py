"""A long run does not fill the memory: ``make soak`` takes 10,000 steps, ``make test`` 1,500."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import psutil
import pytest
from torch import Tensor

from fmtt.methods.trajectory import Trajectory
from tests.command import Outcome

STEPS = int(os.environ.get("FMTT_TRIES", "1500"))
WARM = 500  # steps until caches are full
PARTICLES = 4096  # of each of two groups: their positions have 64 KiB
BOUND = 4096 * (STEPS - WARM) + 2**22  # bytes that may stay: a row of the history for each step, and some


def held() -> tuple[int, int]:
    """Bytes of this process, and of the tensors in it: those that stay may lie in memory that was free before."""
    gc.collect()
    tensors = [one for one in gc.get_objects() if type(one) is Tensor]
    return psutil.Process().memory_info().rss, sum(one.numel() * one.element_size() for one in tensors)


def growth(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, kept: list[object] | None = None) -> int:
    """The bytes by which either grows from step ``WARM`` to the end; states stay in ``kept``, if it is given."""
    sizes: list[tuple[int, int]] = []
    step = Trajectory.step

    def measured(loop: Trajectory, state: object) -> object:
        if state.step in (WARM, STEPS - 1):
            sizes.append(held())
        if kept is not None:
            kept.append(state.population.x)
        return step(loop, state)

    monkeypatch.setattr(Trajectory, "step", measured)
    words = (f"sampler.steps={STEPS}", "lookahead=denoiser", "mode.ess_threshold=0.5", "checkpoint.seconds=1")
    done = fmtt(*words, "baseline=false", f"population.particles={PARTICLES}")
    assert done.status == 0, done.err
    return max(after - before for before, after in zip(*sizes, strict=True))


def test_memory_is_flat(fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    grown = growth(fmtt, monkeypatch)
    assert grown < BOUND, f"{grown / 2**20:.1f} MiB in {STEPS - WARM} steps"


def test_a_tensor_that_stays_at_each_step_is_seen(
    fmtt: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert growth(fmtt, monkeypatch, kept=[]) > BOUND
