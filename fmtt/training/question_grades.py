"""How well a network answers questions about scenes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fmtt.data.questions import Question
from fmtt.data.scene_facts import Things
from fmtt.data.scenes import World, render
from fmtt.flow import noise
from fmtt.models.question_net import QuestionNet
from fmtt.training.mixed_scenes import altered, between
from fmtt.training.question_lessons import answers_of, lesson, singly

WAY = (0.0, 0.25, 0.5, 0.75, 1.0)  # how far from a no to a yes


def kind_of(question: Question) -> str:
    """What a question asks for: number, place, relation or group."""
    if question.total is not None:
        return "number"
    if question.place is not None:
        return "place"
    return "group" if question.relation is None else "relation"


@torch.inference_mode()
def grade(net: QuestionNet, count: int = 4000, seed: int = 0) -> dict[str, float]:
    """How well ``net`` answers questions about scenes of the world of the flow map, which it has not seen."""
    test = lesson(World(), count, 1, seed, "test")
    parts = zip(test.pictures.split(500), test.tokens[:, 0].split(500), strict=True)
    log_odds, yes = torch.cat([net(*part) for part in parts]).double(), test.yes[:, 0].bool()
    right = ((log_odds > 0) == yes).double()
    kinds = [kind_of(question) for question in test.questions[0]]
    each = {kind: torch.tensor([own == kind for own in kinds]) for kind in sorted(set(kinds))}
    return {
        "right": right.mean().item(),
        **{f"right/{kind}": right[rows].mean().item() for kind, rows in each.items()},
        **{f"questions/{kind}": rows.sum().item() for kind, rows in each.items()},
        "cross_entropy": F.binary_cross_entropy_with_logits(log_odds, yes.double()).item(),
        "calibration_error": calibration_error(torch.sigmoid(log_odds), yes.double()),
    }


def calibration_error(probability: Tensor, yes: Tensor, bins: int = 10) -> float:
    """Mean over ten bins of equal width of |share of yes - mean probability|, weighted by their size."""
    where = (probability * bins).long().clamp_max(bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).scatter_add_(0, where, yes - probability)
    return (gaps.abs().sum() / len(yes)).item()


@torch.inference_mode()
def on_the_way(net: QuestionNet, count: int = 4000, seed: int = 0) -> dict[str, float]:
    """The median log-probability of yes on the way from pictures with the answer no to pictures with the answer yes.

    Both show the same scene, one object of which is altered. The gradient of an answer that jumps says nothing.
    """
    test = lesson(World(), count, 1, seed, "way")
    other = altered(test.scenes, noise.generator("questions", seed, "altered"))
    yes = answers_of(test.questions, singly(Things.of(other)))[0][:, 0]
    lost = (test.yes[:, 0] > yes).nonzero()[:, 0]
    first, second, tokens = test.pictures[lost], render(other.take(lost)), test.tokens[lost, 0]
    found = {}
    for share in WAY:
        log_odds = net(between(first, second, torch.full((len(lost),), share)), tokens)
        found[f"way/{share}"] = F.logsigmoid(log_odds.double()).median().item()
    return found
