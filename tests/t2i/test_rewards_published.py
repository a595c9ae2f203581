"""The choices of the command line: what is missing gets one line, and the sum of ReNO."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from fmtt.flow.conditions import encoded, rows
from fmtt.flow.protocols import as_reward
from fmtt.rewards.t2i import imagereward
from fmtt.rewards.t2i.clip import load_clip
from fmtt.run.configs import CONFIGS
from tests.t2i.tiny import moved
from tests.t2i.tiny_rewards import (
    TEXTS,
    bert_tokenizer,
    blip_config,
    clip,
    clip_folder,
    open_clip_names,
    pictures,
    published_names,
)

pytestmark = pytest.mark.filterwarnings("ignore")


def chosen(*words: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config", overrides=list(words)).reward


ABSENT = {
    "clip": ("repository=openai/clip-vit-large-patch14", "network", "MIT"),
    "pickscore": ("repository=yuvalkirstain/PickScore_v1", "network", "not stated"),
    "hpsv2": ("repository=xswu/HPSv2", "HPS_v2.1_compressed.pt", "Apache-2.0"),
    "imagereward": ("repository=THUDM/ImageReward", "ImageReward.pt", "Apache-2.0"),
    "aesthetic": ("clip=openai/clip-vit-large-patch14", "network", "MIT"),
}


@pytest.mark.parametrize("name", ABSENT)
def test_weights_that_are_not_there_get_one_line(name: str) -> None:
    with pytest.raises(InstantiationException) as caught:
        instantiate(chosen(f"reward={name}"))
    setting, part, licence = ABSENT[name]
    line = f"reward.{setting}: the {part} is not on this machine (licence {licence}); reward.download=true fetches it"
    assert str(caught.value.__cause__) == line


def test_a_folder_without_weights_or_tokenizer_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"reward.repository={tmp_path}: has no network that can be read"):
        load_clip(str(tmp_path))
    clip().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"reward.repository={tmp_path}: has no tokenizer that can be read"):
        load_clip(str(tmp_path))
    (tmp_path / "ImageReward.pt").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=f"reward.repository={tmp_path}: has no ImageReward.pt that can be read"):
        imagereward.load_imagereward(str(tmp_path))


def test_the_sum_of_reno(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``5 HPS + ImageReward + .01 (100 cos) + .05 logit``: :mod:`fmtt.rewards.combination` does the rest."""
    monkeypatch.setattr(imagereward, "published_config", blip_config)
    folder, bert = clip_folder(tmp_path / "clip", clip()), tmp_path / "bert"
    torch.save({"state_dict": open_clip_names(clip())}, tmp_path / "clip" / "HPS_v2.1_compressed.pt")
    bert_tokenizer().save_pretrained(bert)
    torch.manual_seed(4)
    torch.save(
        published_names(moved(imagereward.ImageRewardNetwork(blip_config())).state_dict()), bert / "ImageReward.pt"
    )
    terms = {"hpsv2": ("repository", "architecture"), "clip": ("repository",), "pickscore": ("repository", "tokenizer")}
    words = [f"reward.terms.{term}.{key}={folder}" for term, keys in terms.items() for key in keys]
    words += [f"reward.terms.imagereward.{key}={bert}" for key in ("repository", "tokenizer")]
    reward, x = instantiate(chosen("reward=preference", *words)), pictures(48, 48)
    told = rows(encoded(TEXTS, as_reward(reward).encode_prompts), torch.tensor([2, 0, 1]))
    one = reward.statistics(x, condition=told)
    cosine, logit = one["terms/clip"], one["terms/pickscore"]
    torch.testing.assert_close(logit, clip().logit_scale.exp() * cosine)
    expected = 5 * one["terms/hpsv2"] + one["terms/imagereward"] + 0.01 * (100 * cosine) + 0.05 * logit
    torch.testing.assert_close(reward(x, condition=told), expected)
    with pytest.raises(ValueError, match="prompt=null: this reward needs a prompt"):
        reward(x)
