"""Small runs that are parts of a large one: their intervals and their doubts."""

from fmtt.run.coverage import coverage

WEIGHED = ("model=gaussian", "reward=linear", "mode=reweight", "population.particles=200")


def test_weak_tilts_are_held_and_not_doubted() -> None:
    found = coverage([*WEIGHED, "reward.scale=0.3"], runs=100, groups=4)
    assert len(found.held) == len(found.doubted) == 100
    assert sum(found.held) > 95 - 4 * 2.2 and not any(found.doubted)


def test_strong_tilts_of_base_samples_are_doubted() -> None:
    found = coverage([*WEIGHED, "reward.scale=6"], runs=100, groups=4)
    assert sum(found.held) < 80
    assert sum(found.doubted) == 100
