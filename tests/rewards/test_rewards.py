"""Rewards in closed form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fmtt.data.images import read_sample
from fmtt.flow import noise
from fmtt.rewards import (
    Antisymmetry,
    Clock,
    Digit,
    HalfPlane,
    Keep,
    Linear,
    Mask,
    Quadratic,
    Rotation,
    Symmetry,
    WeightedSum,
)
from tests.conditional import ConditionalQuadratic

POINTS = noise.normal((5, 2), 0, "points").double()
IMAGES = noise.normal((3, 2, 6, 8), 0, "images").double()


def test_rewards_on_points() -> None:
    x, y = POINTS.unbind(1)
    torch.testing.assert_close(Linear((2.0, -1.0))(POINTS), 2 * x - y)
    torch.testing.assert_close(Linear((2.0,))(POINTS), 2 * x + 2 * y)
    torch.testing.assert_close(Quadratic((1.0, -1.0), (2.0, 3.0))(POINTS), -((x - 1) ** 2) - 1.5 * (y + 1) ** 2)
    torch.testing.assert_close(HalfPlane()(POINTS), torch.where(x < 0, -(x**2), 0))


def test_sum_weighs_each_term_by_its_own_scale() -> None:
    terms = {"a": Linear((1.0, 0.0), scale=2.0), "b": Quadratic(scale=-0.5)}
    torch.testing.assert_close(WeightedSum(terms)(POINTS), 2 * POINTS[:, 0] - 0.5 * Quadratic()(POINTS))
    found = WeightedSum({**terms, "half": HalfPlane()}).statistics(POINTS)
    assert list(found) == ["terms/a", "terms/b", "terms/half", *HalfPlane().statistics(POINTS)]
    torch.testing.assert_close(found["terms/a"], POINTS[:, 0])
    with pytest.raises(ValueError, match="at least one reward"):
        WeightedSum({})


@pytest.mark.parametrize("reward", [Symmetry(), Antisymmetry(), Rotation(), Mask("keyhole")], ids=str)
def test_rewards_on_images_are_at_most_zero_and_one_per_image(reward) -> None:
    values = reward(IMAGES)
    assert values.shape == (3,)
    assert (values < 0).all()
    torch.testing.assert_close(values[1:2], reward(IMAGES[1:2]))
    with pytest.raises(ValueError, match=r"needs images \(C, H, W\)"):
        reward(POINTS)


def test_images_that_are_rewarded_most() -> None:
    mirror = IMAGES.flip(-1)
    zero = torch.zeros(3).double()
    torch.testing.assert_close(Symmetry()(IMAGES + mirror), zero)
    torch.testing.assert_close(Antisymmetry()(IMAGES - mirror), zero)
    torch.testing.assert_close(Rotation()(IMAGES + IMAGES.flip(-2, -1)), zero)
    for shape in ("disc", "half", "keyhole", "infinity", "dial"):
        assert torch.equal(Mask(shape)(-torch.ones_like(IMAGES)), zero)  # all black
        assert (Mask(shape)(torch.ones_like(IMAGES)) < -0.4).all()


def test_symmetry_by_hand() -> None:
    image = torch.tensor([[[[1.0, 3.0], [0.0, 0.0]]]])
    assert Symmetry()(image).item() == -(4 + 4) / 4
    assert Antisymmetry()(image).item() == -(16 + 16) / 4
    assert Rotation()(image).item() == -(1 + 9 + 9 + 1) / 4


def test_half_mask_blackens_the_right() -> None:
    left = torch.full((1, 1, 4, 4), -1.0)
    left[..., :2] = 1
    assert Mask("half")(left).item() == 0
    assert Mask("half")(left.flip(-1)).item() == -2  # eight of sixteen pixels are off by two


def test_mask_from_a_picture(tmp_path: Path) -> None:
    """White inside, whatever the size; what is transparent is outside."""
    pixels = np.zeros((40, 40, 4), dtype=np.uint8)
    pixels[:, :20] = 255  # the left half
    pixels[20:, :20, 3] = 0  # whose lower half is transparent
    Image.fromarray(pixels).save(tmp_path / "own.png")
    reward = Mask(str(tmp_path / "own.png"))
    image = torch.full((1, 1, 8, 8), -1.0)
    image[..., :4, :4] = 1
    assert reward(image).item() == 0
    for turned in (image.flip(-1), image.flip(-2), image.flip(-1, -2)):
        assert reward(turned).item() == -1  # a quarter of the pixels is off by two
    (tmp_path / "text.png").write_text("no picture")
    for name, reason in (("text.png", "is not a picture"), ("none.png", "does not exist")):
        with pytest.raises(ValueError, match=f"reward.shape=.*{name}: the file {reason}"):
            Mask(str(tmp_path / name))


def test_what_is_kept_of_a_picture(tmp_path: Path) -> None:
    """Outside of the mask every pixel counts, inside none, at any size."""
    pixels = np.full((8, 8, 3), 255, dtype=np.uint8)
    pixels[:4] = 0  # the upper half is black
    Image.fromarray(pixels).save(tmp_path / "two.png")
    reward = Keep(str(tmp_path / "two.png"), "half")
    image = torch.ones(1, 3, 8, 8)
    image[..., :4, :] = -1
    assert reward(image).item() == 0
    for half, loss in ((slice(None, 4), 0), (slice(4, None), -2)):  # the left may change, half of the right is off by 2
        changed = image.clone()
        changed[..., half] *= -1
        assert reward(changed).item() == loss
    with pytest.raises(ValueError, match=r"reward\.path=.*of shape \(2, 8, 8\)"):
        reward(image[:, :2])
    Image.new("L", (5, 7), 255).save(tmp_path / "white.png")
    assert Keep(str(tmp_path / "white.png"))(torch.ones(1, 1, 9, 6)).item() == 0


def test_another_network_says_whether_a_digit_is_shown() -> None:
    three = read_sample("path", "three", (1, 28, 28))[None]
    images = torch.cat([three, torch.full_like(three, -1.0)])
    assert Digit(3).statistics(images)["shows_the_digit"].tolist() == [1.0, 0.0]
    assert Digit(8).statistics(images)["shows_the_digit"].tolist() == [0.0, 0.0]
    assert Digit(3, second=None).statistics(images) == {}


@pytest.mark.parametrize(("reward", "size"), [(Digit(3), 28), (Clock("4:45"), 32), (Symmetry(), 28)], ids=str)
def test_forward_and_backward_derivatives_agree_and_leave_no_trace(reward, size: int) -> None:
    """Of networks, too, which a forward derivative must not wrap (that crashed the process in the call after)."""
    x, along = noise.normal((2, 3, 1, size, size), 0, "derivatives").float()
    x.requires_grad_()
    for _ in range(2):
        (slope,) = torch.autograd.grad(reward(x).sum(), x)
        _, change = torch.func.jvp(reward, (x.detach(),), (along,))
        torch.testing.assert_close(change, (slope * along).flatten(1).sum(1), rtol=1e-3, atol=1e-4)
        if hasattr(reward, "network"):
            assert not any(torch._C._functorch.is_functorch_wrapped_tensor(p) for p in reward.network.parameters())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Linear((float("nan"),)), "reward.direction=nan: must be a finite number"),
        (lambda: Quadratic(scale=float("nan")), "reward.scale=nan: must be a finite number"),
        (lambda: Mask("square"), "reward.shape=square: must be one of disc, half, keyhole, infinity, dial, nothing"),
        (lambda: Linear((1.0, 2.0, 3.0))(POINTS), r"reward.direction=\[1.0, 2.0, 3.0\]: needs 1 or 2 numbers"),
        (lambda: Quadratic()(IMAGES), "needs a model of points"),
    ],
)
def test_bad_parameters_are_named(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_nothing_is_free_where_the_mask_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(path)
    picture = torch.ones(1, 1, 8, 8)
    changed = picture.clone()
    changed[..., 4, 4] = -1
    reward = Keep(str(path), "nothing")
    assert reward(torch.cat([picture, changed])).tolist() == [0, -4 / 64]


def test_a_sum_tells_prompts_to_the_terms_that_take_them() -> None:
    told = ConditionalQuadratic()
    both = WeightedSum({"told": told, "plain": Linear((1.0, 0.5), scale=2.0)})
    encoded = both.encode_prompts(["left", "up"])
    assert list(encoded) == ["told"]
    which = torch.tensor([0, 1, 1, 0, 1])
    own = told.encode_prompts(["left", "up"])[which]
    expected = told(POINTS, own) + 2 * Linear((1.0, 0.5))(POINTS)
    torch.testing.assert_close(both(POINTS, {"told": own}), expected)
    torch.testing.assert_close(both(POINTS, own), expected)  # as the library gives a condition
    torch.testing.assert_close(both.statistics(POINTS, {"told": own})["beyond"], told.statistics(POINTS, own)["beyond"])


def test_a_sum_keeps_the_names_of_what_a_term_encodes() -> None:
    class Named:
        scale = 1.0

        def encode_prompts(self, texts: list[str]) -> dict[str, torch.Tensor]:
            return {"a": torch.arange(len(texts)).double(), "b": torch.ones(len(texts)).double()}

        def __call__(self, x: torch.Tensor, condition: dict[str, torch.Tensor]) -> torch.Tensor:
            return condition["a"] + condition["b"] * x[:, 0]

    both = WeightedSum({"first": Named(), "second": Named()})
    encoded = both.encode_prompts(["x", "y", "z", "u", "v"])
    assert list(encoded) == ["first/a", "first/b", "second/a", "second/b"]
    torch.testing.assert_close(both(POINTS, encoded), 2 * (torch.arange(5) + POINTS[:, 0]))
