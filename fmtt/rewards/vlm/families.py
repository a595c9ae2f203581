"""The families of vision-language models, and how one is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from fmtt.data.images import read_image
from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.published import PublishedReward
from fmtt.rewards.vlm.pixels import patches_of
from fmtt.rewards.vlm.viewer import Viewer


@dataclass(frozen=True)
class Family:
    """Models that transformers runs by one class.

    Attributes:
        name: of the class.
        layered: outputs of its vision tower that hold features of several layers, beside those of the last one.
    """

    name: str
    layered: tuple[str, ...] = ()


FAMILIES = {  # by the ``model_type`` of the configuration
    "qwen2_5_vl": Family("Qwen2_5_VLForConditionalGeneration"),
    "qwen3_vl": Family("Qwen3VLForConditionalGeneration", ("deepstack_features",)),
}


class ModelType:
    """The ``model_type`` of a repository, as ``PublishedReward.part`` loads it."""

    @staticmethod
    def from_pretrained(repository: str, subfolder: str, local_files_only: bool) -> str:
        read = library("transformers").PreTrainedConfig.get_config_dict
        return read(repository, subfolder=subfolder, local_files_only=local_files_only)[0].get("model_type", "none")


def load_viewer(weights: PublishedReward, references: Sequence[str], max_pixels: int | None) -> Viewer:
    """The model of a repository, in the precision in which it is published.

    Args:
        weights: where it is.
        references: files of pictures that every message shows first.
        max_pixels: bound of the size at which pictures are seen; None for that of the repository.

    Raises:
        ValueError: if a part or a file is missing, the model is of another family, or the bound is too low.
    """
    kind = weights.part(ModelType, "")
    if kind not in FAMILIES:
        raise ValueError(
            f"reward.repository={weights.repository}: a model of type {kind}, must be one of {', '.join(FAMILIES)}"
        )
    pictures = [read_image("reward.references", path, channels=3) * 2 - 1 for path in references]
    transformers, family = library("transformers"), FAMILIES[kind]
    processor = weights.part(transformers.AutoProcessor, "")
    patches = patches_of(processor.image_processor, max_pixels)
    model = weights.network_in(getattr(transformers, family.name), "", dtype="auto", spare=True)
    return Viewer(checkpointed(model), processor, patches, pictures, family.layered)


def checkpointed(model: Any) -> Any:
    """The frozen model. Where gradients flow its layers keep their inputs alone, and compute the rest again.

    transformers does so for layers in training mode. Only the layers themselves are set to it: their parts, which hold
    all dropout, are not. ``torch.func.grad`` cannot pass through such layers.
    """
    model.eval().requires_grad_(False).activation_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()  # or every output would have a gradient, even for pictures that want none
    for layer in layers_of(model):
        layer.training = True
    return model


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of the vision tower and of the language model."""
    kind = library("transformers.modeling_layers").GradientCheckpointingLayer
    return [module for module in model.modules() if isinstance(module, kind)]
