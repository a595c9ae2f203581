"""What transformers are told of one text, by their pipelines' own ``encode_prompt``: tensors of one row."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fmtt.models.t2i.hunyuan_image import words_and_glyphs
from fmtt.models.t2i.one_time import of_both
from fmtt.models.t2i.weights import library

Row = Mapping[str, Tensor]
MASKED = ("encoder_hidden_states", "encoder_attention_mask")  # what many transformers call words and their mask


def flux_row(pipeline: Any, text: str) -> Row:
    words, pooled, _ = pipeline.encode_prompt([text], None)
    return {"words": words, "pooled": pooled}


def flux2_row(pipeline: Any, text: str) -> Row:
    return {"encoder_hidden_states": pipeline.encode_prompt([text])[0]}


def flux2_klein_rows(pipeline: Any, text: str) -> Row:
    return of_both(flux2_row(pipeline, text), flux2_row(pipeline, ""))


def stable_diffusion_3_rows(pipeline: Any, text: str) -> Row:
    words, no_words, pooled, no_pooled = pipeline.encode_prompt([text], None, None)
    rows = ((words, pooled), (no_words, no_pooled))
    return of_both(*({"encoder_hidden_states": row[0], "pooled_projections": row[1]} for row in rows))


def lumina2_rows(pipeline: Any, text: str) -> Row:
    made = pipeline.encode_prompt([text])
    return of_both(dict(zip(MASKED, made[:2], strict=True)), dict(zip(MASKED, made[2:], strict=True)))


def sana_rows(pipeline: Any, text: str) -> Row:
    """With the instruction of the pipeline before the text, and none before the negative prompt."""
    call = inspect.signature(library("diffusers").SanaPipeline.__call__)
    instruction = call.parameters["complex_human_instruction"].default
    made = pipeline.encode_prompt([text], complex_human_instruction=instruction)
    return of_both(dict(zip(MASKED, made[:2], strict=True)), dict(zip(MASKED, made[2:], strict=True)))


def aura_flow_rows(pipeline: Any, text: str) -> Row:
    """The words that are masked are zeros already, and the transformer attends to them."""
    words, _, no_words, _ = pipeline.encode_prompt([text])
    return of_both({"encoder_hidden_states": words}, {"encoder_hidden_states": no_words})


def chroma_rows(pipeline: Any, text: str) -> Row:
    words, _, mask, no_words, _, no_mask = pipeline.encode_prompt([text])
    rows = ((words, mask), (no_words, no_mask))
    return of_both(*({"encoder_hidden_states": row[0], "known": row[1]} for row in rows))


def ovis_image_rows(pipeline: Any, text: str) -> Row:
    words, no_words, _, _ = pipeline.encode_prompt([text])
    return of_both({"encoder_hidden_states": words}, {"encoder_hidden_states": no_words})


def hunyuan_image_rows(pipeline: Any, text: str) -> Row:
    return of_both(words_and_glyphs(pipeline, text), words_and_glyphs(pipeline, ""))


def z_image_rows(pipeline: Any, text: str) -> Row:
    rows = pipeline.encode_prompt([text])
    return of_both(*({"words": words[None], "known": known(words[None])} for (words,) in rows))


def qwen_image_rows(pipeline: Any, text: str) -> Row:
    """The negative prompt is one space, as Qwen recommends; an empty one is no text at all."""
    rows = (pipeline.encode_prompt([given])[0] for given in (text, " "))
    return of_both(*({"encoder_hidden_states": words, "encoder_hidden_states_mask": known(words)} for words in rows))


def known(words: Tensor) -> Tensor:
    """That all tokens of ``words (B, T, C)`` are text, ``(B, T)``; padding will be False."""
    return torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)
