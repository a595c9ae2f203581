"""Train the network that answers questions about scenes, on renderings that differ from those of the flow map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fmtt.checks import fraction, whole_number
from fmtt.data.captions import COLOURS, PLACES, RELATIONS, SHAPES, Group, words_of
from fmtt.data.questions import QUESTION_WORDS, Question, answered, asked
from fmtt.data.scene_facts import Things, members
from fmtt.data.scene_texts import groups_of
from fmtt.data.scenes import SLOTS, Scenes, World, render
from fmtt.flow import noise
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.question_net import MAPS, QuestionNet, Seen
from fmtt.models.words import tokens_of, trimmed
from fmtt.training.mixed_scenes import altered, between
from fmtt.training.trainer import OneCycle, card, fit


@dataclass(frozen=True)
class Lesson:
    """B scenes and Q questions about each.

    Attributes:
        scenes: the scenes.
        questions: lists of B questions, Q of them.
        tokens: the words of the questions, ``(B, Q, L)``.
        yes: the answers, ``(B, Q)``, 0 or 1.
        meant: which objects are of the groups that the questions ask about, ``(B, Q, SLOTS, MAPS)``, 0 or 1.
        pictures: ``(B, 3, SIZE, SIZE)``.
    """

    scenes: Scenes
    questions: list[list[Question]]
    tokens: Tensor
    yes: Tensor
    meant: Tensor
    pictures: Tensor


def lesson(world: World, count: int, each: int, *key: int | str) -> Lesson:
    """``count`` scenes, and ``each`` questions about every one: of all kinds, and about half of the answers are yes."""
    generator = noise.generator("questions", *key)
    scenes = world.draw(count, generator)
    things, groups = singly(Things.of(scenes)), list(groups_of(scenes))
    questions = [
        [question_about(own, thing, generator) for own, thing in zip(groups, things, strict=True)] for _ in range(each)
    ]
    texts = [words_of(asked(question), "question", QUESTION_WORDS) for row in questions for question in row]
    tokens = trimmed(tokens_of(texts, QUESTION_WORDS)).unflatten(0, (each, count)).transpose(0, 1)
    return Lesson(scenes, questions, tokens, *answers_of(questions, things), render(scenes))


def answers_of(questions: list[list[Question]], things: list[Things]) -> tuple[Tensor, Tensor]:
    """The answers to lists of questions about scenes, and the objects that are meant, as in :class:`Lesson`."""
    yes = [torch.cat([answered(*pair) for pair in zip(row, things, strict=True)]) for row in questions]
    meant = [torch.cat([meant_by(*pair) for pair in zip(row, things, strict=True)]) for row in questions]
    return torch.stack(yes, dim=1).float(), torch.stack(meant, dim=1).float()


def mixed(taught: Lesson, share: float, *key: int | str) -> Lesson:
    """The lesson with a ``share`` of its pictures between two scenes, one of which has one object altered.

    Between them the answers are, too: at a third of the way they are a third of the other scene's.
    """
    generator = noise.generator("questions", "mixed", *key)
    other = altered(taught.scenes, generator)
    whole, way = (torch.from_numpy(generator.random(len(taught.yes))).float() for _ in range(2))
    way = torch.where(whole < share, way, 1.0)
    yes, meant = answers_of(taught.questions, singly(Things.of(other)))
    return replace(
        taught,
        yes=between(taught.yes, yes, way),
        meant=between(taught.meant, meant, way),
        pictures=between(taught.pictures, render(other), way),
    )


def singly(things: Things) -> list[Things]:
    """Each scene by itself."""
    return [things.take(torch.tensor([row])) for row in range(len(things.shape))]


def meant_by(question: Question, things: Things) -> Tensor:
    """Which objects are of the first and of the second group of a question, ``(B, SLOTS, MAPS)``.

    "Is the circle green" asks about green circles and about circles, the number of all objects about all.
    """
    if question.total is not None:
        groups = [things.shape >= 0]
    elif question.only:
        groups = [members(question.groups[0], things), members(replace(question.groups[0], colour=None), things)]
    else:
        groups = [members(group, things) for group in question.groups]
    nothing = torch.zeros_like(groups[0])
    return torch.stack([*groups, nothing][:MAPS], dim=2)


def question_about(groups: list[Group], things: Things, generator: np.random.Generator) -> Question:
    """A question about one scene of ``groups``; in half of them something was changed."""
    kind, false, plain, order = generator.random(4)
    number = int(generator.integers(60))
    group, other = (groups[0], groups[-1]) if order < 0.5 else (groups[-1], groups[0])
    if kind < 0.15:
        return Question(total=1 + number % SLOTS if false < 0.5 else sum(one.count for one in groups))
    if kind < 0.5 and plain > 0.75:
        group = changed(group, generator)
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

    There is no label smoothing, since the log-odds must be calibrated. The maps and places of the network are taught
    beside the answers, and cells learn the shape and colour that has its centre in them, by a layer that is thrown
    away: from answers alone it learns them slowly.

    Args:
        net: the network.
        world: the habits of its scenes.
        steps: optimisation steps.
        questions: questions about each picture.
        mixed: share of pictures that are between two scenes, where answers are between yes and no. Without them the
            answers jump from no to yes, and a gradient says nothing.
        batch, lr, weight_decay, noise_std, seed: as in :class:`OneCycle`.
    """

    def __init__(
        self,
        net: QuestionNet,
        world: World,
        steps: int,
        questions: int,
        mixed: float,
        batch: int,
        lr: float,
        weight_decay: float,
        noise_std: float,
        seed: int,
    ):
        whole_number("training.steps", steps, 1)
        whole_number("training.questions", questions, 1)
        super().__init__(net, steps, batch, lr, weight_decay, noise_std, seed)
        self.world, self.questions, self.mixed = world, questions, fraction("training.mixed", mixed)
        self.kinds = nn.Linear(net.width, len(SHAPES) + len(COLOURS))

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        step = self.global_step
        taught = lesson(self.world, self.batch, self.questions, self.seed, step)
        taught = mixed(taught, self.mixed, self.seed, step) if self.mixed else taught
        seen = self.net.see(self.noisy(taught.pictures, step))
        log_odds, maps = (value.float() for value in self.net.ask(seen, taught.tokens.to(self.device)))
        wanted = taught.yes.to(self.device)
        answers = F.binary_cross_entropy_with_logits(log_odds, wanted)
        things = Things.of(taught.scenes)
        centres = in_cells(things, self.net.size, maps.shape[2]).to(self.device)
        meant = torch.einsum("bsn,bqsk->bqnk", centres, taught.meant.to(self.device))
        found = F.binary_cross_entropy_with_logits(maps, meant, reduction="sum") / wanted.numel()
        away = distance(seen, things, self.net.size, centres)
        kinds = self.unlike(centres @ seen.cells.float(), things)
        right = ((log_odds > 0) == (wanted > 0.5)).float().mean()
        self.log_dict({"loss": answers, "maps": found, "away": away, "kinds": kinds, "right": right}, prog_bar=True)
        return answers + found + away + kinds

    def unlike(self, cells: Tensor, things: Things) -> Tensor:
        """Cross-entropy of the shapes and colours that the cells ``(B, SLOTS, width)`` of objects tell."""
        there = things.shape >= 0
        shapes, colours = self.kinds(cells[there.to(cells.device)]).float().split([len(SHAPES), len(COLOURS)], dim=1)
        told = ((shapes, things.shape), (colours, things.colour))
        return sum((F.cross_entropy(odds, kind[there].to(odds.device)) for odds, kind in told), cells.new_zeros(()))


def in_cells(things: Things, size: int, cells: int) -> Tensor:
    """The cells of pictures in which objects have their centres: 1 there, else 0, ``(B, SLOTS, cells)``."""
    side = round(cells**0.5)
    column, row = ((place * side / size).long().clamp(0, side - 1) for place in (things.x, things.y))
    return F.one_hot(row * side + column, cells) * (things.shape >= 0)[..., None].float()


def distance(seen: Seen, things: Things, size: int, centres: Tensor) -> Tensor:
    """Mean distance along an axis from the places that cells say to the centres of objects, in half pictures."""
    places = torch.stack([things.y, things.x], dim=2).to(centres) * 2 / size - 1
    gaps = (centres @ seen.places.float() - places).abs().mean(2)
    there = centres.sum(2)
    return (gaps * there).sum() / there.sum()


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
