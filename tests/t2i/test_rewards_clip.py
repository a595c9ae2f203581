"""CLIP, PickScore, HPS v2 and the aesthetic predictor against the computation of transformers and open_clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor

from fmtt.flow.conditions import encoded, rows
from fmtt.flow.protocols import as_reward
from fmtt.rewards.t2i.aesthetic import Aesthetic, load_aesthetic
from fmtt.rewards.t2i.clip import ClipScore, PictureTower, TextTower, load_clip
from fmtt.rewards.t2i.hpsv2 import from_open_clip, load_hpsv2
from fmtt.rewards.t2i.networks import Head
from fmtt.rewards.t2i.pickscore import load_pickscore
from fmtt.rewards.t2i.pixels import letterboxed
from tests.t2i.tiny import moved
from tests.t2i.tiny_rewards import (
    TEXTS,
    clip,
    clip_folder,
    clip_tokenizer,
    open_clip_names,
    picture,
    pictures,
    pixels,
    slope_error,
)

pytestmark = pytest.mark.filterwarnings("ignore")


def processor(model: CLIPModel) -> CLIPProcessor:
    size = model.config.vision_config.image_size
    pixels = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    return CLIPProcessor(pixels, clip_tokenizer())


def score(model: CLIPModel, factor: float = 1.0, scale: float = 1.0) -> ClipScore:
    return ClipScore(PictureTower(model), TextTower(model, clip_tokenizer()), factor, scale)


def logits(model: CLIPModel, images: Sequence[Tensor | Image], texts: Sequence[str]) -> Tensor:
    """Of pictures and texts, ``(B, P)``, by transformers; tensors are in [0, 1]. Texts are padded to the longest."""
    floats = {} if isinstance(images[0], Image) else {"do_rescale": False}
    limits = {"padding": True, "truncation": True, "max_length": 24, "return_tensors": "pt"}
    with torch.no_grad():
        return model(**processor(model)(text=list(texts), images=list(images), **limits, **floats)).logits_per_image


@pytest.mark.parametrize(("activation", "end"), [("quick_gelu", 53), ("gelu", 2)], ids=["openai", "laion"])
def test_scores_are_those_of_transformers(activation: str, end: int, tmp_path: Path) -> None:
    model, x = clip(activation, end), pictures(48, 80)
    folder = clip_folder(tmp_path, model)
    expected = logits(model, x / 2 + 0.5, TEXTS)
    assert expected.std() > 1e-2
    for reward, factor in ((load_clip(folder), model.logit_scale.exp()), (load_pickscore(folder, folder), 1.0)):
        told = reward.encode_prompts(TEXTS)
        for k in range(3):
            found = reward(x, condition=told[[k] * 3])
            torch.testing.assert_close(found * factor, expected[:, k], rtol=1e-5, atol=1e-5)


def test_scales_are_kept_and_networks_are_in_single_precision(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path, clip().half())
    for reward in (load_clip(folder, scale=3.0), load_pickscore(folder, folder, scale=3.0)):
        assert reward.scale == 3.0
        assert {parameter.dtype for parameter in reward.pictures.parameters()} == {torch.float32}
        assert reward.encode_prompts(TEXTS).dtype == torch.float32


def test_a_png_has_the_score_of_the_saved_picture(tmp_path: Path) -> None:
    """The processor rounds to 8 bits after resizing; a float does not."""
    model, image = clip(), picture("docs/geometry.png")
    reward = load_clip(clip_folder(tmp_path, model))
    expected = logits(model, [image], TEXTS[:1])[0, 0] / model.logit_scale.exp()
    found = reward(pixels(image), condition=reward.encode_prompts(TEXTS[:1]))
    assert found.item() == pytest.approx(expected.item(), abs=2e-3)


def test_a_batch_mixes_prompts_and_a_wrong_prompt_changes_it() -> None:
    reward = score(clip())
    record, x = as_reward(reward), pictures(32, 32)
    told = encoded(TEXTS, record.encode_prompts)
    assert record.conditional and told.shape == (3, 12) and not told.requires_grad
    mixed = reward(x, condition=rows(told, torch.tensor([2, 0, 1])))
    for k, prompt in enumerate((2, 0, 1)):
        torch.testing.assert_close(mixed[k : k + 1], reward(x[k : k + 1], condition=told[prompt : prompt + 1]))
    assert (mixed - reward(x, condition=told)).abs().min() > 1e-4


def test_the_picture_tower_alone_follows_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    model = clip()
    reward = score(model)
    told, moves = reward.encode_prompts(["a cat"]), []
    with monkeypatch.context() as patch:  # what is there already is not moved: see `on`
        patch.setattr(PictureTower, "to", lambda self, device: moves.append(device))
        assert reward(pictures(32, 32)[:1], condition=told).isfinite().all() and moves == []
    assert reward(torch.zeros(2, 3, 32, 32, device="meta"), condition=told).device.type == "meta"
    assert torch.equal(reward.encode_prompts(["a cat"]), told)
    aesthetic = Aesthetic(nn.Sequential(PictureTower(clip()), Head(12)))
    assert aesthetic(torch.zeros(2, 3, 32, 32, device="meta")).device.type == "meta"


def test_slopes_are_those_of_differences() -> None:
    reward = score(clip().double(), factor=20.0)
    told = reward.encode_prompts(TEXTS)
    assert slope_error(lambda x: reward(x, condition=told), pictures(40, 64).double()) < 1e-5


def test_forward_derivatives_exist() -> None:
    """The material derivative needs them; only plain attention has them."""
    reward = score(clip().double())
    told, x = reward.encode_prompts(TEXTS), pictures(40, 64).double()
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        _, rate = torch.func.jvp(lambda point: reward(point, condition=told), (x,), (way,))
    difference = (reward(x + 1e-5 * way, condition=told) - reward(x - 1e-5 * way, condition=told)) / 2e-5
    torch.testing.assert_close(rate, difference, rtol=1e-5, atol=1e-8)


def test_without_a_prompt_one_line_says_so() -> None:
    reward = score(clip())
    with pytest.raises(ValueError, match="prompt=null: this reward needs a prompt"):
        reward(pictures(32, 32))
    with pytest.raises(ValueError, match=r"reward\.scale=nan: must be a finite number"):
        score(clip(), scale=float("nan"))


def hps_folder(folder: Path, tensors: dict[str, Tensor]) -> str:
    """A folder with the file and the architecture, in half precision like the published one."""
    config = clip("gelu", 2).config
    config.text_config.dtype = config.vision_config.dtype = torch.float16
    config.save_pretrained(folder)
    clip_tokenizer().save_pretrained(folder)
    half = {name: value.half() for name, value in tensors.items()}
    torch.save({"state_dict": half}, folder / "HPS_v2.1_compressed.pt")
    return str(folder)


def test_hpsv2_reads_the_names_of_open_clip(tmp_path: Path) -> None:
    model = clip("gelu", 2).half().float()
    reward = load_hpsv2(folder := hps_folder(tmp_path, open_clip_names(model)), architecture=folder)
    assert {parameter.dtype for parameter in reward.pictures.parameters()} == {torch.float32}
    assert load_hpsv2(folder, architecture=folder, scale=3.0).scale == 3.0
    x = pictures(48, 48)
    found = torch.stack([reward(x, condition=reward.encode_prompts([text] * 3)) for text in TEXTS], dim=1)
    torch.testing.assert_close(found * model.logit_scale.exp(), logits(model, x / 2 + 0.5, TEXTS), rtol=1e-5, atol=1e-5)
    assert reward.pictures.prepare is letterboxed
    mapped = from_open_clip(open_clip_names(model))
    assert mapped.keys() == model.state_dict().keys()
    assert all(torch.equal(value, mapped[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"visual.extra": torch.ones(1)}, "the tensor visual.extra is unknown"),
        ({"ln_final.bias": None}, "the tensor text_model.final_layer_norm.bias is missing"),
        ({"visual.proj": torch.ones(3, 3)}, "the tensor visual_projection.weight has another shape"),
    ],
)
def test_every_tensor_of_hpsv2_is_used_or_the_file_is_refused(change: dict, line: str, tmp_path: Path) -> None:
    tensors = {name: value for name, value in (open_clip_names(clip()) | change).items() if value is not None}
    folder = hps_folder(tmp_path, tensors)
    with pytest.raises(ValueError, match=rf"reward\.file=HPS_v2\.1_compressed\.pt: {line}"):
        load_hpsv2(folder, architecture=folder)
    torch.save(tensors, tmp_path / "plain.pt")
    with pytest.raises(ValueError, match=r"reward\.file=plain\.pt: must hold a state_dict"):
        load_hpsv2(folder, "plain.pt", folder)


class PublishedHead(nn.Module):
    """As in ``simple_inference.py`` of improved-aesthetic-predictor."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 1024), nn.Dropout(0.2), nn.Linear(1024, 128), nn.Dropout(0.2), nn.Linear(128, 64),
            nn.Dropout(0.1), nn.Linear(64, 16), nn.Linear(16, 1),
        )  # fmt: skip


