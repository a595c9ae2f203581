"""A model with conditions whose answer is known for every prompt: a Gaussian whose mean is the condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fmtt.flow.interpolant import expand
from fmtt.models.analytic import Gaussian, MixtureLaw

STD = (0.7, 1.2)
MEANS = {"left": (-1.0, 0.3), "right": (1.5, -0.4), "up": (0.2, 2.0)}  # the texts that the model knows
CENTER, PRECISION = (0.4, -0.2), (1.1, 0.5)


@dataclass(frozen=True)
class ConditionalGaussian:
    """``N(condition, diag(STD^2))``; texts are encoded as the means of ``MEANS``."""

    scale: float = 1.0  # of the condition
    shape = (2,)
    exact_flow_map = True

    def velocity(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        t, variance = expand(t, x), torch.tensor(STD, dtype=x.dtype) ** 2
        mean = self.scale * condition.to(x)
        slope = (t * variance - (1 - t)) / ((1 - t) ** 2 + t**2 * variance)
        return mean + (x - t * mean) * slope

    def flow_map(self, x: Tensor, s: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        s, t, variance = expand(s, x), expand(t, x), torch.tensor(STD, dtype=x.dtype) ** 2
        mean = self.scale * condition.to(x)
        sigma_s, sigma_t = (torch.sqrt((1 - u) ** 2 + u**2 * variance) for u in (s, t))
        return t * mean + (x - s * mean) * sigma_t / sigma_s

    def encode_prompts(self, texts: Sequence[str]) -> Tensor:
        unknown = [text for text in texts if text not in MEANS]
        if unknown:
            raise ValueError(f"prompt={unknown[0]}: must be one of {', '.join(MEANS)}")
        return torch.tensor([MEANS[text] for text in texts])

    def law(self, condition: Tensor) -> MixtureLaw:
        return plain(condition, self.scale).law


def plain(condition: Tensor, scale: float = 1.0) -> Gaussian:
    """The model of one prompt, without conditions."""
    return Gaussian((scale * condition.double()).tolist(), STD)


@dataclass(frozen=True)
class ConditionalQuadratic:
    """``-1/2 sum_d precision_d (x_d - condition_d / 2 - center_d)^2``: the reward depends on the prompt, too."""

    scale: float = 1.0

    def __call__(self, x: Tensor, condition: Tensor) -> Tensor:
        offset = x - (condition.to(x) / 2 + torch.tensor(CENTER, dtype=x.dtype))
        return -0.5 * (offset.square() @ torch.tensor(PRECISION, dtype=x.dtype))

    def statistics(self, x: Tensor, condition: Tensor) -> dict[str, Tensor]:
        """Whether a point lies to the right of the condition."""
        return {"beyond": (x[:, 0] > condition[:, 0].to(x)).double()}

    def encode_prompts(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([MEANS[text] for text in texts])

    def quadratic_form(self, dimension: int, condition: Tensor) -> tuple[Tensor, Tensor, float]:
        center = condition.double() / 2 + torch.tensor(CENTER, dtype=torch.float64)
        precision = torch.tensor(PRECISION, dtype=torch.float64)
        return precision, precision * center, float(-0.5 * (precision * center**2).sum())


def plain_reward(condition: Tensor) -> partial:
    """The reward of one prompt, without conditions."""
    return partial(_of_one, condition=condition)


def _of_one(x: Tensor, condition: Tensor) -> Tensor:
    return ConditionalQuadratic()(x, condition.expand(len(x), -1))
