"""FLUX.3 klein: the official flow map of Black Forest Labs (``black-forest-labs/flux-3-image-klein``).

As in diffusers' ``Flux3DistilledModularPipeline``: no guidance, text windows of multiples of 80 tokens whose padding is
attended to, packed latents ``(128, H / 16, W / 16)``, whitened by the statistics of the autoencoder. The velocity may
be that of klein-base, as in ``Flux3ModularPipeline``: with classifier-free guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.flow.protocols import Evaluations
from fmtt.models.t2i.exact_times import exact_times
from fmtt.models.t2i.grids import SchedulerGrid, by_tokens
from fmtt.models.t2i.latents import OnLatents, Whitened
from fmtt.models.t2i.one_time import guided, of_both, of_negative, of_text
from fmtt.models.t2i.two_time import Times, TwoTime
from fmtt.models.t2i.weights import Published, frozen, library

ROPE_SCALE = 0.5  # of the positions of the image
UNIT = 1000  # what the embedding of times is told of a noise level of 1
WINDOW = 80  # tokens
GUIDANCE = 3.5  # of klein-base in its pipeline
LAYERS = (4, 8, 12, 16, 20, 24, 28, 32)  # of the text encoder that the transformer sees

Encoder = Callable[[Sequence[str]], Sequence[Tensor]]  # texts to their windows, (T, C) each


class Flux3Klein(OnLatents, TwoTime):
    """Velocity and flow map on packed latents.

    Args:
        transformer: a ``Flux3Transformer2DModel`` with ``flow_map=True``, frozen.
        vae: an ``AutoencoderKLFlux2``, frozen.
        encoder: texts to windows of embeddings.
        height, width: of the pictures, in pixels; divisible by 16 for the published autoencoder.

    Raises:
        ValueError: if the transformer is no flow map, or the size does not fit the autoencoder.
    """

    times = Times(diagonal=None)

    def __init__(self, transformer: Any, vae: Any, encoder: Encoder, height: int = 1024, width: int = 1024):
        if not transformer.config.flow_map:
            raise ValueError("model.transformer: has no second time; FLUX.3 klein is needed, not klein-base")
        self.latents = Whitened(vae)
        self.shape = self.latents.shape(height, width)
        self.transformer, self.encoder = transformer, encoder
        self.image_ids = positions(1, *self.shape[1:], 1)
        self.image_ids[:, 1:3] *= ROPE_SCALE

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """The windows of all texts, padded to the longest ``(P, T, C)``, and their lengths ``(P,)``."""
        windows = self.encoder(texts)
        longest = max(len(window) for window in windows)
        padded = torch.stack([F.pad(window, (0, 0, 0, longest - len(window))) for window in windows])
        return {"text": padded, "length": torch.tensor([len(window) for window in windows], device=padded.device)}

    def network(self, x: Tensor, first: Tensor, second: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        return self.predict(self.transformer, x, {"timestep": first, "target_timestep": second}, condition)

    def predict(
        self, transformer: Any, x: Tensor, times: Mapping[str, Tensor], condition: Mapping[str, Tensor]
    ) -> Tensor:
        """The output of a transformer for latents ``x (B, *D)`` and its ``times (B,)``.

        Texts whose windows differ in length are put through one after the other.
        """
        if condition["text"].shape[1] == WINDOW:  # all are as short as can be; the device need not be asked
            return self._same_window(transformer, x, times, condition["text"])
        found = torch.empty_like(x)
        for length in condition["length"].unique().tolist():
            rows = condition["length"] == length
            text, own = condition["text"][rows, :length], {name: time[rows] for name, time in times.items()}
            found[rows] = self._same_window(transformer, x[rows], own, text)
        return found

    def _same_window(self, transformer: Any, x: Tensor, times: Mapping[str, Tensor], text: Tensor) -> Tensor:
        first, *second = (UNIT * time for time in times.values())
        with exact_times(transformer.time_proj, first, None, *second):  # between them, the time 0 of the text
            made = transformer(
                hidden_states=x.flatten(2).transpose(1, 2),
                encoder_hidden_states=text.to(x.dtype),
                img_ids=self.image_ids.to(x.device),
                txt_ids=positions(1, 1, 1, text.shape[1]).to(x.device),
                return_dict=False,
                **times,
            )[0]
        return made.transpose(1, 2).reshape(x.shape)


class Flux3KleinOnBase(Flux3Klein):
    """The flow map of FLUX.3 klein, and the guided velocity of klein-base in the place of its diagonal.

    Args:
        transformer, vae, encoder, height, width: as for :class:`Flux3Klein`.
        base: a ``Flux3Transformer2DModel`` with ``flow_map=False``, frozen.
        guidance: the scale; 1 for none.

    Raises:
        ValueError: as :class:`Flux3Klein`, and if ``base`` is a flow map.
    """

    times = Times(diagonal=False)

    def __init__(
        self,
        transformer: Any,
        vae: Any,
        encoder: Encoder,
        height: int,
        width: int,
        base: Any,
        guidance: float = GUIDANCE,
    ):
        if base.config.flow_map:
            raise ValueError("model.base: has a second time; klein-base is needed, not FLUX.3 klein")
        super().__init__(transformer, vae, encoder, height, width)
        self.base, self.guidance = base, guidance

    @property
    def networks(self) -> Sequence[Any]:
        return (self.transformer, self.base)

    @property
    def evaluations(self) -> Evaluations:
        """Two for each velocity with guidance."""
        return Evaluations(velocity=1 if self.guidance == 1 else 2)

    def encode_prompts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """As :meth:`Flux3Klein.encode_prompts`, with the empty text beside each."""
        told = super().encode_prompts([*texts, ""])
        return of_both(
            {name: rows[:-1] for name, rows in told.items()},
            {name: rows[-1:].expand(len(texts), *rows.shape[1:]) for name, rows in told.items()},
        )

    def velocity(self, x: Tensor, t: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        times = {"timestep": 1 - t}
        positive = -self.predict(self.base, x, times, of_text(condition, x.dtype))
        if self.guidance == 1:
            return positive
        return guided(positive, -self.predict(self.base, x, times, of_negative(condition, x.dtype)), self.guidance)


def scheduler() -> Any:
    """That of the pipeline, which makes it by its own settings and reads none from the repository."""
    (spec,) = library("diffusers.modular_pipelines.flux3.before_denoise").Flux3SetTimestepsStep().expected_components
    return spec.create()


def grid_for(model: Flux3Klein) -> SchedulerGrid:
    """The times of the pipeline for pictures of the size of ``model``."""
    return SchedulerGrid(scheduler(), model.shape[1] * model.shape[2], by_tokens)


def positions(*sizes: int) -> Tensor:
    """Places ``(t, h, w, l)`` of the tokens of a grid of these sizes, ``(tokens, 4)``."""
    return torch.cartesian_prod(*(torch.arange(size) for size in sizes)).float()


class QwenWindows:
    """Texts to the stacked hidden layers of Qwen3-VL, as ``Flux3TextEncoderStep`` makes them.

    Args:
        model: a ``Qwen3VLForConditionalGeneration``.
        processor: its processor, with a chat template.
        layers: the hidden layers that are stacked.
        longest: tokens beyond which a text is cut.
    """

    def __init__(self, model: Any, processor: Any, layers: Sequence[int] = LAYERS, longest: int = 8192):
        self.model, self.processor, self.layers, self.longest = model, processor, tuple(layers), longest

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        return [self.window(text) for text in texts]

    def window(self, text: str) -> Tensor:
        """The embeddings of one text, ``(T, C)`` with T a multiple of :data:`WINDOW`."""
        message = [{"role": "user", "content": text}]
        chat = self.processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        tokenizer, limits = self.processor.tokenizer, {"return_tensors": "pt", "truncation": True}
        length = tokenizer(chat, max_length=self.longest, **limits)["input_ids"].shape[1]
        window = min(-(-length // WINDOW) * WINDOW, self.longest)
        tokens = tokenizer(chat, padding="max_length", padding_side="right", max_length=window, **limits)
        numbers, known = tokens["input_ids"].to(self.model.device), tokens["attention_mask"].to(self.model.device)
        # the transformer attends to the padding, whose places were all 1 when it was trained
        places = torch.arange(window, device=numbers.device)[None].masked_fill(known == 0, 1)
        found = self.model(
            input_ids=numbers, attention_mask=known, position_ids=places, output_hidden_states=True, use_cache=False
        )
        return torch.cat([found.hidden_states[layer][0] for layer in self.layers], dim=1)


@dataclass(frozen=True)
class LoadedOnce:
    """An encoder that is loaded when texts come, and leaves the memory after them.

    Attributes:
        weights: where it is.
    """

    weights: Published

    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        transformers = library("transformers")
        kind = transformers.Qwen3VLForConditionalGeneration
        model = self.weights.network_in(kind, "text_encoder", dtype="auto", spare=True)
        processor = self.weights.part(transformers.AutoProcessor, "tokenizer")
        return QwenWindows(model.eval(), processor, layers_of(model))(texts)


def layers_of(model: Any) -> Sequence[int]:
    """The published layers, or for a smaller encoder as many of its last ones."""
    depth = model.config.text_config.num_hidden_layers
    return LAYERS if depth >= LAYERS[-1] else tuple(range(1, depth + 1))


def load_flux3_klein(
    repository: str = "black-forest-labs/flux-3-image-klein",
    base: str | None = None,
    guidance: float | None = None,
    height: int = 1024,
    width: int = 1024,
    checkpointing: bool = False,
    download: bool = False,
) -> Flux3Klein:
    """FLUX.3 klein from this machine.

    Args:
        repository: on the hub, or a folder of the same layout.
        base: where klein-base is, if it gives the velocity.
        guidance: the scale of its classifier-free guidance; None for :data:`GUIDANCE`.
        height, width: of the pictures, in pixels.
        checkpointing: as in :func:`fmtt.models.t2i.weights.frozen`.
        download: whether what is not on this machine is fetched.

    Raises:
        ValueError: if diffusers or weights are missing, the size does not fit, or there is a guidance without ``base``.
    """
    diffusers = library("diffusers")
    weights = Published(repository, "FLUX Non-Commercial", gated=True, download=download)
    transformer = weights.backbone_in(diffusers.Flux3Transformer2DModel, "transformer")
    vae = weights.network_in(diffusers.AutoencoderKLFlux2, "vae")
    transformer, vae = (frozen(part, checkpointing) for part in (transformer, vae))
    if base is None and guidance is not None:
        raise ValueError(f"model.guidance={guidance}: FLUX.3 klein has none; it is for the velocity of model.base")
    encoder = LoadedOnce(weights)
    if base is None:
        made = Flux3Klein(transformer, vae, encoder, height, width)
    else:
        others = Published(base, "FLUX Non-Commercial", gated=True, download=download, setting="model.base")
        slow = frozen(others.backbone_in(diffusers.Flux3Transformer2DModel, "transformer"), checkpointing)
        scale = GUIDANCE if guidance is None else guidance
        made = Flux3KleinOnBase(transformer, vae, encoder, height, width, slow, scale)
    made.grid = grid_for(made)
    return made
