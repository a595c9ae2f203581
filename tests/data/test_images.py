"""Pictures that users bring: what is read of them, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fmtt.data.images import read_image, read_sample
from fmtt.flow import noise

SIZE = 64


def test_grey_of_sixteen_bits_is_grey(tmp_path: Path) -> None:
    """Pillow's own conversion would make all of it white but the first."""
    levels = np.array([[0, 16384, 32768, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    found = read_image("path", tmp_path / "deep.png", channels=1)
    torch.testing.assert_close(found, torch.tensor([[[0, 0.25, 0.5, 1]]]), rtol=0, atol=1 / 255)


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [255, 255, 255, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "glass.png")
    found = read_image("path", tmp_path / "glass.png", channels=3)
    expected = torch.tensor([[1, 0, 0.2], [0, 0, 0.2], [0, 0, 0.2]])[:, None]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_a_sample_has_the_size_and_the_range_of_the_model(tmp_path: Path) -> None:
    pixels = np.repeat(np.array([[0, 255]], np.uint8), 40, axis=0).repeat(20, axis=1)
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    found = read_sample("path", tmp_path / "halves.png", (1, 4, 4))
    assert found[0, 0].tolist() == pytest.approx([-1, -1, 1, 1], abs=0.3)
    assert found.shape == (1, 4, 4)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = (255 * noise.uniform((SIZE, SIZE), 0, "pixels")).to(torch.uint8).numpy()
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def test_every_kind_of_damage_is_one_message(picture: Path) -> None:
    """A file that is cut off anywhere, or has a wrong byte anywhere in its first pieces."""
    whole, wrong = picture.read_bytes(), 0
    for place in [*range(80), *range(80, len(whole), 397)]:
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]):
            picture.write_bytes(damaged)
            try:
                read_image("path", picture, channels=1)
            except ValueError as error:
                assert str(error) == f"path={picture}: the file is not a picture"
                wrong += 1
    assert wrong > 60


def test_a_picture_that_is_too_large_is_refused(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE)
    with pytest.raises(ValueError, match="is not a picture"):
        read_image("path", picture, channels=1)
