"""The reward of a picture that a vision-language model with a value head gives a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from fmtt.checks import finite
from fmtt.models.t2i.weights import library
from fmtt.rewards.t2i.published import PublishedReward
from fmtt.rewards.vlm.families import load_viewer
from fmtt.rewards.vlm.messages import answered, asked
from fmtt.rewards.vlm.viewer import Viewer

FILE = "value_head.safetensors"
KEYS = ("v_head.summary.weight", "v_head.summary.bias")


class ValueHead(NamedTuple):
    """A linear map from a hidden state to a number, ``(1, C)`` and ``(1,)``: ``v_head`` of TRL's
    ``AutoModelForCausalLMWithValueHead``, as LLaMA-Factory saves it in a file of its own."""

    weight: Tensor
    bias: Tensor

    @staticmethod
    def from_pretrained(repository: str, subfolder: str, local_files_only: bool) -> ValueHead:
        """The head in file ``subfolder`` of a repository, as ``PublishedReward.part`` loads it.

        Raises:
            OSError: if there is no such file.
            ValueError: if it holds anything else, or less.
        """
        find = library("transformers.utils").cached_file
        held = load_file(find(repository, subfolder, local_files_only=local_files_only))
        if set(held) != set(KEYS):
            raise ValueError(
                f"reward.repository={repository}: {FILE} holds {', '.join(sorted(held))}; must be {', '.join(KEYS)}"
            )
        return ValueHead(*(held[key].float() for key in KEYS))


@dataclass(frozen=True)
class Score:
    """``r(x) = w . h + b``, h the last hidden state of a chat, for pictures ``(B, 3, H, W)`` in [-1, 1].

    In the chat the user shows x and asks ``question``; the assistant answers with the prompt. As in the model card of
    Skywork-VL-Reward (arXiv 2505.07263), the score is that of the last token, after the end of the answer.

    Attributes:
        repository: Skywork-VL-Reward on the hub, or another of the same layout.
        question: what the prompt is the answer to.
        max_pixels: bound of the size at which pictures are seen; None for that of the repository.
        scale: multiplies the reward.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if a setting is wrong, transformers or weights are missing, or the head is of an unknown form.
    """

    repository: str = "Skywork/Skywork-VL-Reward-7B"
    question: str = "Describe this picture."
    max_pixels: int | None = None
    scale: float = 1.0
    download: bool = False
    viewer: Viewer = field(init=False, repr=False, compare=False)
    head: ValueHead = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite("reward.scale", self.scale)
        weights = PublishedReward(self.repository, "MIT", gated=True, download=self.download)
        head = weights.part(ValueHead, FILE)
        weights.remember(FILE, head._asdict())
        object.__setattr__(self, "viewer", load_viewer(weights, (), self.max_pixels))
        object.__setattr__(self, "head", head)
        width = self.viewer.model.config.text_config.hidden_size
        if head.weight.shape != (1, width) or head.bias.shape != (1,):
            shapes = f"{tuple(head.weight.shape)} and {tuple(head.bias.shape)}"
            raise ValueError(
                f"reward.repository={self.repository}: {FILE} has shapes {shapes}; must be (1, {width}) and (1,)"
            )

    def encode_prompts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """The tokens of the chat about each prompt, and which of them are known, ``(P, 1, L)`` each.

        Raises:
            ValueError: if a text contains the token of a picture.
        """
        return self.viewer.encode([[[asked(self.question, self.viewer.pictures), answered(text)]] for text in texts])

    def __call__(self, x: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        hidden = self.viewer.on(x.device)(x, condition["tokens"], condition["known"])[:, 0]
        return F.linear(hidden, *(part.to(hidden) for part in self.head))[:, 0]
