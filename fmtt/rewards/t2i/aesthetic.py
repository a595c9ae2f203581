"""The reward ``aesthetic``: LAION's aesthetic predictor v2 (``sac+logos+ava1-l14-linearMSE``); needs no prompt."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from fmtt.checks import finite
from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.clip import PictureTower
from fmtt.rewards.t2i.networks import Head, filled, frozen, on
from fmtt.rewards.t2i.published import PublishedReward


@dataclass(frozen=True)
class Aesthetic:
    """``r(x)`` is how people would rate pictures ``(B, 3, H, W)`` in [-1, 1], from 1 to 10.

    Attributes:
        network: pictures to scores ``(B, 1)``; it follows the pictures to their device.
        scale: multiplies the reward.
    """

    network: nn.Module = field(repr=False)
    scale: float = 1.0

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        return on(self.network, x.device)(x)[:, 0]


def load_aesthetic(
    repository: str = "trl-lib/ddpo-aesthetic-predictor",
    file: str = "aesthetic-model.pth",
    clip: str = "openai/clip-vit-large-patch14",
    scale: float = 1.0,
    download: bool = False,
) -> Aesthetic:
    """A head on the embedding of CLIP ViT-L/14.

    Args:
        repository: on the hub, or a folder with the file. The licence is Apache-2.0, that of
            ``christophschuhmann/improved-aesthetic-predictor``.
        file: the weights of the head; the default is ``sac+logos+ava1-l14-linearMSE.pth`` by another name.
        clip: the repository of the ``CLIPModel``, licence MIT.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if transformers or weights are missing, or a tensor of the file does not fit.
    """
    seen = PublishedReward(clip, "MIT", gated=False, download=download, setting="reward.clip")
    tower = frozen(PictureTower(seen.network(library("transformers").CLIPModel)))
    tensors = PublishedReward(repository, "Apache-2.0", gated=False, download=download).tensors(file)
    head = filled(Head(tower.projection.out_features), tensors, f"reward.file={file}")
    return Aesthetic(nn.Sequential(tower, head), scale)
