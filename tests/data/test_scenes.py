"""Scenes are functions of their key, have the habits that they should, and objects do not touch."""

import numpy as np
import pytest
import torch

from fmtt.data.scene_texts import groups_of
from fmtt.data.scenes import COLOURS, PALETTE, REACH, SHAPES, SIZE, Scenes, World, render


def drawn(count: int, seed: int = 0, **habits) -> Scenes:
    return World(**habits).draw(count, np.random.default_rng(seed))


def one(shape: int, colour: int = 0, x: float = 16.0, y: float = 16.0, radius: float = 5.0) -> Scenes:
    """A single object on a grey ground."""
    none = torch.full((1, 3), -1)

    def row(value: float) -> torch.Tensor:
        return torch.tensor([[value, 0.0, 0.0, 0.0]])

    kinds = (torch.cat([torch.tensor([[number]]), none], 1) for number in (shape, colour))
    ground = torch.tensor([[0.5, 0.0, 0.0, 0.5, 0.5, 0.5]])
    return Scenes(*kinds, row(x), row(y), row(radius), torch.zeros(1, 4, 3), ground)


def test_scenes_are_functions_of_their_key() -> None:
    first, again, other = (render(drawn(20, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (20, 3, SIZE, SIZE)
    assert first.min() >= -1
    assert first.max() <= 1


def test_habits_are_those_of_the_world() -> None:
    scenes = drawn(20_000)
    number = scenes.present.sum(1)
    tied = (scenes.shape == scenes.colour)[:, 0].double().mean().item()
    assert tied == pytest.approx(0.5, abs=4 * 0.5 / 20_000**0.5)
    shares = [(number == n).double().mean().item() for n in (1, 2, 3, 4)]
    expected = [0.28, 0.36 + 0.2 * 0.7, 0.2 * 0.2 + 0.08 * 4 / 7 + 0.08 / 2, 0.2 * 0.1 + 0.08 * 3 / 7 + 0.08 / 2]
    for share, wanted in zip(shares, expected, strict=True):
        assert share == pytest.approx(wanted, abs=4 * (wanted / 20_000) ** 0.5)
    single = scenes.take((number == 1).nonzero()[:, 0])
    assert (single.x[:, 0] - SIZE / 2).abs().mean() < 3.5
    loose = drawn(20_000, tie=1.0)
    assert (loose.shape == loose.colour)[:, 0].double().mean().item() == pytest.approx(0.2, abs=0.012)


def test_objects_lie_inside_and_apart() -> None:
    scenes = drawn(20_000)
    present = scenes.present
    reach = torch.where(present, torch.tensor(REACH)[scenes.shape] * scenes.radius, 0)
    for place in (scenes.x, scenes.y):
        assert (place - reach)[present].min() > 0.9
        assert (place + reach)[present].max() < SIZE - 0.9
    place = torch.stack([scenes.x, scenes.y], -1)
    gaps = torch.cdist(place, place) - reach[:, :, None] - reach[:, None]
    pairs = present[:, :, None] & present[:, None] & ~torch.eye(4, dtype=torch.bool)
    least = torch.where(pairs, gaps, torch.inf).amin((1, 2))
    assert least.min() > 0.2
    assert (least < 2 - 1e-4).double().mean() < 0.01


@pytest.mark.parametrize(("kinds", "groups"), [((0.0, 1.0, 0.0, 0.0, 0.0), {2}), ((0.0, 0.0, 0.0, 0.0, 1.0), {3})])
def test_groups_of_a_scene_are_of_different_kinds(kinds: tuple, groups: set[int]) -> None:
    scenes = drawn(5_000, kinds=kinds)
    assert {len(found) for found in groups_of(scenes)} == groups


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_shapes_have_their_area_and_place(shape: int) -> None:
    """Area by the formula of each shape, and the centroid at the place that was asked for."""
    radius, x, y = 5.0, 15.3, 17.6
    share = (render(one(shape, x=x, y=y, radius=radius)) - render(one(-1)))[0, 0]
    share = share / share.abs().max() * share.sign()
    tenth, outer = np.pi / 5, REACH[3]
    area = [np.pi, np.pi, 3 * np.sqrt(3) / 4 * REACH[2] ** 2, 5 * 0.45 * outer**2 * np.sin(tenth)][shape] * radius**2
    assert share.sum().item() == pytest.approx(area, rel=0.03)
    axis = torch.arange(SIZE) + 0.5
    assert ((share.sum(0) * axis).sum() / share.sum()).item() == pytest.approx(x, abs=0.1)
    assert ((share.sum(1) * axis).sum() / share.sum()).item() == pytest.approx(y, abs=0.1)


@pytest.mark.parametrize("colour", range(len(COLOURS)))
def test_colours_are_those_of_the_palette(colour: int) -> None:
    middle = (render(one(1, colour))[0, :, 16, 16] + 1) / 2
    torch.testing.assert_close(middle, PALETTE[colour])


def test_triangles_and_stars_point_upwards() -> None:
    for shape in (2, 3):
        share = (render(one(shape)) - render(one(-1)))[0, 0].abs()
        assert share[8:13].sum(1).diff().mean() > 0
        torch.testing.assert_close(share, share.flip(1), atol=1e-4, rtol=0)
