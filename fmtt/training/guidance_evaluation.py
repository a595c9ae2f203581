"""Which strength of guidance makes pictures that show common prompts, by the exact judge."""

from __future__ import annotations

import torch
from omegaconf import DictConfig
from torch import nn

from fmtt.flow import noise
from fmtt.models.words import caption_tokens
from fmtt.training.captioned import told
from fmtt.training.evaluation import ode_path
from fmtt.training.scene_evaluation import common_prompts, repeated, shares_of
from fmtt.training.teachers import Guided


@torch.inference_mode()
def shares_by_strength(config: DictConfig) -> dict[float, dict[str, float]]:
    """The share of right pictures for each strength and each category of common prompts, from the same noise."""
    torch.set_num_threads(config.threads)
    prompts = repeated(common_prompts(), config.samples)
    tokens = caption_tokens(prompt.text for prompt in prompts)
    found = {}
    for strength in config.strengths:
        teacher: nn.Module = Guided(config.checkpoint, strength)
        x0 = noise.normal((len(prompts), *teacher.net.shape), config.seed, "evaluation")
        parts = zip(x0.split(config.chunk), tokens.split(config.chunk), strict=True)
        pictures = torch.cat([ode_path(told(teacher, words), x, config.ode_steps)[:, -1] for x, words in parts])
        found[strength] = {name: share["right"] for name, share in shares_of(prompts, pictures).items()}
    return found
