"""A picture is edited by a mask and a question, and by a reference picture, on tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.command import Outcome
from tests.t2i.tiny_vlm import save_vlm

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE = (24, 16)  # width and height of the pictures


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_vlm("qwen3_vl", tmp_path_factory.mktemp("viewer"))


@pytest.fixture
def edited(fmtt: Callable[..., Outcome], klein: str, viewer: str, tmp_path: Path) -> Callable[..., Outcome]:
    """The command of the experiment on tiny weights, a picture in colour and a mask whose left half is free."""
    rng = np.random.default_rng(0)
    for name in ("mine", "reference"):
        Image.fromarray(rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    mask = np.zeros(SIZE[::-1], dtype=np.uint8)
    mask[:, : SIZE[0] // 2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def command(*words: str, folder: str = "run") -> Outcome:
        return fmtt(
            "experiment=edit_by_question", f"model.repository={klein}", "model.height=16", "model.width=24",
            f"sampler.start.path={tmp_path / 'mine.png'}", f"reward.terms.change.repository={viewer}",
            'prompt="a black cat"', f"reward.terms.keep.shape={tmp_path / 'mask.png'}", "precision=32-true",
            "population.groups=1", "population.particles=3", "sampler.steps=4", *words, small=False, folder=folder,
        )  # fmt: skip

    return command


def test_a_question_and_a_mask_edit_a_picture(edited: Callable[..., Outcome]) -> None:
    done = edited('reward.terms.change.question="Is the cat black?"')
    assert done.status == 0, done.err
    assert done.metrics["nfe/backward"] > 0 and 0 < done.metrics["says_yes"] < 1
    assert done.metrics["terms/keep"] > done.metrics["terms/keep/base_mean"], "the picture is kept outside of the mask"
    with Image.open(done.folder / "pictures" / "0.png") as picture:
        assert picture.size == SIZE and picture.mode == "RGB"


def test_pixels_outside_of_the_mask_follow_the_picture(edited: Callable[..., Outcome], tmp_path: Path) -> None:
    """With a strong term, the half that is kept comes nearer to the picture than without it; the free half need not."""
    distances = []
    with Image.open(tmp_path / "mine.png") as picture:
        mine = torch.tensor(np.asarray(picture)).movedim(-1, 0) / 127.5 - 1
    for scale in (0, 3000):
        words = (f"reward.terms.keep.scale={scale}", "reward.terms.change.scale=0", "sampler.start.t0=0.6")
        done = edited(*words, folder=str(scale))
        assert done.status == 0, done.err
        decoded = load_file(done.folder / "samples.safetensors")["decoded"][0].clamp(-1, 1)
        distances.append((decoded - mine).square()[..., SIZE[0] // 2 :].mean().item())
    assert distances[1] < 0.95 * distances[0], distances


def test_a_reference_picture_is_shown_with_the_question(edited: Callable[..., Outcome], tmp_path: Path) -> None:
    question = 'reward.terms.change.question="Is the cat of the first picture in the second one?"'
    plain = edited(question, folder="plain")
    told = edited(question, f"reward.terms.change.references=[{tmp_path / 'reference.png'}]", folder="told")
    assert told.status == 0, told.err
    assert told.metrics["says_yes"] != plain.metrics["says_yes"]
