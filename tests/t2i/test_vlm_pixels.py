"""Patches of pictures: equal to those of the image processor of transformers, and differentiable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import Qwen2VLImageProcessor

from fmtt.data.images import read_image
from fmtt.rewards.vlm.pixels import Patches, patches_of
from tests.t2i.tiny_vlm import BOUNDS, COLOURS, PATCH

pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]


def processor() -> Qwen2VLImageProcessor:
    return Qwen2VLImageProcessor(size=dict(BOUNDS), patch_size=PATCH, **COLOURS)


def patches() -> Patches:
    return patches_of(processor(), None)


def pictures(*size: int) -> torch.Tensor:
    """In [0, 1]; no two pixels are alike."""
    return torch.rand(*size, generator=torch.Generator().manual_seed(sum(size)))


SIZES = {
    "as it is": (24, 40), "a little larger": (21, 37), "larger": (9, 13), "smaller": (70, 50), "long": (8, 200),
    "one row": (40, 5),
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_patches_are_those_of_the_processor(size: tuple[int, int]) -> None:
    shown = pictures(2, 3, *size)
    expected = processor()(list(shown), do_rescale=False, return_tensors="pt")
    values, grid = patches()(shown * 2 - 1)
    assert torch.equal(grid, expected["image_grid_thw"])
    torch.testing.assert_close(values, expected["pixel_values"], rtol=1e-5, atol=1e-5)


def test_the_order_of_patches_is_that_of_merged_squares() -> None:
    """A picture whose pixels say where they are: the second patch is right of the first, the third below it."""
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
    values = patches().cut(torch.stack([rows, columns, rows * columns])[None])
    corners = values.unflatten(1, (3, 2, PATCH, PATCH))[:, :2, :, 0, 0]
    assert corners[:5, :, 0].tolist() == [[0, 0], [0, 4], [4, 0], [4, 4], [0, 8]]
    assert torch.equal(corners[:, :, 0], corners[:, :, 1]) and corners[-1, :, 0].tolist() == [20, 36]


def in_8_bits(levels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """As torchvision resizes files: along the width, then along the height, rounded and clamped after both."""
    for size in ((levels.shape[2], width), (height, width)):
        levels = F.interpolate(levels, size, mode="bicubic", antialias=True).round().clamp(0, 255)
    return levels


@pytest.mark.parametrize("name", ["fmtt/data/pictures/scene_1.png", "docs/edit_clock.png", "docs/frontier.png"])
def test_picture_files_differ_by_the_rounding_of_the_processor(name: str) -> None:
    published = Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 65536, "longest_edge": 300_000})
    with Image.open(ROOT / name) as opened:
        expected = published(opened.convert("RGB"), return_tensors="pt")
    shown, cut = read_image("picture", ROOT / name, channels=3)[None], patches_of(published, None)
    (values, grid), level = cut(shown * 2 - 1), 1 / 255 / min(published.image_std)
    assert torch.equal(grid, expected["image_grid_thw"])
    assert (values - expected["pixel_values"]).abs().mean() < 0.7 * level
    rounded, _ = cut(in_8_bits(shown * 255, *cut.size(*shown.shape[2:])) / 127.5 - 1)
    difference = (rounded - expected["pixel_values"]).abs() / level
    assert difference.max() < 1.01 and difference.mean() < 0.01, "its weights are rounded, too"


def test_gradients_go_through_resize_and_patches() -> None:
    shown = (pictures(1, 3, 9, 13).double() * 1.6 - 0.8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: patches()(x)[0], shown, fast_mode=True)
    assert patches()(shown)[0].dtype == torch.float64


def test_half_precision_is_seen_in_float32() -> None:
    shown = (pictures(1, 3, 9, 13) * 2 - 1).bfloat16()
    assert torch.equal(patches()(shown)[0], patches()(shown.float())[0])


def test_what_a_file_cannot_hold_is_clamped_and_has_no_gradient() -> None:
    shown = (pictures(1, 3, 24, 40) * 3 - 1.5).requires_grad_()
    values, _ = patches()(shown)
    assert torch.equal(values, patches()(shown.clamp(-1, 1))[0])
    (slope,) = torch.autograd.grad(values.square().sum(), shown)
    assert torch.equal(slope != 0, shown.abs() < 1)


def test_the_bound_of_pixels_is_a_setting() -> None:
    small = patches_of(processor(), 16 * 16)
    assert small.size(64, 64) == (16, 16) and patches().size(64, 64) == (32, 32)
    with pytest.raises(ValueError, match=r"reward\.max_pixels=255: must be a whole number of at least 256"):
        patches_of(processor(), 255)
