"""The reward ``hpsv2``: Human Preference Score v2.1 (arXiv 2306.09341), a CLIP ViT-H/14 in a file of open_clip."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.clip import ClipScore, PictureTower, TextTower
from fmtt.rewards.t2i.networks import filled, renamed
from fmtt.rewards.t2i.pixels import letterboxed
from fmtt.rewards.t2i.published import PublishedReward

# parts of the names of open_clip, and those of transformers' ``CLIPModel``
NAMES = (
    ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.conv1.", "vision_model.embeddings.patch_embedding."),
    ("visual.ln_pre.", "vision_model.pre_layrnorm."),
    ("visual.ln_post.", "vision_model.post_layernorm."),
    ("visual.proj", "visual_projection.weight"),
    ("transformer.resblocks.", "text_model.encoder.layers."),
    ("token_embedding.", "text_model.embeddings.token_embedding."),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("ln_final.", "text_model.final_layer_norm."),
    ("text_projection", "text_projection.weight"),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.", ".self_attn."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)
TRANSPOSED = ("visual.proj", "text_projection")


def from_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of open_clip's ``CLIP`` by the names of ``CLIPModel``; unknown names stay as they are."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        head, joined, kind = renamed(name, NAMES).partition("in_proj_")
        if joined:
            found |= {f"{head}{part}_proj.{kind}": rows for part, rows in zip("qkv", value.chunk(3), strict=True)}
        else:
            found[head] = value.T if name in TRANSPOSED else value
    return found


def load_hpsv2(
    repository: str = "xswu/HPSv2",
    file: str = "HPS_v2.1_compressed.pt",
    architecture: str = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    scale: float = 1.0,
    download: bool = False,
) -> ClipScore:
    """The cosine of HPS v2.1, about 0.3. Pictures that are not square get black bars, as in the published code.

    Args:
        repository: on the hub, or a folder with the file. The licence is Apache-2.0.
        file: its weights, by the names of open_clip.
        architecture: the repository of the configuration and the tokenizer, licence MIT.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if transformers or weights are missing, or a tensor of the file does not fit.
    """
    kinds = library("transformers")
    base = PublishedReward(architecture, "MIT", gated=False, download=download, setting="reward.architecture")
    held = PublishedReward(repository, "Apache-2.0", gated=False, download=download).tensors(file)
    if "state_dict" not in held:
        raise ValueError(f"reward.file={file}: must hold a state_dict, as the files of HPS v2 do")
    empty = kinds.CLIPModel(base.config(kinds.CLIPConfig)).float()
    clip = filled(empty, from_open_clip(held["state_dict"]), f"reward.file={file}")
    return ClipScore(PictureTower(clip, letterboxed), TextTower(clip, base.tokenizer()), scale=scale)
