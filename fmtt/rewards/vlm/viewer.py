"""A vision-language model that is shown pictures and told messages about them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor

from fmtt.rewards.t2i.networks import on
from fmtt.rewards.vlm.messages import Message, encoded, expanded
from fmtt.rewards.vlm.pixels import Patches


class Viewer:
    """The hidden state from which a vision-language model takes its next word.

    Each picture goes through the vision tower once, for any number of messages about it.

    Args:
        model: a frozen model of a family in :mod:`fmtt.rewards.vlm.families`.
        processor: its processor, with a chat template.
        patches: how pictures are cut.
        references: pictures ``(3, H, W)`` in [-1, 1] that every message shows before the one it is about.
        layered: outputs of the vision tower that hold features of several layers.
    """

    def __init__(
        self, model: Any, processor: Any, patches: Patches, references: Sequence[Tensor], layered: Sequence[str]
    ):
        self.model, self.processor, self.patches = model, processor, patches
        self.references, self.layered = references, layered

    @property
    def pictures(self) -> int:
        """How many pictures a message shows."""
        return len(self.references) + 1

    def on(self, device: torch.device) -> Self:
        """The viewer itself, its model on ``device``."""
        on(self.model, device)
        return self

    def encode(self, chats: Sequence[Sequence[Sequence[Message]]]) -> dict[str, Tensor]:
        """The ``tokens`` of Q chats about each of P prompts, and which of them are ``known``, ``(P, Q, L)`` each.

        Raises:
            ValueError: if a text contains the token of a picture.
        """
        made = encoded(self.processor, list(chain.from_iterable(chats)), self.pictures)
        return {name: value.unflatten(0, (len(chats), -1)) for name, value in made.items()}

    def __call__(self, x: Tensor, tokens: Tensor, known: Tensor) -> Tensor:
        """The hidden state after the last token, ``(B, Q, C)``, in float32 or better.

        Args:
            x: pictures ``(B, 3, H, W)`` in [-1, 1].
            tokens, known: rows of what :meth:`encode` returned, ``(B, Q, L)``.

        Raises:
            ValueError: if the samples are no pictures in colour.
        """
        questions, before = tokens.shape[1], range(len(self.references))
        patched = [self.patches(picture[None].to(x)) for picture in self.references] + [self.patches(x)]
        pixels, grids = (torch.cat(parts) for parts in zip(*patched, strict=True))
        shown = [number for row in range(len(x)) for _ in range(questions) for number in (*before, len(before) + row)]
        features = self.see(pixels, grids, shown)
        sizes = (grids[: self.pictures].prod(1) // self.patches.merged**2).tolist()
        found = self.read(features, grids[shown], tokens.flatten(0, 1), known.flatten(0, 1), sizes)
        return found.unflatten(0, (len(x), questions))

    def see(self, pixels: Tensor, grids: Tensor, shown: Sequence[int]) -> Any:
        """What the vision tower makes of pictures, in the order in which messages show them."""
        seen = self.model.get_image_features(pixels, grids)
        for name in self.layered:
            seen[name] = [[layer[number] for number in shown] for layer in seen[name]]
        seen["pooler_output"] = [seen["pooler_output"][number] for number in shown]
        return seen

    def read(self, features: Any, grids: Tensor, tokens: Tensor, known: Tensor, sizes: Sequence[int]) -> Tensor:
        """The hidden state after the last token of each message, ``(R, C)``."""
        pictures = tokens == self.processor.image_token_id
        tokens, known, kinds = (expanded(values, pictures, sizes) for values in (tokens, known, pictures.long()))
        # positions that the model computes itself would stay on it as ``rope_deltas`` and enter later calls
        positions, _ = self.model.model.get_rope_index(
            tokens, mm_token_type_ids=kinds, image_grid_thw=grids, attention_mask=known
        )
        found = self.model.model(
            input_ids=tokens, attention_mask=known, position_ids=positions, mm_encoder_outputs={"image": features},
            use_cache=False,
        )  # fmt: skip
        last = found.last_hidden_state[:, -1]
        return last.to(torch.promote_types(last.dtype, torch.float32))

    def logits(self, hidden: Tensor, tokens: Sequence[int]) -> Tensor:
        """Logits ``(..., len(tokens))`` of some tokens to come next; without the rounding of a network in bfloat16."""
        return hidden @ self.model.lm_head.weight[list(tokens)].to(hidden.dtype).T
