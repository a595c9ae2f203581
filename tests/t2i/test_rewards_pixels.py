"""The preprocessing of pictures against that of transformers, torchvision and HPS v2."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.functional as vision
from PIL import Image
from transformers import CLIPImageProcessor

from fmtt.rewards.t2i import pixels as prepared
from fmtt.rewards.t2i.pixels import MEAN, STD, cropped, letterboxed
from tests.t2i.tiny_rewards import PICTURES, picture, pictures, pixels, slope_error

pytestmark = pytest.mark.filterwarnings("ignore")
EACH = pytest.mark.parametrize("name", PICTURES)


def processed(image: Image.Image | torch.Tensor, size: int, rescale: bool) -> torch.Tensor:
    """The processor of transformers."""
    sizes = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    return CLIPImageProcessor(**sizes)(image, do_rescale=rescale, return_tensors="pt")["pixel_values"]


@EACH
@pytest.mark.parametrize("size", [224, 32])
def test_floats_are_those_of_the_processor(name: str, size: int) -> None:
    x = pixels(picture(name))
    expected = processed(x[0] / 2 + 0.5, size, rescale=False)
    torch.testing.assert_close(cropped(x, size), expected, rtol=0, atol=1e-5)


def levels(seen: torch.Tensor) -> torch.Tensor:
    """What a network sees, as colours from 0 to 255."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return 255 * (seen * std + mean)


def in_two_passes(kept: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor, int, int], torch.Tensor]:
    """Our resizing along the rows, then along the columns; ``kept`` is what remains of colours after each pass."""
    plain = prepared.resized
    return lambda seen, high, wide: kept(plain(kept(plain(seen, seen.shape[-2], wide)), high, wide))


@EACH
def test_of_a_png_only_8_bits_are_different(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor keeps 8 bits of a PNG after each pass: it rounds, and clips what overshoots beside sharp edges.

    With both, almost all colours are equal; the rest are ties that fall on the other side, since the processor's
    weights are whole numbers. With clipping alone a colour is off by the rounding of two passes, about a level.
    Without either, as the rewards have it, colours are off by 2 levels on average in plots of black on white, where
    much overshoots, and by a tenth of a level in a soft picture.
    """
    image = picture(name)
    expected = levels(processed(image, 224, rescale=True))
    off = (levels(cropped(pixels(image), 224)) - expected).abs()
    assert off.mean() < (0.2 if "scene" in name else 2)
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "resized", in_two_passes(lambda seen: seen.clamp(0, 1)))
        off = (levels(cropped(pixels(image), 224)) - expected).abs()
        assert off.max() < 1.1
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "resized", in_two_passes(lambda seen: (255 * seen).clamp(0, 255).round() / 255))
        off = (levels(cropped(pixels(image), 224)) - expected).abs()
        assert off.max() < 2.1 and (off > 0.1).double().mean() < 0.005


@EACH
@pytest.mark.parametrize("size", [224, 31])
def test_letterboxes_are_those_of_hpsv2(name: str, size: int) -> None:
    """Its ``ResizeMaxSize`` and normalisation in the words of torchvision, on floats as there."""
    x = pixels(picture(name))
    height, width = x.shape[-2:]
    scale = size / max(height, width)
    lengths = [round(length * scale) for length in (height, width)]
    seen = vision.resize(x / 2 + 0.5, lengths, vision.InterpolationMode.BICUBIC, antialias=True)
    high, wide = size - lengths[0], size - lengths[1]
    seen = vision.pad(seen, [wide // 2, high // 2, wide - wide // 2, high - high // 2], fill=0)
    torch.testing.assert_close(letterboxed(x, size), vision.normalize(seen, MEAN, STD), rtol=0, atol=1e-5)


def test_the_two_agree_only_on_squares() -> None:
    square, wide = pictures(40, 40), pictures(40, 64)
    torch.testing.assert_close(cropped(square, 32), letterboxed(square, 32))
    assert (cropped(wide, 32) - letterboxed(wide, 32)).abs().max() > 1


@pytest.mark.parametrize("prepare", [cropped, letterboxed])
def test_a_value_outside_counts_as_the_colour_that_is_saved_and_has_no_slope(prepare) -> None:
    x = 1.5 * pictures(33, 50).double()
    outside = x.abs() > 1
    assert 0.02 < outside.double().mean() < 0.5
    assert torch.equal(prepare(x, 32), prepare(x.clamp(-1, 1), 32))
    point = x.requires_grad_()
    (slope,) = torch.autograd.grad(prepare(point, 32).square().sum(), point)
    assert (slope[outside] == 0).all() and (slope[~outside] != 0).double().mean() > 0.5


@pytest.mark.parametrize("prepare", [cropped, letterboxed])
def test_slopes_are_those_of_differences(prepare) -> None:
    assert slope_error(lambda x: prepare(x, 32).square().flatten(1).sum(1), pictures(33, 50).double()) < 1e-7


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 32), (2, 2)])
def test_what_is_no_picture_in_colour_is_refused(shape: tuple[int, ...]) -> None:
    for prepare in (cropped, letterboxed):
        with pytest.raises(ValueError, match=r"this reward needs pictures \(3, H, W\), not samples of shape \("):
            prepare(torch.zeros(shape), 32)
