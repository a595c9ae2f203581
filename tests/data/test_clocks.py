"""Rendered clocks show the time that they are said to show, and can be read without and with a network."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fmtt.data.clock_templates import LEGIBLE, TemplateReader
from fmtt.data.clocks import DRAWS, HALF_DAY, TEN_PAST_TEN, Looks, Times, centres, render
from fmtt.evaluation.evaluators import ClockEvaluator
from fmtt.flow import noise
from fmtt.models.checkpoints import BUNDLED, load_network, read_card
from fmtt.models.clock_reader import ClockReader, disagreement, hands, read, shortfall
from fmtt.rewards.clock import Clock, minutes
from fmtt.training.clock_reader import exposed_twice, grade
from fmtt.training.data import ClockImages

SIZE = 32
PLAIN = Looks(radius=(0.9, 0.9), shift=(0.0, 0.0), face=(1.0, 1.0), ground=(0.0, 0.0), ink=(-1.0, -1.0), bare=1.0)


def uniforms(count: int, seed: int = 0) -> Tensor:
    return noise.uniform((count, DRAWS), seed, "looks").float()


def away(times: Tensor, others: Tensor) -> Tensor:
    """Minutes between them, the short way round the dial."""
    return ((times - others + HALF_DAY / 2) % HALF_DAY - HALF_DAY / 2).abs()


def test_hands_point_where_they_should() -> None:
    """The ink far out lies in the direction of the minute hand; nearer in, that of the hour hand is there too."""
    times = torch.tensor([10.0, 170.0, 285.0, 610.0])
    images = render(times, uniforms(4), PLAIN, 128)
    axis = centres(128)
    x, y = axis[None, :].expand(128, 128), -axis[:, None].expand(128, 128)
    distance = torch.hypot(x, y)
    far, near = (distance > 0.55) & (distance < 0.75), (distance > 0.2) & (distance < 0.35)
    for time, image in zip(times.tolist(), images[:, 0], strict=True):
        ink = (1 - image) / 2
        angle = math.atan2(float((ink * x)[far].sum()), float((ink * y)[far].sum()))
        turns = (angle / (2 * math.pi) - time / 60 + 0.5) % 1 - 0.5
        assert abs(turns) < 0.01
        hour = 2 * math.pi * time / HALF_DAY
        at_hour = (torch.hypot(x - 0.27 * math.sin(hour), y - 0.27 * math.cos(hour)) < 0.03) & near
        assert ink[at_hour].min() > 0.9


def test_the_density_of_times_is_that_of_their_law() -> None:
    law, dial = Times(), torch.arange(0, HALF_DAY, 0.05, dtype=torch.float64)
    assert law.density(dial).sum().item() * 0.05 == pytest.approx(1)
    for time, tolerance in ((TEN_PAST_TEN, 7.0), (600.0, 12.0), (100.0, 5.0), (5.0, 20.0)):
        near = law.density(dial)[away(dial, torch.tensor(time)) <= tolerance].sum().item() * 0.05
        assert near == pytest.approx(law.within(time, tolerance), rel=0.01)


def test_pixels_are_means_over_their_area() -> None:
    """A coarse image is the fine one averaged, but where edges cross within a pixel."""
    times, looks = torch.tensor([285.0, 50.0]), uniforms(2)
    coarse, fine = render(times, looks, Looks(), 64), render(times, looks, Looks(), 512)
    difference = torch.nn.functional.avg_pool2d(fine, 8) - coarse
    assert difference.abs().mean() < 5e-3
    assert difference.mean().abs() < 1e-3


def test_images_lie_within_the_range() -> None:
    images = render(torch.linspace(0, 719, 200), uniforms(200), Looks(), SIZE)
    assert images.shape == (200, 1, SIZE, SIZE)
    assert images.min() >= -1
    assert images.max() <= 1
    assert images.std(dim=0).min() > 0.05  # no pixel is the same in all


def test_law_of_the_time() -> None:
    law = Times(bias=0.6, spread=12.0)
    times = law.draw(noise.uniform((40_000, 2), 0, "times"))
    assert ((times >= 0) & (times < HALF_DAY)).all()
    for time, tolerance in ((TEN_PAST_TEN, 5.0), (630.0, 5.0), (285.0, 30.0), (0.0, 60.0)):
        expected = law.within(time, tolerance)
        share = (away(times, torch.tensor(time)) <= tolerance).double().mean().item()
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / len(times))


def test_exact_reader_reads_all_times_and_looks() -> None:
    times = noise.uniform((1000,), 0, "times").float() * HALF_DAY
    images = render(times, uniforms(1000), Looks(), SIZE)
    reading = TemplateReader(SIZE)(images)
    assert away(reading.times, times).max() <= 2
    assert reading.fit.min() >= LEGIBLE
    mirrored = TemplateReader(SIZE)(images.flip(-1))
    assert away(mirrored.times, times).median() > 60  # a reader that saw mirror images alike would be useless
    noisy = TemplateReader(SIZE)(images + 0.2 * noise.normal(images.shape, 0, "noise"))
    assert away(noisy.times, times).max() <= 5


def test_exact_reader_knows_what_is_no_clock() -> None:
    reader = TemplateReader(SIZE)
    assert (reader(torch.zeros(2, 1, SIZE, SIZE)).fit < LEGIBLE).all()
    assert (reader(noise.normal((50, 1, SIZE, SIZE), 0, "noise")).fit < LEGIBLE).all()
    one_hand = render(torch.zeros(1), uniforms(1), Looks(hour_width=(-1.0, -1.0), minute_width=(0.04, 0.04)), SIZE)
    one_hand = torch.rot90(one_hand, 1, (-2, -1))  # at nine, where both hands never are
    assert reader(one_hand).fit < LEGIBLE


def test_showing_a_time() -> None:
    times = torch.tensor([285.0, 289.0, 292.0, 281.0])
    reading = TemplateReader(SIZE)(render(times, uniforms(4), Looks(), SIZE))
    assert reading.shows(285.0, 5.0).tolist() == [True, True, False, True]
    assert not reading._replace(fit=torch.zeros(4)).shows(285.0, 5.0).any()
    midnight = TemplateReader(SIZE)(render(torch.tensor([718.0, 2.0]), uniforms(2), Looks(), SIZE))
    assert midnight.shows(0.0, 5.0).all()


def test_hands_of_the_network_and_their_disagreement() -> None:
    times = torch.tensor([0.0, 15.0, 285.0])
    minute, hour = [[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]], [[0.0, 1.0], [0.1305, 0.9914], [0.6088, -0.7934]]
    assert torch.allclose(hands(times), torch.stack([torch.tensor(minute), torch.tensor(hour)], dim=1), atol=1e-4)
    assert torch.equal(read(hands(times)), times)
    between = disagreement(hands(times[:1]), hands(times[2:]))
    assert between.item() == pytest.approx(2 - math.cos(math.pi / 2) - math.cos(2 * math.pi * 285 / 720), abs=1e-5)
    assert ClockReader(size=SIZE, width=4, features=8).eval()(torch.zeros(3, 1, SIZE, SIZE)).shape == (3, 2, 2)


def test_doubled_hands_cost_in_proportion() -> None:
    """On the circle it is the disagreement; for the mean of two hands around the wanted one it is ``1 - cos``."""
    times = torch.arange(0.0, HALF_DAY, 7.0)
    wanted = hands(torch.tensor([285.0]))
    assert torch.allclose(shortfall(hands(times), wanted), disagreement(hands(times), wanted), atol=1e-5)
    apart = 5.0  # minutes, thirty degrees of the minute hand; the hour hand moves by a twelfth of that
    doubled = (hands(torch.tensor([285.0 - apart])) + hands(torch.tensor([285.0 + apart]))) / 2
    missing = [1 - math.cos(math.pi / 6), 1 - math.cos(math.pi / 72)]
    assert shortfall(doubled, wanted).item() == pytest.approx(sum(missing), abs=1e-5)
    assert shortfall(doubled, wanted, hour=4).item() == pytest.approx(missing[0] + 4 * missing[1], abs=1e-5)
    assert shortfall(5 * wanted, wanted).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("text", "time"), [("4:45", 285.0), ("12:05", 5.0), ("0:05", 5.0), ("10:10", 610.0)])
def test_times_are_parsed(text: str, time: float) -> None:
    assert minutes("reward.time", text) == time


@pytest.mark.parametrize("text", ["4:75", "13:00", "445", "", "4:5", 285, None])
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a time of the dial such as 4:45"):
        minutes("reward.time", text)


def test_draws_are_functions_of_their_key() -> None:
    data = ClockImages(size=SIZE)
    assert torch.equal(data.draw(5, 0, 1, "a").samples, data.draw(5, 0, 1, "a").samples)
    assert not torch.equal(data.draw(5, 0, 1, "a").samples, data.draw(5, 0, 2, "a").samples)
    reading = TemplateReader(SIZE)(data.draw(400, 0, "share").samples)
    share = reading.shows(TEN_PAST_TEN, 30.5).double().mean().item()
    expected = Times().within(TEN_PAST_TEN, 30.5)
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 400)


def test_reward_is_largest_at_the_wanted_time() -> None:
    """Close to ``-(1 - cos a) - (1 - cos b)`` of the angles by which the hands are off, as far as the reader sees."""
    times = torch.arange(0.0, HALF_DAY, 7.0)
    images = render(times, uniforms(len(times)), Looks(), SIZE)
    for time in ("4:45", "11:59"):
        wanted = torch.tensor([minutes("time", time)])
        expected = -shortfall(hands(times), hands(wanted))
        reward = Clock(time)(images)
        twice, more = (Clock(time, hour=hour)(images) - reward for hour in (2, 4))
        assert torch.allclose(more, 3 * twice, atol=1e-5)
        assert (reward - expected).abs().max() < 0.2
        assert (reward - expected).abs().mean() < 0.03
        assert away(times[reward.argmax()], wanted).item() <= 4
    with pytest.raises(ValueError, match=r"reward clock needs images \(1, 32, 32\)"):
        Clock()(torch.zeros(1, 1, 28, 28))


def test_reward_has_a_gradient_toward_the_time() -> None:
    """A step along the gradient from a clock that is off makes it better, also from the other side of the dial."""
    images = render(torch.tensor([250.0, 290.0, 600.0, 40.0]), uniforms(4), Looks(), SIZE).requires_grad_()
    reward = Clock("4:45")(images)
    (slope,) = torch.autograd.grad(reward.sum(), images)
    assert (Clock("4:45")(images + 0.3 * slope / slope.flatten(1).norm(dim=1)[:, None, None, None]) > reward).all()


def test_statistics_are_those_of_the_exact_reader() -> None:
    images = render(torch.tensor([285.0, 289.0, 292.0, 100.0]), uniforms(4), Looks(), SIZE)
    statistics = Clock("4:45", hour=4).statistics(torch.cat([images, torch.zeros(1, 1, SIZE, SIZE)]))
    assert statistics["shows_the_time"].tolist() == [1, 1, 0, 0, 0]
    assert statistics["legible"].tolist() == [1, 1, 1, 1, 0]


def test_bundled_readers_are_good_and_not_the_same() -> None:
    cards = [read_card(BUNDLED / f"{name}.safetensors") for name in ("clock_reader", "clock_evaluator")]
    for card in cards:
        assert card["within_5_minutes"] == 1.0
        assert card["median_error_minutes"] < 0.5
    assert cards[0]["seed"] != cards[1]["seed"]
    assert cards[0]["config"]["net"]["width"] != cards[1]["config"]["net"]["width"]
    found = grade(load_network("clock_reader", ClockReader), SIZE, count=300)
    assert found["within_5_minutes"] > 0.99
    assert found["disagreement"] < 2e-3


def test_ghosts_are_as_strong_as_they_are_said_to_be() -> None:
    """Between the ends of the hands there is ink of minute hands alone: its centre, where a whole hand's is at 1."""
    looks = replace(PLAIN, minute_hand=(0.85, 0.85), minute_width=(0.05, 0.05), hour_hand=(0.4, 0.4))
    axis = centres(SIZE)
    x, y = axis[None, :].expand(SIZE, SIZE), -axis[:, None].expand(SIZE, SIZE)
    radius = torch.hypot(x, y)
    direction = torch.stack([x, y]) / radius * ((radius > 0.5) & (radius < 0.7))

    def centre_of_ink(images: Tensor) -> Tensor:
        return torch.einsum("bhw,chw->bc", 1 - images[:, 0], direction)

    whole = centre_of_ink(render(torch.tensor([0.0]), uniforms(1), looks, SIZE)).norm()
    images, seen = exposed_twice(400, looks, SIZE, 3, "ghosts")
    assert (centre_of_ink(images) / whole - seen[:, 0]).norm(dim=1).mean() < 0.04  # pixels are coarse
    lengths = seen[:, 0].norm(dim=1)
    assert lengths.min() < 0.1
    assert lengths.max() > 0.99


def test_bundled_reader_sees_ghosts() -> None:
    """It says where faint hands point on average; one that was trained on whole clocks does not."""
    images, seen = exposed_twice(500, Looks(), SIZE, 1, "ghosts")
    errors = [
        disagreement(load_network(name, ClockReader)(images), seen).mean().item()
        for name in ("clock_reader", "clock_evaluator")
    ]
    assert errors[0] < 0.01
    assert errors[1] > 3 * errors[0]


def test_clock_evaluator_sorts_by_hours() -> None:
    times = torch.tensor([5.0, 65.0, 285.0, 719.0])
    verdict = ClockEvaluator()(torch.cat([render(times, uniforms(4), Looks(), SIZE), torch.zeros(1, 1, SIZE, SIZE)]))
    assert verdict.label[:4].tolist() == [0, 1, 4, 11]
    assert verdict.sure.tolist() == [True, True, True, True, False]
    assert ClockEvaluator().features(torch.zeros(2, 1, SIZE, SIZE)).shape == (2, 96)
