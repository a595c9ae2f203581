"""The pool of the teacher's trajectories."""

import math

import pytest
import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.flow.interpolant import expand
from fmtt.training import trajectories
from fmtt.training.captioned import Drawn
from fmtt.training.off_diagonal import TrajectoryDistillation
from fmtt.training.trajectories import TrajectoryPool, heun_trajectory
from tests.support import GAUSSIAN


def teacher(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return GAUSSIAN.velocity(x, s)


def pool(size: int = 32, intervals: int = 64) -> TrajectoryPool:
    filled = TrajectoryPool((2,), size, intervals, seed=0)
    while not filled.full:
        filled.refresh(teacher, 8)
    return filled


def test_heun_is_of_second_order() -> None:
    x = noise.normal((10, 2), 0, "x").double()
    zero, one = torch.zeros(10).double(), torch.ones(10).double()
    truth, errors = GAUSSIAN.flow_map(x, zero, one), []
    for intervals in (40, 80):
        times = torch.linspace(0, 1, intervals + 1).double().expand(10, -1)
        path = heun_trajectory(teacher, x, times).points
        assert path.shape == (10, intervals + 1, 2)
        assert torch.equal(path[:, 0], x)
        errors.append((path[:, -1] - truth).abs().max())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)


def test_pairs_lie_on_the_ode_of_the_teacher() -> None:
    x_s, x_t, s, t, _ = pool().pairs(500, step=0)
    torch.testing.assert_close(x_t, GAUSSIAN.flow_map(x_s, s, t), rtol=0, atol=2e-3)
    assert (x_t - x_s).abs().max() > 0.5


def test_pairs_are_ordered_and_spread_as_promised() -> None:
    _, _, s, t, _ = pool(intervals=8).pairs(20_000, step=1)
    assert (s < t).all()
    assert s.min() == 0
    assert t.max() == 1
    to_data, from_noise = (t == 1).double().mean(), (s == 0).double().mean()
    assert 0.5 < to_data < 0.65  # half on purpose, and some of the others
    assert 0.2 < from_noise < 0.4
    assert torch.unique(t - s).numel() > 100


def test_a_share_of_the_pairs_is_close() -> None:
    """With the largest share, all that neither end in data nor start from noise: at most four of twelve intervals."""
    for share, all_close in ((0.4, True), (0.2, False)):
        made = TrajectoryPool((2,), 32, 12, seed=0, short=share)
        while not made.full:
            made.refresh(lambda x, s, t: -x, 8)
        _, _, s, t, _ = made.pairs(20_000, step=1)
        between = (s > 0) & (t < 1)
        assert (s < t).all() and between.double().mean() > 0.2
        assert bool((t - s)[between].max() < 5 / 12) == all_close
    with pytest.raises(ValueError, match=r"objective\.short=0\.5: must be from 0 to 0\.4"):
        TrajectoryDistillation((2,), 8, 4, every=1, fresh=8, seed=0, short=0.5)


def corners(shape: tuple[int, int], *key: int | str) -> Tensor:
    """Uniform numbers at the ends of [0, 1): columns run through all combinations of 0 and the number below one."""
    ends = torch.tensor([0.0, math.nextafter(1.0, 0.0)], dtype=torch.float64)
    return ends[torch.arange(shape[1])[None] >> torch.arange(shape[0])[:, None] & 1]


@pytest.mark.parametrize("intervals", [1, 2, 8])
def test_pairs_of_draws_just_under_one_are_valid(intervals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 a uniform number is rounded to one about once in 3e7 draws: in most long trainings."""
    filled = pool(size=4, intervals=intervals)
    monkeypatch.setattr(trajectories.noise, "uniform", corners)
    for filled.short in (0.0, 0.4):
        _, _, s, t, _ = filled.pairs(16, step=0)
        assert (s < t).all()


@pytest.mark.parametrize("intervals", [1, 2, 8])
def test_times_of_draws_just_under_one_rise(intervals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the last two times coincide, and the average velocity between them is 0/0."""
    monkeypatch.setattr(trajectories.noise, "uniform", corners)
    assert (pool(size=8, intervals=intervals).times.diff(dim=1) > 0).all()


def test_times_of_a_trajectory_rise_from_zero_to_one() -> None:
    times = pool().times
    assert (times[:, 0] == 0).all()
    assert (times[:, -1] == 1).all()
    assert (times.diff(dim=1) > 0).all()
    assert torch.unique(times[:, 1]).numel() > 16  # jittered


def test_oldest_trajectories_are_replaced() -> None:
    filled = pool(size=16)
    before = filled.path.clone()
    filled.refresh(teacher, 8)
    assert (filled.path[:8] != before[:8]).any(dim=(1, 2)).all()
    assert torch.equal(filled.path[8:], before[8:])
    filled.refresh(teacher, 8)
    assert (filled.path[8:] != before[8:]).any(dim=(1, 2)).all()


def test_pool_is_part_of_checkpoints() -> None:
    filled, fresh = pool(size=16), TrajectoryPool((2,), 16, 64, seed=0)
    fresh.load_state_dict(filled.state_dict())
    assert fresh.full
    for one, other in zip(fresh.pairs(50, 3)[:4], filled.pairs(50, 3)[:4], strict=True):
        assert torch.equal(one, other)


def test_distillation_tells_the_exact_flow_map_and_renews_its_pool() -> None:
    images = Drawn(torch.zeros(64, 2))
    distillation = TrajectoryDistillation((2,), size=32, intervals=64, every=2, fresh=8, seed=0)

    def exact(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return (GAUSSIAN.flow_map(x, s, t) - x) / expand(t - s, x)

    right = distillation(exact, teacher, images, 0)
    assert int(distillation.pool.filled) == 32
    wrong = distillation(lambda x, s, t: exact(x, s, t) + 0.1, teacher, images, 1)
    assert int(distillation.pool.filled) == 32
    distillation(exact, teacher, images, 2)
    assert int(distillation.pool.filled) == 40
    assert right.shape == (64,)
    assert right.median() < 1e-5
    assert wrong.median() == pytest.approx(0.01, rel=0.2)


def test_velocities_are_those_of_the_teacher_at_the_points() -> None:
    filled = TrajectoryPool((2,), 32, 64, seed=0, velocities=True)
    while not filled.full:
        filled.refresh(teacher, 8)
    x, t, velocity, tokens = filled.points(500, step=0)
    assert tokens is None
    torch.testing.assert_close(velocity, GAUSSIAN.velocity(x, t), rtol=1e-4, atol=1e-4)
    assert t.min() == 0 and t.unique().numel() > 200
    assert (velocity - GAUSSIAN.velocity(x, t.flip(0))).abs().max() > 0.1


def test_a_pool_without_velocities_has_none_in_its_checkpoint() -> None:
    assert set(TrajectoryPool((2,), 32, 64, seed=0).state_dict()) == {"path", "times", "filled", "tokens"}
