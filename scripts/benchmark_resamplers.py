"""Our resamplers beside those of the package ``particles``: milliseconds of one resampling, on one thread.

    make bench-resamplers

Weights are the softmax of normal numbers with standard deviation 2. Both draw their own random numbers. Ours resamples
all groups at once; ``particles`` has one population, so it is called once for each group. Medians.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from functools import partial

import numpy as np
import torch

from fmtt.run.cli import script
from fmtt.smc.resampling import RESAMPLERS, uniforms
from fmtt.studies.floor import seconds
from fmtt.studies.output import markdown_table

SIZES = ((1, 16), (16, 64), (1, 1000), (64, 1000), (1, 100_000), (1, 1_000_000))  # groups, particles
SPREAD = 2.0


def peer(name: str, weights: np.ndarray) -> None:
    """What ``particles`` does for each group."""
    for row in weights:
        importlib.import_module("particles.resampling").resampling(name, row)


def ours(name: str, weights: torch.Tensor) -> None:
    """What a step of ours does, its draws included."""
    resampler = RESAMPLERS[name]
    u = torch.rand(weights.shape[0], uniforms(resampler, weights.shape[1]), dtype=torch.float64)
    resampler(weights, u, weights.shape[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=21)
    options = parser.parse_args()
    try:
        importlib.import_module("particles.resampling")
    except ImportError as error:
        raise ValueError(f"the package particles cannot be imported ({error}): make bench-resamplers") from error
    torch.set_num_threads(1)
    generator, rows = torch.Generator().manual_seed(0), []
    for name in RESAMPLERS:
        for groups, particles in SIZES:
            logits = SPREAD * torch.randn(groups, particles, dtype=torch.float64, generator=generator)
            weights = torch.softmax(logits, 1)
            mine_of, peer_of = partial(ours, name, weights), partial(peer, name, weights.numpy())
            pairs = [(seconds(mine_of), seconds(peer_of)) for _ in range(options.calls)]
            mine, other = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
            rows.append([name, f"{groups} x {particles:,}", f"{mine:.3f}", f"{other:.3f}", f"{other / mine:.1f}"])
    print(markdown_table(["resampler", "groups x particles", "fmtt, ms", "particles, ms", "ratio"], rows))


if __name__ == "__main__":
    sys.exit(script(main))
