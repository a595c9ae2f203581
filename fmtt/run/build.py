"""From a configuration to the objects of a run, with every impossible value refused in one line."""

from __future__ import annotations

import copy
import math
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from lightning.fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from fmtt.api import Run, assemble, finish
from fmtt.checks import choice, positive, whole_number
from fmtt.flow.batches import Alone
from fmtt.flow.conditions import Encoded
from fmtt.flow.meter import MeteredReward
from fmtt.flow.noise import DRAWS
from fmtt.flow.protocols import Flow, Velocity, as_flow, as_reward
from fmtt.flow.schedules import MOST_STEPS
from fmtt.methods.method import Method
from fmtt.run.budget import Budget, Size
from fmtt.run.configs import CONFIGS
from fmtt.run.errors import ConfigurationError, one_line
from fmtt.run.idle import warn_of_idle
from fmtt.run.memory import make_room, refuse_large, refuse_long
from fmtt.run.memory_hints import hints, settings_of
from fmtt.run.placement import placed, to_compile
from fmtt.run.probe import check_evaluator, check_tilted_law, probe, warn_of_model, warn_of_odd_rewards
from fmtt.run.processes import Together, one_process
from fmtt.run.prompts import Prompts, read_prompts
from fmtt.run.scalars import PARTS, check_scalars, check_selections, typed_settings, warn_of_lost_selections
from fmtt.run.trust import check_trust, made
from fmtt.run.verdicts import held_out_reward
from fmtt.step.dynamics import EXACT_LAPLACIAN
from fmtt.tracking import Logger


@dataclass(frozen=True)
class Job:
    """The objects of a run.

    Attributes:
        run: the tilted run.
        baseline: whether the base model is sampled, too.
        fabric: device and precision.
        loggers: where the run is recorded.
        budget: what calls cost, and what a group may cost.
        prompts: with their categories, or None.
        held_out: a reward that is reported and not optimised, or None.
    """

    run: Run
    baseline: bool
    fabric: Fabric
    loggers: list[Logger]
    budget: Budget
    prompts: Prompts | None
    held_out: MeteredReward | None


ENCODED: dict[int, dict[tuple[str, ...], Encoded]] = {}  # by model
Make = Callable[[Any, Sequence[str]], Any]  # a part of a configuration, and the packages that it may call, to an object


