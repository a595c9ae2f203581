"""ImageReward against BLIP of transformers, and the names of the published file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BlipForImageTextRetrieval, BlipImageProcessor

from fmtt.rewards.t2i import imagereward
from fmtt.rewards.t2i.imagereward import ImageReward, ImageRewardNetwork, from_published, load_imagereward
from tests.t2i.tiny import moved
from tests.t2i.tiny_rewards import TEXTS, bert_tokenizer, blip_config, pictures, published_names, slope_error

pytestmark = pytest.mark.filterwarnings("ignore")


def network() -> ImageRewardNetwork:
    torch.manual_seed(0)
    return moved(ImageRewardNetwork(blip_config()))


def expected(net: ImageRewardNetwork, x: Tensor, text: str) -> Tensor:
    """Scores of square pictures in [-1, 1] as in ``ImageReward.score``, through BLIP of transformers."""
    processor = BlipImageProcessor(size={"height": 32, "width": 32})
    return of_pixels(net, processor(list(x / 2 + 0.5), do_rescale=False, return_tensors="pt")["pixel_values"], text)


def of_pixels(net: ImageRewardNetwork, seen: Tensor, text: str) -> Tensor:
    """Scores of what the network sees."""
    blip = BlipForImageTextRetrieval(blip_config()).eval()
    blip.vision_model.load_state_dict(net.vision.state_dict())
    blip.text_encoder.load_state_dict(net.text.state_dict())
    tokens = bert_tokenizer()(text, padding="max_length", truncation=True, max_length=35, return_tensors="pt")
    with torch.no_grad():
        words = blip(
            input_ids=tokens.input_ids.expand(len(seen), -1),
            attention_mask=tokens.attention_mask.expand(len(seen), -1),
            pixel_values=seen,
        ).question_embeds
        score = words[:, 0]
        for place in (0, 2, 4, 6, 7):
            score = score @ net.mlp.layers[place].weight.T + net.mlp.layers[place].bias
    return (score[:, 0] - 0.16717362830052426) / 1.0333394966054072


def test_scores_are_those_of_transformers() -> None:
    net, x = network(), pictures(48, 48)
    reward = ImageReward(net, bert_tokenizer())
    told = reward.encode_prompts(TEXTS)
    assert told["input_ids"].shape == (3, 35)
    mixed = reward(x, condition=told)
    assert mixed.std() > 1e-4
    for k, text in enumerate(TEXTS):
        alone = reward(x, condition={name: rows[[k] * 3] for name, rows in told.items()})
        torch.testing.assert_close(alone, expected(net, x, text), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(mixed[k], alone[k], rtol=1e-5, atol=1e-5)


def test_network_and_tokens_follow_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    def places(self: ImageRewardNetwork, x: Tensor, input_ids: Tensor, attention_mask: Tensor) -> set[str]:
        return {thing.device.type for thing in (x, next(self.parameters()), input_ids, attention_mask)}

    monkeypatch.setattr(ImageRewardNetwork, "forward", places)
    reward = ImageReward(network(), bert_tokenizer())
    told = reward.encode_prompts(TEXTS)
    assert [reward(torch.zeros(3, 3, 32, 32, device=device), condition=told) for device in ("cpu", "meta")] == [
        {"cpu"}, {"meta"},
    ]  # fmt: skip


def test_padding_is_not_read() -> None:
    net, x = network(), pictures(32, 32)
    told = ImageReward(net, bert_tokenizer()).encode_prompts(TEXTS)
    other = torch.where(told["attention_mask"] == 0, 7, told["input_ids"])
    right = net(x, **told)
    torch.testing.assert_close(net(x, other, told["attention_mask"]), right)
    assert (net(x, told["input_ids"], torch.ones_like(other)) - right).abs().max() > 1e-5


def test_slopes_are_those_of_differences() -> None:
    reward = ImageReward(network().double(), bert_tokenizer())
    told = reward.encode_prompts(TEXTS)
    assert slope_error(lambda x: reward(x, condition=told), pictures(40, 64).double()) < 1e-5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of the published names, and the tokenizer."""
    monkeypatch.setattr(imagereward, "published_config", blip_config)
    torch.save(published_names(network().state_dict()), tmp_path / "ImageReward.pt")
    bert_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_the_published_names_are_read(folder: Path) -> None:
    reward, net, x = load_imagereward(str(folder), str(folder), scale=3.0), network(), pictures(32, 32)
    told = reward.encode_prompts(TEXTS)
    assert torch.equal(reward(x, condition=told), net(x, **told))
    assert reward.scale == 3.0
    assert not any(parameter.requires_grad for parameter in reward.network.parameters())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"blip.itm_head.weight": torch.ones(1)}, "the tensor blip.itm_head.weight is unknown"),
        ({"mlp.layers.7.bias": None}, "the tensor mlp.layers.7.bias is missing"),
        ({"blip.visual_encoder.pos_embed": torch.ones(1, 2, 20)}, "position_embedding has another shape"),
    ],
)
def test_every_tensor_is_used_or_the_file_is_refused(change: dict, line: str, folder: Path) -> None:
    tensors = published_names(network().state_dict()) | change
    torch.save({name: value for name, value in tensors.items() if value is not None}, folder / "ImageReward.pt")
    with pytest.raises(ValueError, match=f"ImageReward.pt: .*{line}"):
        load_imagereward(str(folder), str(folder))


def test_the_published_network_has_the_published_sizes() -> None:
    """ViT-L/16 of 224 pixels, and BERT of 12 layers that look at 1024 numbers a patch, as in ``med_config.json``."""
    config = imagereward.published_config()
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in ImageRewardNetwork(config).state_dict().items()}
    assert shapes["vision.embeddings.position_embedding"] == (1, 197, 1024)
    assert shapes["vision.encoder.layers.23.mlp.fc1.weight"] == (4096, 1024)
    assert shapes["text.embeddings.word_embeddings.weight"] == (30524, 768)
    assert shapes["text.encoder.layer.11.crossattention.self.key.weight"] == (768, 1024)
    assert shapes["text.encoder.layer.11.intermediate.dense.weight"] == (3072, 768)
    assert not any("layers.24." in name or "layer.12." in name for name in shapes)
    assert config.text_config.num_attention_heads == 12 and config.vision_config.num_attention_heads == 16
    assert config.vision_config.layer_norm_eps == 1e-6 and config.text_config.layer_norm_eps == 1e-12


def test_unused_tensors_are_the_named_ones_only() -> None:
    state = network().state_dict()
    assert from_published(published_names(state)).keys() == state.keys()
