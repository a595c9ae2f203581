"""Train the network that answers questions about scenes, on renderings that differ from those of the flow map."""

from __future__ import annotations

import lightning as L
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fmtt.checks import fraction, whole_number
from fmtt.data.captions import COLOURS, SHAPES
from fmtt.data.scene_facts import Things
from fmtt.data.scenes import World
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.question_net import QuestionNet, Seen
from fmtt.training.question_grades import grade, on_the_way
from fmtt.training.question_lessons import lesson, mixed
from fmtt.training.trainer import OneCycle, card, fit


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
    made |= grade(exported) | on_the_way(exported)
    save_network(exported, arguments, config.export, made)  # the same float16 weights, now with their grades
    return made
