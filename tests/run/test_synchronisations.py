"""A step makes the program wait for its device once, or twice where groups decide whether they resample.

The numbers of a step leave the device in one more transfer. On a CPU nothing waits, so the operations are counted that
would: a scalar or a list that Python reads, and results whose size only the device knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import fmtt
from fmtt.methods.loop import totals
from fmtt.run.metrics import groups_of_prompts, history_row
from tests.support import GAUSSIAN, REWARDS

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_consecutive")
DECIDES = ("importance", "fk_steering", "tds", "das")  # by the effective sample size
SWEEPS = ("noise_smc",)  # checks rewards of the start and of the moves, and decides
STEPS = 12


class Waits(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITING:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """What is waited for meanwhile."""
    with monkeypatch.context() as patch, Waits() as waits:
        for name in ("tolist", "numpy", "cpu"):
            plain = getattr(Tensor, name)

            def seen(value: Tensor, *given: Any, name: str = name, plain: Any = plain) -> Any:
                waits.found[name] += 1
                return plain(value, *given)

            patch.setattr(Tensor, name, seen)
        yield waits.found


def run_of(mode: str) -> fmtt.Run:
    return fmtt.assemble(
        GAUSSIAN, REWARDS["linear"], mode=getattr(fmtt.modes, mode), steps=STEPS, groups=3, particles=8,
        look_ahead=lambda flow: fmtt.FlowMapJumps(flow, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    "mode",
    ["importance", "search", "best_of_n", "fk_steering", "tds", "das", "beam", "noise_opt", "noise_smc", "fmrg",
     "diamond", "svdd", "guidance", "multi_best_of_n", "tilted_ode", "reweight", "base"],
)  # fmt: skip
def test_a_step_waits_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    states = run_of(mode).loop.run(None)
    for _ in range(3):
        next(states)
    most = 3 if mode in SWEEPS else 2 if mode in DECIDES else 1
    while True:
        with counted(monkeypatch) as found:
            if next(states, None) is None:
                return
        assert sum(found.values()) <= most, found


def test_a_row_of_the_history_is_one_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("importance")
    groups, so_far = groups_of_prompts(run), None
    for last in run.loop.run(None):
        so_far = totals(last[1], so_far)
    with counted(monkeypatch) as found:
        row = history_row(run, groups, *last, so_far)
    assert found == {"tolist": 1}
    assert row["step"] == STEPS and len(row) > 10
