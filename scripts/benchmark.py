"""Time of a step of the bundled MNIST run, split into what it is spent on, beside the bare network calls.

``python scripts/benchmark.py``: FMTT with four jumps on the symmetry reward, as in ``make demo``, against the same
number of forward and backward calls of the network alone, in the same batches.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

import fmtt
from fmtt.models.learned import load_flow_map
from fmtt.rewards import Symmetry


def bare_seconds(model: fmtt.FlowMap, batch: int, velocities: int, jumps: int, steps: int) -> tuple[float, float]:
    """Seconds of ``steps`` times ``velocities`` plain and ``jumps`` differentiated network calls: forward, backward."""
    x, t = torch.zeros(batch, *model.shape), torch.full((batch,), 0.5)
    forward = backward = 0.0
    for _ in range(steps):
        for k in range(velocities + jumps):
            point = x.clone().requires_grad_(k < jumps)
            start = time.perf_counter()
            out = model.net(point, t, torch.ones_like(t))
            middle = time.perf_counter()
            forward += middle - start
            if k < jumps:
                torch.autograd.grad(out.sum(), point)
                backward += time.perf_counter() - middle
    return forward, backward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--particles", type=int, default=64)
    parser.add_argument("--jumps", type=int, default=4)
    options = parser.parse_args()

    model = load_flow_map("mnist")
    look_ahead = partial(fmtt.FlowMapJumps, steps=options.jumps)
    shape = {"steps": options.steps, "groups": 1, "particles": options.particles}
    with torch.no_grad():
        fmtt.sample(model, Symmetry(), look_ahead=look_ahead, steps=2, groups=1, particles=options.particles)  # warm up
        start = time.perf_counter()
        meter = fmtt.sample(model, Symmetry(), look_ahead=look_ahead, scale=20.0, **shape).meter
        total = time.perf_counter() - start
    with torch.enable_grad():
        forward, backward = bare_seconds(model, options.particles, 1, options.jumps, options.steps)

    rows = [
        ("network, forward", meter.forward_time.seconds, forward),
        ("network, backward", meter.backward_time.seconds, backward),
        ("reward and its gradient", meter.reward_time.seconds, None),
    ]
    rows.append(("everything else", total - sum(seconds for _, seconds, _ in rows), None))
    rows.append(("a step", total, forward + backward))
    title = f"{options.particles} particles, {options.jumps} jumps, {torch.get_num_threads()} threads; ms per step"
    table = Table("part", "fmtt", "bare network", title=title)
    for name, seconds, bare in rows:
        milliseconds = [f"{1e3 * value / options.steps:.1f}" if value is not None else "" for value in (seconds, bare)]
        table.add_row(name, *milliseconds)
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
