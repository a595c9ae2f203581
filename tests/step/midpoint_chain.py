"""The base chain of the midpoint transport on Gaussian data, in closed form: a second source for its formulas.

Position and the clean sample that the last step saw are together a Gaussian vector, which each step maps affinely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from tests.gaussian_chain import Data


def terminal(data: Data, times: Sequence[float], epsilon: Callable[[float], float]) -> tuple[float, float]:
    """Mean and variance of one coordinate after all steps from N(0, 1)."""
    mean, covariance = np.zeros(2), np.diag([1.0, 0.0])  # of x and of the clean sample
    for number, (t, then) in enumerate(pairwise(times)):
        dt, noise, half = then - t, epsilon(then), (t + then) / 2
        # dx/du = (D - x)/(1-u) - noise (x - u D)/(1-u)^2 has the solution x - u D = c (1-u) exp(-noise/(1-u))
        kept = (1 - half) / (1 - t) * math.exp(noise / (1 - t) - noise / (1 - half))
        there = np.array([1.0, 0.0] if number == 0 else [kept, half - kept * t])
        kick = math.sqrt(2 * noise * dt)
        v, u = data.velocity(half)
        drift = v + noise * (half * v - 1) / (1 - half), u + noise * half * u / (1 - half)
        clean = 1 + (1 - half) * v, (1 - half) * u
        x = np.array([1.0, 0.0]) + dt * drift[0] * there
        move, by_noise = np.stack([x, clean[0] * there]), kick * np.array([1 + dt * drift[0] / 2, clean[0] / 2])
        mean = move @ mean + np.array([dt * drift[1], clean[1]])
        covariance = move @ covariance @ move.T + np.outer(by_noise, by_noise)
    return float(mean[0]), float(covariance[0, 0])