def test_the_aesthetic_score_is_that_of_the_published_head(tmp_path: Path) -> None:
    model = clip()
    folder = clip_folder(tmp_path, model)
    torch.manual_seed(2)
    head = moved(PublishedHead(12))
    torch.save(head.state_dict(), tmp_path / "head.pth")
    reward, x = load_aesthetic(folder, "head.pth", folder), pictures(48, 80)
    seen = processor(model).image_processor(list(x / 2 + 0.5), do_rescale=False, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        embedding = model.get_image_features(pixel_values=seen).pooler_output
        expected = head.layers(embedding / embedding.norm(dim=1, keepdim=True))[:, 0]
    torch.testing.assert_close(reward(x), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 1e-4 and not as_reward(reward).conditional
    assert load_aesthetic(folder, "head.pth", folder, scale=3.0).scale == 3.0
    torch.save({"layers.0.weight": torch.ones(2, 2)}, tmp_path / "head.pth")
    with pytest.raises(ValueError, match=r"reward\.file=head\.pth: the tensor layers\.0\.bias is missing"):
        load_aesthetic(folder, "head.pth", folder)


def test_the_aesthetic_score_has_slopes() -> None:
    torch.manual_seed(3)
    reward = Aesthetic(nn.Sequential(PictureTower(clip()), moved(Head(12))).double())
    assert slope_error(reward, pictures(40, 40).double()) < 1e-5
