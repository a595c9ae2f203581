"""Conversions between velocity, score, denoiser and noise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.interpolant import (
    denoiser_from_velocity,
    expand,
    interpolate,
    noise_from_velocity,
    score_from_velocity,
    velocity_from_score,
)

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def draw(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Positions and velocities ``(5, *shape)``, and times well inside (0, 1)."""
    x, velocity = noise.normal((2, 5, *shape), seed, "x").double()
    return x, velocity, 0.02 + 0.96 * noise.uniform((5,), seed, "t")


@given(SHAPES, st.integers(0, 1000))
def test_score_and_velocity_are_inverse(shape: tuple[int, ...], seed: int) -> None:
    x, velocity, t = draw(shape, seed)
    score = score_from_velocity(velocity, x, t)
    torch.testing.assert_close(velocity_from_score(score, x, t), velocity, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(score_from_velocity(velocity_from_score(score, x, t), x, t), score, rtol=1e-9, atol=1e-9)


@given(SHAPES, st.integers(0, 1000))
def test_denoiser_and_noise_interpolate_to_the_point(shape: tuple[int, ...], seed: int) -> None:
    x, velocity, t = draw(shape, seed)
    clean, rough = denoiser_from_velocity(velocity, x, t), noise_from_velocity(velocity, x, t)
    torch.testing.assert_close(interpolate(rough, clean, t), x)
    torch.testing.assert_close(clean - rough, velocity)


def test_score_is_minus_the_expected_noise_over_its_width() -> None:
    x, velocity, t = draw((3,), 0)
    expected = -noise_from_velocity(velocity, x, t) / (1 - t)[:, None]
    torch.testing.assert_close(score_from_velocity(velocity, x, t), expected)


def test_ends_of_the_path() -> None:
    x, velocity, _ = draw((2, 3), 1)
    zero, one = torch.zeros(5).double(), torch.ones(5).double()
    assert torch.equal(interpolate(x, velocity, zero), x)
    assert torch.equal(interpolate(x, velocity, one), velocity)
    assert torch.equal(noise_from_velocity(velocity, x, zero), x)
    assert torch.equal(denoiser_from_velocity(velocity, x, one), x)


def test_expand_gives_each_entry_its_own_time() -> None:
    x = torch.zeros(3, 2, 4)
    t = torch.tensor([0.1, 0.2, 0.3])
    assert expand(t, x).shape == (3, 1, 1)
    assert (expand(t, x) + x)[:, 1, 2].tolist() == t.tolist()


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3, 1), (3, 2)], ids=str)
def test_times_of_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"time must have shape \(3,\)"):
        expand(torch.zeros(shape), torch.zeros(3, 2))


@pytest.mark.parametrize(
    "convert", [denoiser_from_velocity, noise_from_velocity, score_from_velocity, velocity_from_score]
)
def test_conversions_do_not_broadcast_times(convert) -> None:
    with pytest.raises(ValueError, match="time must have shape"):
        convert(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(1))
