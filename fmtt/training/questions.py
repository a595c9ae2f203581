"""Train the network that answers questions about scenes, on renderings that differ from those of the flow map."""

from __future__ import annotations

from dataclasses import replace

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fmtt.checks import whole_number
from fmtt.data.captions import COLOURS, PLACES, RELATIONS, SHAPES, Group, words_of
from fmtt.data.questions import QUESTION_WORDS, Question, answered, asked
from fmtt.data.scene_facts import Things
from fmtt.data.scene_texts import groups_of
from fmtt.data.scenes import SLOTS, Scenes, World, render
from fmtt.flow import noise
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.question_net import QuestionNet
from fmtt.models.words import tokens_of, trimmed
from fmtt.training.trainer import OneCycle, card, fit

KINDS = len(SHAPES) * len(COLOURS)
EMPTY = 0.05  # weight of a cell in which nothing has its centre


def questions_about(scenes: Scenes, generator: np.random.Generator) -> tuple[list[Question], Tensor]:
    """A question about each scene, of all kinds, and whether the answer is yes, ``(B,)``: about half are."""
    things = Things.of(scenes)
    each = [things.take(torch.tensor([row])) for row in range(len(scenes.shape))]
    asked_of = [question_about(groups, thing, generator) for groups, thing in zip(groups_of(scenes), each, strict=True)]
    return asked_of, torch.cat([answered(question, thing) for question, thing in zip(asked_of, each, strict=True)])


def question_about(groups: list[Group], things: Things, generator: np.random.Generator) -> Question:
    """A question about one scene of ``groups``; in half of them something was changed."""
    kind, false, plain, order = generator.random(4)
    number = int(generator.integers(60))
    group, other = (groups[0], groups[-1]) if order < 0.5 else (groups[-1], groups[0])
    if kind < 0.15:
        return Question(total=1 + number % SLOTS if false < 0.5 else sum(one.count for one in groups))
    if kind < 0.3:
        return turned([Question((group,), place=direction) for direction in PLACES], things, number, false < 0.5)
    if kind < 0.5 and len(groups) == 2:
        pairs = [Question((group, other), relation=direction) for direction in RELATIONS]
        return turned(pairs, things, number, false < 0.5)
    if false < 0.5:
        group = changed(group, generator)
    if kind < 0.6:
        return Question((replace(group, count=1),), only=True)
    return Question((replace(group, colour=None) if plain < 0.15 else group,))


def turned(questions: list[Question], things: Things, number: int, false: bool) -> Question:
    """One of the questions with the wanted answer, if there is one; else any."""
    fitting = [question for question in questions if bool(answered(question, things)) is not false]
    return (fitting or questions)[number % len(fitting or questions)]


def changed(group: Group, generator: np.random.Generator) -> Group:
    """The group with another count, colour or shape."""
    what, number = generator.integers(3), int(generator.integers(1, 60))
    if what == 0:
        return replace(group, count=1 + another(group.count - 1, SLOTS, number))
    if what == 1:
        assert group.colour is not None
        return replace(group, colour=another(group.colour, len(COLOURS), number))
    return replace(group, shape=another(group.shape, len(SHAPES), number))


def another(value: int, size: int, number: int) -> int:
    """One of the ``size`` values that is not ``value``."""
    return (value + 1 + number % (size - 1)) % size


