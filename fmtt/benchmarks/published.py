"""Published scores, and the evaluations of the network that they took, as forward passes."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A score.

    Attributes:
        method: by its name in the paper.
        nfe: for each picture, or in a benchmark of ``FOR_A_PROMPT`` for each prompt; None if it is not known.
        score: as the benchmark gives it.
    """

    method: str
    nfe: int | None
    score: float


FOR_A_PROMPT = ("unigenbench",)  # of all particles of a prompt, four of which are kept

# GenEval: mean over categories. arXiv 2511.22688 (FMTT) and 2604.27147 (FMRG, which ran FMTT and others again).
# UniGenBench++: 600 short English prompts, judge UniGenBench-EvalModel-qwen-72b-v1. arXiv 2511.22688.
PUBLISHED = {
    "geneval": (
        Published("FLUX.1-dev (FMTT paper)", None, 0.65),
        Published("FLUX.1-dev, best of 32 (FMTT paper)", None, 0.75),
        Published("FMTT, 4-step flow map (FMTT paper)", None, 0.79),
        Published("flow map", 8, 0.668),
        Published("FMRG-J", 21, 0.770),
        Published("FLUX.1-dev", 50, 0.662),
        Published("ReNO", 58, 0.716),
        Published("FMRG-J", 100, 0.800),
        Published("flow map, best of N", 128, 0.758),
        Published("FMTT, run again", 1400, 0.771),
    ),
    "unigenbench": (
        Published("flow map", 16, 58.16),
        Published("FLUX.1-schnell", 16, 67.37),
        Published("FLUX.1-dev", 180, 61.78),
        Published("FLUX.1-schnell, best of 256", 1024, 77.41),
        Published("DAS, flow map, N=64", 1920, 68.14),
        Published("FMTT, schnell look-ahead, N=256", 3840, 77.00),
        Published("FMTT, 2-step flow map, N=256", 6720, 75.55),
        Published("flow map, multi-best-of-256", 10240, 73.47),
        Published("FLUX.1-dev, best of 256", 11520, 73.75),
        Published("FMTT, denoiser, N=256", 11520, 72.90),
    ),
}