def build(config: DictConfig, make: Make = made, fabric: Fabric | None = None) -> Job:
    """The job that ``config`` describes, whose parts are made by ``make``; ``fabric`` has its processes, or it is one.

    Raises:
        ConfigurationError: if a value is impossible or values do not fit together.
    """
    try:
        return _build(config, make, fabric)
    except (InstantiationException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigurationError(one_line(error)) from error


def _build(config: DictConfig, make: Make, fabric: Fabric | None) -> Job:
    check_scalars(config)
    fabric = fabric or one_process(config.device)
    together = Together(fabric) if fabric.world_size > 1 else None
    part_of = partial(make, trust=check_trust(config.trust))
    loaded = part_of(config.model)
    settings = settings_of(config, loaded, fabric.device)
    whole = placed(loaded, fabric.device, config, settings)
    model, networks = flow_of(whole), to_compile(whole, config)
    prompts = prompts_of(config, model)
    reward, other = part_of(config.reward), config.held_out and part_of(config.held_out)
    scale = as_reward(reward).scale * positive("scale_factor", config.scale_factor)
    sampler, look_ahead = group_with_words(config, "sampler"), part_of(config.lookahead)
    method = part_of(group_with_words(config, "mode"))
    budget = Budget(**config.budget)
    common: dict[str, Any] = {
        "scale": scale,
        **{part: part_of(sampler[part]) for part in PARTS},
        "probes": sampler.probes,
        "chunk": config.population.chunk,
        "seed": config.seed,
        "draws": DRAWS[choice("draws", config.draws, DRAWS)],
        "groups": config.population.groups,
        "conditions": None if prompts is None else list(prompts.texts),
        "look_ahead": look_ahead,
        "mode": method,
        "processes": together or Alone(),
        "role": config.role,
        "gradient_cost": budget.gradient_cost,
        "budgeted": budget.nfe is not None,
    }
    size = Size(sampler.steps, config.population.particles)
    room = partial(check_size, shape=model.shape, groups=common["groups"], prompts=prompts)
    room(size)
    run = assemble(model, reward, **common, **size._asdict(), device=fabric.device, precision=config.precision)
    for schedule in run.pending:
        schedule.check(run.loop)  # type: ignore[arg-type]
    has_gradient = probe(run)
    warn_of_odd_rewards(run)
    check_evaluator(run)
    check_tilted_law(run)
    check_selections(config, size)
    warn_of_unused(method, typed_settings(), scale)
    warn_of_idle(config, model, typed_settings(), method, has_gradient)
    if budget.nfe is not None:
        size = afford(budget, size, dry_model(model), dry_reward(has_gradient), method, run.role, common)
        room(size)
        warn_of_lost_selections(config, size)
        run = assemble(model, reward, **common, **size._asdict(), device=fabric.device, precision=config.precision)
    run.loop.check_pilot()
    if run.loop.uses_gradient and not has_gradient:
        raise ValueError("the reward is not differentiable, and this mode needs its gradient")
    if together is not None:
        together.meter = run.meter
    held_out = other and held_out_reward(other, run, prompts)  # before the free memory is counted
    less = hints(settings, run, config.lookahead.get("steps") or 0)
    make_room(run, config.population.chunk, held_out, less)
    warn_of_model(run)
    for network in networks:
        network.compile()
    loggers = [part_of(node) for node in (config.logger or {}).values()]
    return Job(run, config.baseline, fabric, loggers, budget, prompts, held_out)


def warn_of_unused(method: Method, typed: Sequence[str], scale: float) -> None:
    """Say on stderr which of the settings that were typed the method does not use."""
    for name in sorted(method.unused):
        only_the_sign = name == "reward.scale" and scale < 0
        if not only_the_sign and any(word == name or word.startswith(f"{name}.") for word in typed):
            print(f"fmtt: warning: {name} has no effect: this mode does not use it", file=sys.stderr)


def flow_of(model: Velocity) -> Flow:
    """The record of the model, whose prompts are encoded once however often a run is put together."""
    flow = as_flow(model)
    if flow.encode_prompts is None:
        return flow
    encode, known = flow.encode_prompts, encoded_by(model)

    def once(texts: Sequence[str]) -> Encoded:
        key = tuple(texts)
        if key not in known:
            known[key] = encode(texts)
        return known[key]

    return replace(flow, encode_prompts=once)


def encoded_by(model: Velocity) -> dict[tuple[str, ...], Encoded]:
    """What the model has been told of texts, for as long as it lives."""
    key = id(model)
    if key not in ENCODED:
        ENCODED[key] = {}
        weakref.finalize(model, ENCODED.pop, key)
    return ENCODED[key]


def prompts_of(config: DictConfig, flow: Flow) -> Prompts | None:
    """The prompts of the configuration.

    Raises:
        ValueError: if the model takes none; and as :func:`read_prompts`.
    """
    prompts = read_prompts(config)
    if prompts is not None and not flow.conditional:
        name = "prompt" if config.prompts_file is None else "prompts_file"
        raise ValueError(f"{name}: this model takes no prompt; remove it, or choose a model with conditions")
    return prompts


def dry_model(model: Velocity) -> Flow:
    """A toy that costs nothing and is called as often as ``model`` would be.

    Its dimension is small, but on the same side of that above which Laplacians are estimated.
    """
    flow = as_flow(model)
    shape = tuple(min(size, EXACT_LAPLACIAN + 1) for size in flow.shape)

    def velocity(x: Tensor, t: Tensor, condition: object = None) -> Tensor:
        return 0 * x

    def flow_map(x: Tensor, s: Tensor, t: Tensor, condition: object = None) -> Tensor:
        return 1 * x

    return Flow(
        shape,
        None if flow.velocity is None else velocity,
        None if flow.flow_map is None else flow_map,
        decode=None if flow.decode is None else lambda x: 1 * x,
        grid=flow.grid,
        first_time=flow.first_time,
        exact_flow_map=flow.exact_flow_map,
        data_only=flow.data_only,
        usual_error=flow.usual_error,
        evaluations=flow.evaluations,
    )


def dry_reward(has_gradient: bool) -> Callable[[Tensor], Tensor]:
    """A toy with a gradient or without: some methods go another way then."""
    return lambda x: (x if has_gradient else x.detach()).flatten(1).sum(1)


def afford(
    budget: Budget,
    size: Size,
    toy: Velocity,
    reward: Callable[[Tensor], Tensor],
    method: Method,
    role: str,
    common: dict[str, Any],
) -> Size:
    """The size of a run within the budget, by dry runs on toys; what groups share is shared out.

    The pilots of schedules cost extra. The pilot of a mode is paid by the particles that the run has fewer.
    """
    common = common | {"chunk": None, "processes": Alone()}

    def cost(size: Size) -> float:
        run = assemble(toy, reward, **common, **size._asdict()).scheduled()
        finish(run, run.loop.last())
        return budget.cost(run.meter) / len(run.prompt)

    return budget.afford(cost, size, method, role)


def group_with_words(config: DictConfig, group: str) -> DictConfig:
    """``config.group`` in which a plain word where there are choices stands for a file of ``group/key``.

    Files are looked for in the folders of ``--config-dir``, and in ours.
    """
    node: DictConfig = copy.deepcopy(config[group])
    OmegaConf.set_struct(node, False)
    for key in [folder.name for folder in (CONFIGS / group).iterdir() if folder.is_dir()]:
        word = node.get(key)
        if word is not None and not isinstance(word, DictConfig):
            files = {file.stem: file for root in config_folders() for file in (root / group / key).glob("*.yaml")}
            node[key] = OmegaConf.load(files[choice(f"{group}.{key}", str(word), sorted(files))])
    return node


def config_folders() -> list[Path]:
    """The folders with configurations: ours, then those that the user gave."""
    if not HydraConfig.initialized():
        return [CONFIGS]
    sources = HydraConfig.get().runtime.config_sources
    return [CONFIGS, *(Path(source.path) for source in sources if source.schema == "file")]


def check_size(size: Size, shape: Sequence[int], groups: int, prompts: Prompts | None) -> None:
    """ValueError if steps or particles of all groups do not fit into the memory of this machine, saying what would."""
    whole_number("population.particles", size.particles, 1)
    whole_number("population.groups", groups, 1)
    refuse_large(groups * (1 if prompts is None else len(prompts.texts)), size.particles, math.prod(shape))
    refuse_long(whole_number("sampler.steps", size.steps, 1, MOST_STEPS))
