"""The frames that are kept of a run."""

from dataclasses import replace
from itertools import pairwise

import torch
from safetensors.torch import load_file
from torch import Tensor

from fmtt.methods.loop import State
from fmtt.run.film import FRAMES, NUMBERS, SHOWN, Film, frame
from fmtt.smc.population import Population
from fmtt.tilt.tilt import TiltValue


def same(x: Tensor) -> Tensor:
    return x


def state(groups: int = 2, particles: int = 3, step: int = 0, landing: bool = True, size: int = 2) -> State:
    x = torch.arange(1.0 * groups * particles * size).reshape(groups, particles, size)
    tilt = TiltValue.unknown(x)
    population = Population.start(x, tilt._replace(sample=-x) if landing else tilt)
    return replace(State.start(population), step=step, t=step / 10)


def test_frames_are_spread_over_the_run_with_both_ends() -> None:
    for steps, count in ((1, 2), (10, 11), (FRAMES, FRAMES + 1), (100, FRAMES + 1), (1000, FRAMES + 1)):
        due = sorted(Film(steps, same, []).due)
        assert (due[0], due[-1], len(due)) == (0, steps, count)
        gaps = {then - now for now, then in pairwise(due)}
        assert max(gaps) - min(gaps) <= 1


def test_a_film_holds_its_frames_in_order(tmp_path) -> None:
    film = Film(50, same, [])
    for step in range(51):
        film.see(state(step=step))
    film.write(tmp_path)
    found = load_file(tmp_path / "film.safetensors")
    assert found["t"].tolist() == [step / 10 for step in sorted(film.due)]
    assert torch.equal(found["x"][3].float(), state().population.x)
    assert torch.equal(found["landing"], -found["x"])
    assert found["ancestors"].shape == found["log_weights"].shape == (len(film.due), 2, 3)


def test_a_frame_shows_few_particles_and_all_ancestors() -> None:
    few = ((1, 100, (1, SHOWN)), (4, 64, (4, SHOWN // 4)), (40, 5, (SHOWN, 1)))
    for groups, particles, shown in few:
        kept = frame(state(groups, particles, size=784), same)
        assert kept["x"].shape[:2] == shown
        assert kept["ancestors"].shape == (groups, particles)
    assert frame(state(1, 1000), same)["x"].shape[:2] == (1, NUMBERS // 2)


def test_a_frame_shows_what_people_see() -> None:
    plain, doubled = frame(state(), same), frame(state(), lambda x: 2 * x)
    assert torch.equal(doubled["x"], 2 * plain["x"])
    assert torch.equal(doubled["landing"], 2 * plain["landing"])


def test_where_nobody_looked_ahead_there_is_no_landing() -> None:
    assert frame(state(landing=False), same)["landing"].isnan().all()


def test_a_group_that_became_smaller_is_filled_up_with_copies() -> None:
    film = Film(2, same, [])
    whole, rest = state(), state(step=1)
    film.see(whole)
    film.see(replace(rest, population=rest.population.take(torch.tensor([[2], [1]]))))
    shown = film.frames[1]
    assert shown["ancestors"].tolist() == [[2, 2, 2], [1, 1, 1]]
    assert torch.equal(shown["x"][0, 0], whole.population.x[0, 2].half())


def test_nothing_is_written_of_no_frames(tmp_path) -> None:
    Film(4, same, []).write(tmp_path)
    assert not (tmp_path / "film.safetensors").exists()