class QuestionTraining(OneCycle):
    """Cross-entropy of yes and no on noisy renderings. Every scene is new, and none has the habits of the world.

    There is no label smoothing, since the log-odds must be calibrated. Cells learn beside that what has its centre in
    them, by a layer that is thrown away: answers alone teach them shapes and colours ten times more slowly.

    Args:
        net: the network.
        world: the habits of its scenes.
        steps: optimisation steps.
        questions: questions about each picture.
        batch, lr, weight_decay, noise_std, seed: as in :class:`OneCycle`.
    """

    def __init__(
        self,
        net: QuestionNet,
        world: World,
        steps: int,
        questions: int,
        batch: int,
        lr: float,
        weight_decay: float,
        noise_std: float,
        seed: int,
    ):
        whole_number("training.steps", steps, 1)
        whole_number("training.questions", questions, 1)
        super().__init__(net, steps, batch, lr, weight_decay, noise_std, seed)
        self.world, self.questions = world, questions
        self.kinds = nn.Linear(net.width, 1 + KINDS)
        self.register_buffer("weight", torch.tensor([EMPTY, *[1.0] * KINDS]))

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        step = self.global_step
        scenes, tokens, yes = asked_about(self.world, self.batch, self.questions, self.seed, step)
        seen = self.net.see(self.noisy(render(scenes), step))
        log_odds, wanted = self.net.ask(seen, tokens.to(self.device)).float(), yes.to(self.device).float()
        answers = F.binary_cross_entropy_with_logits(log_odds, wanted)
        centred = in_cells(Things.of(scenes), self.net.size, seen.shape[1]).to(self.device)
        kinds = F.cross_entropy(self.kinds(seen[..., :-2]).float().flatten(0, 1), centred.flatten(), weight=self.weight)
        right = ((log_odds > 0) == (wanted > 0)).float().mean()
        self.log_dict({"loss": answers, "kinds": kinds, "right": right}, prog_bar=True)
        return answers + kinds


def in_cells(things: Things, size: int, cells: int) -> Tensor:
    """What has its centre in each of the cells of pictures, ``(B, cells)``: 0 nothing, else one of the kinds."""
    side = round(cells**0.5)
    column, row = ((place * side / size).long().clamp(0, side - 1) for place in (things.x, things.y))
    there = things.shape >= 0
    kinds = torch.where(there, 1 + things.shape * len(COLOURS) + things.colour, 0)
    found = torch.zeros(len(kinds), cells, dtype=torch.long)
    return found.scatter_reduce_(1, torch.where(there, row * side + column, 0), kinds, "amax")


def asked_about(world: World, count: int, each: int, *key: int | str) -> tuple[Scenes, Tensor, Tensor]:
    """Scenes, and ``each`` questions about every one: words ``(B, each, L)`` and answers ``(B, each)``."""
    generator = noise.generator("questions", *key)
    scenes = world.draw(count, generator)
    rounds = [questions_about(scenes, generator) for _ in range(each)]
    texts = [words_of(asked(question), "question", QUESTION_WORDS) for questions, _ in rounds for question in questions]
    tokens = trimmed(tokens_of(texts, QUESTION_WORDS)).unflatten(0, (each, count)).transpose(0, 1)
    return scenes, tokens, torch.stack([yes for _, yes in rounds], dim=1)


@torch.inference_mode()
def grade(net: QuestionNet, count: int = 4000) -> dict[str, float]:
    """How well ``net`` answers questions about scenes of the world of the flow map, which it has not seen."""
    scenes, tokens, yes = asked_about(World(), count, 1, 0, "test")
    log_odds = torch.cat(
        [net(x, t[:, 0]) for x, t in zip(render(scenes).split(500), tokens.split(500), strict=True)]
    ).double()
    yes = yes[:, 0]
    return {
        "right": ((log_odds > 0) == yes).double().mean().item(),
        "cross_entropy": F.binary_cross_entropy_with_logits(log_odds, yes.double()).item(),
        "calibration_error": calibration_error(torch.sigmoid(log_odds), yes.double()),
    }


def calibration_error(probability: Tensor, yes: Tensor, bins: int = 10) -> float:
    """Mean over ten bins of equal width of |share of yes - mean probability|, weighted by their size."""
    where = (probability * bins).long().clamp_max(bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).scatter_add_(0, where, yes - probability)
    return (gaps.abs().sum() / len(yes)).item()


def train_questions(config: DictConfig) -> dict[str, object]:
    """Train as ``configs/training/questions.yaml`` says, export the weights and grade them; returns the card."""
    torch.set_num_threads(config.threads)
    L.seed_everything(config.seed, verbose=False)  # the initial weights; every later draw is keyed
    net = QuestionNet(**config.net)
    module = QuestionTraining(net, instantiate(config.world), seed=config.seed, **config.training)
    epochs = config.training.steps // config.epoch
    made = card(config, fit(module, config, epochs, config.epoch))
    arguments = OmegaConf.to_container(config.net)
    save_network(net, arguments, config.export, made)
    exported = load_network(config.export, QuestionNet)
    made |= grade(exported)
    save_network(exported, arguments, config.export, made)  # the same float16 weights, now with their grades
    return made
