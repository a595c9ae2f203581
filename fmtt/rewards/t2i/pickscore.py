"""The reward ``pickscore``: preferences of users of Pick-a-Pic (arXiv 2305.01569), learned by a CLIP ViT-H/14."""

from __future__ import annotations

from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.clip import ClipScore, PictureTower, TextTower
from fmtt.rewards.t2i.networks import frozen
from fmtt.rewards.t2i.published import PublishedReward


def load_pickscore(
    repository: str = "yuvalkirstain/PickScore_v1",
    tokenizer: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    scale: float = 1.0,
    download: bool = False,
) -> ClipScore:
    """``exp(logit_scale) cos(picture, prompt)``, about 20.

    Args:
        repository: a ``CLIPModel`` on the hub, or a folder of the same layout. PickScore states no licence.
        tokenizer: the repository of the tokenizer, licence MIT.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if transformers or weights are missing.
    """
    kinds = library("transformers")
    clip = frozen(PublishedReward(repository, "not stated", gated=False, download=download).network(kinds.CLIPModel))
    words = PublishedReward(tokenizer, "MIT", gated=False, download=download, setting="reward.tokenizer")
    texts = TextTower(clip, words.tokenizer())
    return ClipScore(PictureTower(clip), texts, clip.logit_scale.exp().item(), scale)
