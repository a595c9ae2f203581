"""From a configuration to the objects of a run, with every impossible value refused in one line."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fmtt.api import Reward, Run, assemble, dry_model
from fmtt.checks import choice, whole_number
from fmtt.flow.model import Velocity
from fmtt.methods import presets as modes
from fmtt.rewards.combination import ScaledReward
from fmtt.run.budget import Budget, Size
from fmtt.run.configurations import CONFIGS, ConfigurationError, one_line
from fmtt.tilt.look_ahead import NoLookAhead
from fmtt.tracking import Logger

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")


@dataclass(frozen=True)
class Experiment:
    """The objects of a run.

    Attributes:
        run: the tilted run.
        baseline: the base model's run from the same noise, or None.
        model: the model.
        reward: the reward.
        fabric: device and precision.
        loggers: where the run is recorded.
        budget: what calls cost, and what a group may cost.
    """

    run: Run
    baseline: Run | None
    model: Velocity
    reward: ScaledReward
    fabric: Fabric
    loggers: list[Logger]
    budget: Budget


def build(config: DictConfig) -> Experiment:
    """The experiment that ``config`` describes.

    Raises:
        ConfigurationError: if a value is impossible or values do not fit together.
    """
    try:
        return _build(config)
    except (InstantiationException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigurationError(one_line(error)) from error


def _build(config: DictConfig) -> Experiment:
    check_scalars(config)
    fabric = Fabric(accelerator=config.device, devices=1, precision=config.precision)
    model = instantiate(config.model)
    model = model.to(fabric.device) if hasattr(model, "to") else model
    reward = instantiate(config.reward)
    differentiable = probe(reward, model, fabric.device)
    sampler, look_ahead = group_with_words(config, "sampler"), instantiate(config.lookahead)
    mode = instantiate(group_with_words(config, "mode"))
    common: dict[str, Any] = {
        "scale": reward.scale,
        **{part: instantiate(sampler[part]) for part in ("grid", "epsilon", "beta", "chi", "transport", "start")},
        "probes": sampler.probes,
        "chunk": config.population.chunk,
        "seed": config.seed,
        "groups": config.population.groups,
    }
    budget, size = Budget(**config.budget), Size(sampler.steps, config.population.particles)
    if budget.nfe is not None:
        size = afford(budget, size, dry_model(model), dry_reward(differentiable), look_ahead, mode, common)
    common |= {"device": fabric.device, **size._asdict()}
    run = assemble(model, reward, look_ahead=look_ahead, mode=mode, **common)
    base = assemble(model, reward, mode=modes.base, look_ahead=NoLookAhead, **common) if config.baseline else None
    loggers = [instantiate(node) for node in (config.logger or {}).values()]
    return Experiment(run, base, model, reward, fabric, loggers, budget)


def dry_reward(differentiable: bool) -> Reward:
    """A toy with a gradient or without: some modes go another way then."""
    return lambda x: (x if differentiable else x.detach()).flatten(1).sum(1)


def afford(
    budget: Budget, size: Size, toy: Velocity, reward: Reward, look_ahead: Any, mode: Any, common: dict[str, Any]
) -> Size:
    """The size of a run within the budget, by dry runs on toys; what groups share is shared out."""

    def cost(size: Size) -> float:
        run = assemble(toy, reward, look_ahead=look_ahead, mode=mode, **common, **size._asdict()).tuned()
        run.loop.last()
        return budget.cost(run.meter) / common["groups"]

    return budget.afford(cost, size, mode(look_ahead(toy), common["epsilon"]).block)


def group_with_words(config: DictConfig, group: str) -> DictConfig:
    """``config.group`` in which a plain word where there are choices stands for a file of ``configs/group/key``."""
    node: DictConfig = copy.deepcopy(config[group])
    OmegaConf.set_struct(node, False)
    for folder in (CONFIGS / group).iterdir():
        word = node.get(folder.name)
        if folder.is_dir() and isinstance(word, str):
            choice(f"{group}.{folder.name}", word, sorted(file.stem for file in folder.glob("*.yaml")))
            node[folder.name] = OmegaConf.load(folder / f"{word}.yaml")
    return node


def check_scalars(config: DictConfig) -> None:
    """Check what no object checks for itself."""
    choice("device", config.device, DEVICES)
    choice("precision", config.precision, PRECISIONS)
    whole_number("checkpoint.every", config.checkpoint.every, 0)
    for key in ("baseline", "resume", "report"):
        if not isinstance(config[key], bool):
            raise ValueError(f"{key}={config[key]}: must be true or false")
    if config.prompt is not None and not isinstance(config.prompt, str):
        raise ValueError(f"prompt={config.prompt}: must be a text or null")
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[config.device]:
        raise ValueError(f"device={config.device}: this machine has no such device; use device=auto or cpu")


def probe(reward: ScaledReward, model: Velocity, device: torch.device) -> bool:
    """Whether the reward has a gradient; a reward that does not fit the model fails here, before the run."""
    with torch.enable_grad():
        value = reward(torch.zeros(2, *model.shape, device=device).requires_grad_())
    if value.shape != (2,):
        raise ValueError(f"the reward must return one number per sample, shape (2,), got {tuple(value.shape)}")
    return bool(value.requires_grad)
