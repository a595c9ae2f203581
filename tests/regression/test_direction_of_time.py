"""In reversed time, score and reward gradient were added with the wrong sign.

Time runs from noise to data here: the part of the move that the gradient adds raises a smooth reward, and the noisy and
the noiseless dynamics without a reward have the same marginals (``tests/step/test_base_marginals``), for which the
score must pull toward the data.
"""

from dataclasses import replace

import pytest
import torch

from fmtt.step.dynamics import Draws
from fmtt.step.weights import NoWeights
from tests.step.one_step import look, step
from tests.support import LOOK_AHEADS, Setup


@pytest.mark.parametrize("look_ahead", LOOK_AHEADS)
@pytest.mark.parametrize("model", ["gaussian", "mixture"])
def test_gradient_raises_the_tilt(model: str, look_ahead: str) -> None:
    """The guided move minus the base move, with the same noise, taken a short way from where we are."""
    setup = Setup(model=model, look_ahead=look_ahead, weights="kernel", groups=2, particles=40)
    guided = setup.loop().dynamics
    base = replace(guided, guidance=None, weights=NoWeights())
    start = setup.loop().start()[0].population.x.double() * 0.7
    t, then = 0.4, 0.45
    before = look(guided, start, t, then)
    moves = [step(d, start, before, (t, then), Draws(torch.zeros_like(start))).x for d in (guided, base)]
    push = moves[0] - moves[1]
    after = look(guided, start + 1e-3 * push, t)
    assert (after.value > before.value).all()
    torch.testing.assert_close(push, (then - t) * guided.epsilon(then) * before.gradient)


def test_negative_scale_lowers_the_reward() -> None:
    setup = Setup(look_ahead="flowmap1", groups=2, particles=40)
    up, down = (setup.but(scale=scale).loop().dynamics for scale in (1.0, -1.0))
    x = setup.loop().start()[0].population.x
    gradients = [look(dynamics, x, 0.4, 0.45).gradient for dynamics in (up, down)]
    torch.testing.assert_close(gradients[0], -gradients[1])
    assert gradients[0].abs().max() > 0.1


def test_score_pulls_toward_the_data() -> None:
    """Far out, the noisy move without its noise ends nearer to the data than the noiseless one."""
    setup = Setup(model="mixture", weights="kernel", scale=0.0, look_ahead="none", groups=1, particles=8)
    noisy = setup.loop().dynamics
    far = 30 * torch.nn.functional.normalize(setup.loop().start()[0].population.x, dim=-1)
    before = look(noisy, far, 0.4, 0.45)
    silent = replace(noisy, epsilon=type(noisy.epsilon)(0.0))
    with_score = step(noisy, far, before, (0.4, 0.45), Draws(torch.zeros_like(far))).x
    without = step(silent, far, before, (0.4, 0.45), Draws()).x
    assert (with_score.norm(dim=-1) < without.norm(dim=-1)).all()
