"""Of a PNG every reward has the score that the published code computes from the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import torchvision.transforms.functional as vision
from PIL import Image
from torch import Tensor
from torchvision import transforms
from transformers import CLIPModel

from fmtt.rewards.t2i import pixels as prepared
from fmtt.rewards.t2i.aesthetic import load_aesthetic
from fmtt.rewards.t2i.hpsv2 import load_hpsv2
from fmtt.rewards.t2i.imagereward import ImageReward
from fmtt.rewards.t2i.pickscore import load_pickscore
from fmtt.rewards.t2i.pixels import MEAN, STD
from tests.t2i.test_rewards_clip import PublishedHead, hps_folder, logits, processor
from tests.t2i.test_rewards_imagereward import network, of_pixels
from tests.t2i.test_rewards_pixels import in_two_passes
from tests.t2i.tiny import moved
from tests.t2i.tiny_rewards import (
    PICTURES,
    TEXTS,
    bert_tokenizer,
    clip,
    clip_folder,
    clip_tokenizer,
    open_clip_names,
    picture,
    pixels,
)

pytestmark = pytest.mark.filterwarnings("ignore")
TEXT = TEXTS[1]
Score = Callable[[Tensor], Tensor]  # of a picture (1, 3, H, W) in [-1, 1]
OfFile = Callable[[Image.Image], Tensor]


def seen_by_imagereward(image: Image.Image) -> Tensor:
    """The transform of ImageReward and of OpenAI's CLIP: 8 bits until it is a tensor."""
    bicubic = transforms.InterpolationMode.BICUBIC
    return transforms.Compose(
        [transforms.Resize(32, bicubic), transforms.CenterCrop(32), transforms.ToTensor(),
         transforms.Normalize(MEAN, STD)]
    )(image)[None]  # fmt: skip


def seen_by_hpsv2(image: Image.Image) -> Tensor:
    """The transform of HPS v2: a tensor first."""
    plain, size = vision.to_tensor(image), 32
    high, wide = (round(length * size / max(plain.shape[1:])) for length in plain.shape[1:])
    small = vision.resize(plain, [high, wide], vision.InterpolationMode.BICUBIC)
    edges = [(size - wide) // 2, (size - high) // 2, size - wide - (size - wide) // 2, size - high - (size - high) // 2]
    return vision.normalize(vision.pad(small, edges, fill=0), MEAN, STD)[None]


def embedded(model: CLIPModel, seen: Tensor) -> Tensor:
    found = model.get_image_features(pixel_values=seen).pooler_output
    return found / found.norm(dim=1, keepdim=True)


def pickscore(folder: Path) -> tuple[Score, OfFile]:
    model, reward = clip(), load_pickscore(place := clip_folder(folder, clip()), place)
    told = reward.encode_prompts([TEXT])
    return lambda x: reward(x, condition=told), lambda image: logits(model, [image], [TEXT])[0]


def hpsv2(folder: Path) -> tuple[Score, OfFile]:
    model = clip("gelu", 2).half().float()
    reward = load_hpsv2(place := hps_folder(folder, open_clip_names(model)), architecture=place)
    told = reward.encode_prompts([TEXT])
    tokens = clip_tokenizer()([TEXT], padding="max_length", max_length=24, return_tensors="pt")
    words = model.get_text_features(**tokens).pooler_output
    words = words / words.norm(dim=1, keepdim=True)
    return lambda x: reward(x, condition=told), lambda image: (embedded(model, seen_by_hpsv2(image)) * words).sum(1)


def imagereward(folder: Path) -> tuple[Score, OfFile]:
    net = network()
    reward = ImageReward(net, bert_tokenizer())
    told = reward.encode_prompts([TEXT])
    return lambda x: reward(x, condition=told), lambda image: of_pixels(net, seen_by_imagereward(image), TEXT)


def aesthetic(folder: Path) -> tuple[Score, OfFile]:
    model = clip()
    torch.manual_seed(2)
    head = moved(PublishedHead(12))
    torch.save(head.state_dict(), folder / "head.pth")
    reward = load_aesthetic(str(folder), "head.pth", clip_folder(folder, model))

    def of_file(image: Image.Image) -> Tensor:
        seen = processor(model).image_processor(image, return_tensors="pt")["pixel_values"]
        return head.layers(embedded(model, seen))[:, 0]

    return reward, of_file


REWARDS: dict[Callable[[Path], tuple[Score, OfFile]], Sequence[str]] = {
    pickscore: PICTURES,
    hpsv2: PICTURES,
    imagereward: PICTURES,
    aesthetic: PICTURES,
}


@pytest.mark.parametrize("reward", REWARDS)
@torch.no_grad()
def test_a_png_has_the_score_of_the_published_code(
    reward: Callable[[Path], tuple[Score, OfFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In units of the spread of scores. All but HPS v2 keep 8 bits after each pass, and clip what overshoots at edges.

    If our resizing did so, too, they would agree. It does not, which matters most in plots of black on white.
    """
    score, of_file = reward(tmp_path)
    images = [picture(name).reduce(4 if "docs" in name else 1) for name in REWARDS[reward]]  # large ones take long
    expected = []
    for number, image in enumerate(images):
        image.save(path := tmp_path / f"{number}.png")
        with Image.open(path) as file:
            expected.append(of_file(file.convert("RGB")))
    right = torch.cat(expected)

    def off() -> float:
        found = torch.cat([score(pixels(image)) for image in images])
        return ((found - right).abs().max() / right.std()).item()

    assert off() < (1e-4 if reward is hpsv2 else 0.1)
    if reward is not hpsv2:
        monkeypatch.setattr(prepared, "resized", in_two_passes(lambda seen: (255 * seen).clamp(0, 255).round() / 255))
        assert off() < 5e-3
