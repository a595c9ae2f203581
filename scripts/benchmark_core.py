"""The loop on a 2-D Gaussian beside the same FMTT loop written by hand: milliseconds a step, and the ratio of both.

    python scripts/benchmark_core.py [--particles 10000 100000 1000000]

Both move, weigh and resample alike (Jarzynski weights by the trapezoidal rule, systematic resampling below an effective
sample size of one half), and ask the same model and the same reward by autograd. They take turns, in one process and
with one thread for tensors; ours draws its keyed noise one step ahead in a thread of its own. Medians of wall time.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import fmtt
from fmtt.models.analytic import Gaussian
from fmtt.rewards.plane import Quadratic

STEPS, ROUNDS = 20, 5
MODEL = Gaussian((0.5, -0.3), (0.7, 1.2))
REWARD = Quadratic((1.5, 0.2), (1.5, 0.4))


def by_hand(particles: int, steps: int) -> tuple[Tensor, float]:
    """One population of FMTT: samples ``(N, 2)`` and the estimate of log Z."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(particles, 2, generator=generator)
    log_w, log_z = torch.zeros(particles, dtype=torch.float64), 0.0
    reward, gradient = tilt(x, 0.0)
    for k in range(steps):
        t, t_next = k / steps, (k + 1) / steps
        dt, epsilon = t_next - t, 1 - t_next
        velocity = MODEL.velocity(x, torch.full((particles,), t))
        x = x + dt * (velocity - epsilon / (1 - t) * (x - t * velocity) + epsilon * t * gradient)
        if epsilon > 0:
            x = x + math.sqrt(2 * epsilon * dt) * torch.randn(particles, 2, generator=generator)
        before = reward
        reward, gradient = tilt(x, t_next)
        log_w = log_w + dt * (before + reward).double() / 2
        weights = torch.softmax(log_w, 0)
        if k + 1 < steps and 1 / weights.square().sum() <= particles / 2:
            log_z += (torch.logsumexp(log_w, 0) - math.log(particles)).item()
            points = (torch.arange(particles, dtype=torch.float64) + torch.rand((), generator=generator)) / particles
            index = torch.searchsorted(weights.cumsum(0), points).clamp_max(particles - 1)
            x, reward, gradient = x[index], reward[index], gradient[index]
            log_w = torch.zeros_like(log_w)
    return x, log_z + (torch.logsumexp(log_w, 0) - math.log(particles)).item()


def tilt(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """The reward where the flow map lands, ``(N,)``, and its gradient, ``(N, 2)``."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        times = torch.full((len(x),), t)
        reward = REWARD(MODEL.flow_map(x, times, torch.ones_like(times)))
        (gradient,) = torch.autograd.grad(reward.sum(), x)
    return reward.detach(), gradient


def ours(particles: int, steps: int) -> tuple[Tensor, float]:
    """The same by :func:`fmtt.sample`."""
    result = fmtt.sample(MODEL, REWARD, groups=1, particles=particles, steps=steps)
    return result.samples[0], result.log_z.item()


def milliseconds(run: Callable[[int, int], object], particles: int) -> float:
    """Of one step."""
    start = time.perf_counter()
    run(particles, STEPS)
    return (time.perf_counter() - start) / STEPS * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    torch.set_num_threads(1)
    print(f"{'particles':>10} {'by hand':>10} {'fmtt':>10} {'ratio':>7}   log Z by hand, fmtt, exact")
    exact = MODEL.law.tilted(*REWARD.quadratic_form(2))[1].item()
    for particles in parser.parse_args().particles:
        rounds = [(milliseconds(by_hand, particles), milliseconds(ours, particles)) for _ in range(ROUNDS)]
        hand, loop = (statistics.median(times) for times in zip(*rounds, strict=True))
        found = by_hand(particles, STEPS)[1], ours(particles, STEPS)[1], exact
        logs = " ".join(f"{value:.3f}" for value in found)
        print(f"{particles:>10} {hand:>8.2f}ms {loop:>8.2f}ms {loop / hand:>7.2f}   {logs}")


if __name__ == "__main__":
    main()
