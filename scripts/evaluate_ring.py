"""Measure the trained flow map of the ring against the exact one: ``python scripts/evaluate_ring.py [CHECKPOINT]``.

Prints a Markdown table: from points on the exact ODE at time t, the distance between the learned and the exact landing
points, and the relative error of the velocity there.
"""

import sys

import torch

from fmtt.flow import noise
from fmtt.models.learned import load_flow_map
from fmtt.models.ring import Ring

TIMES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)


@torch.no_grad()
def main() -> None:
    learned, exact = load_flow_map(sys.argv[1] if len(sys.argv) > 1 else "ring"), Ring(1.0, 0.05, steps=128)
    x0 = noise.normal((4000, 2), 0, "evaluation")
    zero, one = torch.zeros(len(x0)), torch.ones(len(x0))
    print("| from t | landing, root mean square | landing, median | velocity, relative |")
    print("|---|---|---|---|")
    for time in TIMES:
        t = torch.full_like(zero, time)
        x = exact.flow_map(x0, zero, t)
        landing = (learned.flow_map(x, t, one) - exact.flow_map(x, t, one)).norm(dim=1)
        truth = exact.velocity(x, t)
        error = (learned.velocity(x, t) - truth).norm() / truth.norm()
        print(f"| {time:g} | {landing.square().mean().sqrt():.4f} | {landing.median():.4f} | {error:.4f} |")


if __name__ == "__main__":
    main()
