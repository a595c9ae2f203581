"""Draws are functions of their key."""

import pytest
import torch

from fmtt.flow import noise
from fmtt.flow.noise import DRAWS, Draws, Noise


@pytest.fixture(params=DRAWS, name="draws")
def made_here(request: pytest.FixtureRequest) -> Draws:
    return DRAWS[request.param]


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_group_draws_the_same_wherever_it_is(kind: str, draws: Draws) -> None:
    def draw(*groups: int) -> torch.Tensor:
        return getattr(Noise(5, groups, draws=draws), kind)((4, 3), 7, "move")

    together, alone, reordered = draw(0, 1, 2), draw(1), draw(2, 1, 0)
    assert torch.equal(together[1:2], alone)
    assert torch.equal(together.flip(0), reordered)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_every_part_of_the_key_counts(kind: str, draws: Draws) -> None:
    def draw(seed: int = 5, group: int = 1, step: int = 7, purpose: str = "move"):
        return getattr(Noise(seed, (group,), draws=draws), kind)((6,), step, purpose)

    first = draw()
    others = [draw(seed=6), draw(group=2), draw(step=8), draw(purpose="start")]
    assert torch.equal(first, draw())
    assert all((first != other).all() for other in others)
    assert len({tuple(other.flatten().tolist()) for other in others}) == 4


def test_keys_are_not_run_together(draws: Draws) -> None:
    """Step 1 of group 12 is not step 21 of group 1."""
    first, second = (Noise(0, (group,), draws=draws).normal((5,), step, "move") for group, step in ((12, 1), (1, 21)))
    assert not torch.equal(first, second)


def test_particles_do_not_depend_on_how_many_there_are() -> None:
    few, many = (Noise(0, (0, 1)).normal((count, 2), 3, "move") for count in (4, 9))
    assert torch.equal(few, many[:, :4])


def test_other_draws_do_not_matter(draws: Draws) -> None:
    source = Noise(0, (0,), draws=draws)
    first = source.normal((3,), 0, "move")
    source.uniform((100,), 0, "resampling")
    torch.manual_seed(1)
    assert torch.equal(source.normal((3,), 0, "move"), first)


def test_shapes_and_types(draws: Draws) -> None:
    source = Noise(0, (3, 4), draws=draws)
    assert source.normal((5, 2, 2), 0, "a").shape == (2, 5, 2, 2)
    assert source.normal((5,), 0, "a").dtype == torch.float32
    assert source.uniform((5,), 0, "a").dtype == torch.float64


def test_normal_moments(draws: Draws) -> None:
    drawn = Noise(2, tuple(range(50)), draws=draws).normal((4000,), 0, "moments").double()
    count = drawn.numel()
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(((drawn**power).mean() - mean) / (variance / count) ** 0.5) < 4
    between = drawn.mean(1).var() * 4000  # groups are independent: chi-square with 49 degrees of freedom over 49
    assert abs(between - 1) / (2 / 49) ** 0.5 < 4


def test_uniform_moments(draws: Draws) -> None:
    drawn = Noise(2, tuple(range(50)), draws=draws).uniform((4000,), 0, "moments")
    count = drawn.numel()
    assert 0 <= drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    for power in (1, 2):
        mean, variance = 1 / (power + 1), 1 / (2 * power + 1) - 1 / (power + 1) ** 2
        assert abs(((drawn**power).mean() - mean) / (variance / count) ** 0.5) < 4


def test_free_functions_are_keyed() -> None:
    assert torch.equal(noise.normal((4,), 1, "a"), noise.normal((4,), 1, "a"))
    assert not torch.equal(noise.normal((4,), 1, "a"), noise.normal((4,), 1, "b"))
    assert not torch.equal(noise.uniform((4,), 1, "a"), noise.uniform((4,), "1", "a"))


def test_the_device_has_numbers_of_its_own() -> None:
    host, device = (Noise(0, (0,), draws=made).normal((5,), 0, "move") for made in DRAWS.values())
    assert (host != device).all()
