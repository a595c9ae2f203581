"""Synthetic folders of many runs: ``python -m tests.many_runs 2000 FOLDER``; then ``scripts/compare.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.run_folder import make_run

MODES, STEPS = ("search", "importance", "best_of_n", "das"), (8, 16, 32, 64, 128)


def make_runs(count: int, folder: Path) -> None:
    """``count`` run folders below ``folder``, of four modes and five numbers of steps, each with its own seed."""
    for k in range(count):
        words = (f"mode={MODES[k % 4]}", f"sampler.steps={STEPS[k // 4 % 5]}", f"seed={k}")
        make_run(folder / str(k), overrides=words, steps=32, shift=k % 4 / 10, reward=-0.25 - k % 7 / 50)


if __name__ == "__main__":
    make_runs(int(sys.argv[1]), Path(sys.argv[2]))
