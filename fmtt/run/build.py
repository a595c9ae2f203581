"""From a configuration to the objects of a run, with every impossible value refused in one line."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from fmtt.api import Run, assemble
from fmtt.checks import choice, whole_number
from fmtt.flow.conditions import Encoded
from fmtt.flow.meter import Meter
from fmtt.flow.precision import PRECISIONS, precision_of
from fmtt.flow.protocols import Flow, Velocity, as_flow, as_reward
from fmtt.methods.method import Method
from fmtt.run.budget import Budget, Size
from fmtt.run.configs import CONFIGS
from fmtt.run.errors import ConfigurationError, one_line
from fmtt.run.memory import estimate, free_memory, largest_batch
from fmtt.run.prompts import Prompts, read_prompts
from fmtt.step.dynamics import EXACT_LAPLACIAN
from fmtt.tilt.tilt import differentiable
from fmtt.tracking import Logger

PARTS = ("grid", "epsilon", "beta", "chi", "damping", "transport", "start")  # of the sampler
DEVICES = ("auto", "cpu", "cuda", "mps")


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
    """

    run: Run
    baseline: bool
    fabric: Fabric
    loggers: list[Logger]
    budget: Budget
    prompts: Prompts | None


def build(config: DictConfig) -> Job:
    """The job that ``config`` describes.

    Raises:
        ConfigurationError: if a value is impossible or values do not fit together.
    """
    try:
        return _build(config)
    except (InstantiationException, OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigurationError(one_line(error)) from error


def _build(config: DictConfig) -> Job:
    check_scalars(config)
    fabric = Fabric(accelerator=config.device, devices=1, precision="32-true")
    model = flow_of(on_device(instantiate(config.model), fabric.device, precision_of(config.precision).network))
    prompts = prompts_of(config, model)
    reward = instantiate(config.reward)
    sampler, look_ahead = group_with_words(config, "sampler"), instantiate(config.lookahead)
    method = instantiate(group_with_words(config, "mode"))
    common: dict[str, Any] = {
        "scale": as_reward(reward).scale,
        **{part: instantiate(sampler[part]) for part in PARTS},
        "probes": sampler.probes,
        "chunk": config.population.chunk,
        "seed": config.seed,
        "groups": config.population.groups,
        "conditions": None if prompts is None else list(prompts.texts),
        "look_ahead": look_ahead,
        "mode": method,
    }
    size = Size(sampler.steps, config.population.particles)
    run = assemble(model, reward, **common, **size._asdict(), device=fabric.device, precision=config.precision)
    has_gradient = probe(run)
    warn_of_unused(method, typed_settings(), scale=as_reward(reward).scale)
    budget = Budget(**config.budget)
    if budget.nfe is not None:
        size = afford(budget, size, dry_model(model), dry_reward(has_gradient), method, common)
        run = assemble(model, reward, **common, **size._asdict(), device=fabric.device, precision=config.precision)
    if run.loop.uses_gradient and not has_gradient:
        raise ValueError("the reward is not differentiable, and this mode needs its gradient")
    make_room(run, config.population.chunk)
    loggers = [instantiate(node) for node in (config.logger or {}).values()]
    return Job(run, config.baseline, fabric, loggers, budget, prompts)


def typed_settings() -> list[str]:
    """The settings that the user typed, such as ``sampler.chi.c``; groups are written with points, too."""
    if not HydraConfig.initialized():
        return []
    words = HydraConfig.get().overrides.task
    return [word.lstrip("+~").partition("=")[0].replace("/", ".") for word in words]


def warn_of_unused(method: Method, typed: Sequence[str], scale: float) -> None:
    """Say on stderr which of the settings that were typed the method does not use."""
    for name in sorted(method.unused):
        only_the_sign = name == "reward.scale" and scale < 0
        if not only_the_sign and any(word == name or word.startswith(f"{name}.") for word in typed):
            print(f"fmtt: warning: {name} has no effect: this mode does not use it", file=sys.stderr)


def on_device(model: Any, device: torch.device, dtype: torch.dtype) -> Velocity:
    """The model on a device, its networks in ``dtype``; a model without :meth:`to` works on the device of its input."""
    move: Callable[..., Velocity] | None = getattr(model, "to", None)
    return model if move is None else move(device, dtype)


def flow_of(model: Velocity) -> Flow:
    """The record of the model, whose prompts are encoded once however often a run is put together."""
    flow = as_flow(model)
    if flow.encode_prompts is None:
        return flow
    encode, known = flow.encode_prompts, dict[tuple[str, ...], Encoded]()

    def once(texts: Sequence[str]) -> Encoded:
        key = tuple(texts)
        if key not in known:
            known[key] = encode(texts)
        return known[key]

    return replace(flow, encode_prompts=once)


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
        exact_flow_map=flow.exact_flow_map,
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
    common: dict[str, Any],
) -> Size:
    """The size of a run within the budget, by dry runs on toys; what groups share is shared out."""
    common = common | {"chunk": None}

    def cost(size: Size) -> float:
        run = assemble(toy, reward, **common, **size._asdict()).tuned()
        run.loop.last()
        return budget.cost(run.meter) / len(run.prompt)

    return budget.afford(cost, size, method.block, method.min_particles)


def group_with_words(config: DictConfig, group: str) -> DictConfig:
    """``config.group`` in which a plain word where there are choices stands for a file of ``group/key``.

    Files are looked for in the folders of ``--config-dir``, and in ours.
    """
    node: DictConfig = copy.deepcopy(config[group])
    OmegaConf.set_struct(node, False)
    for key in [folder.name for folder in (CONFIGS / group).iterdir() if folder.is_dir()]:
        word = node.get(key)
        if isinstance(word, str):
            files = {file.stem: file for root in config_folders() for file in (root / group / key).glob("*.yaml")}
            node[key] = OmegaConf.load(files[choice(f"{group}.{key}", word, sorted(files))])
    return node


def config_folders() -> list[Path]:
    """The folders with configurations: ours, then those that the user gave."""
    if not HydraConfig.initialized():
        return [CONFIGS]
    sources = HydraConfig.get().runtime.config_sources
    return [CONFIGS, *(Path(source.path) for source in sources if source.schema == "file")]


def check_scalars(config: DictConfig) -> None:
    """Check what no object checks for itself."""
    choice("device", config.device, DEVICES)
    choice("precision", config.precision, PRECISIONS)
    whole_number("checkpoint.every", config.checkpoint.every, 0)
    for key in ("baseline", "resume", "report"):
        if not isinstance(config[key], bool):
            raise ValueError(f"{key}={config[key]}: must be true or false")
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[config.device]:
        raise ValueError(f"device={config.device}: this machine has no such device; use device=auto or cpu")


def make_room(run: Run, typed: int | None) -> None:
    """Cut batches so that they fit into memory.

    Raises:
        ValueError: if a single sample does not fit, or the ``typed`` size of a batch does not.
    """
    batches, rows = run.problem.tilt.batches, len(run.prompt) * run.problem.particles
    needs = estimate(run, run.loop.uses_gradient)
    size = min(rows, batches.chunk or rows)
    most = largest_batch(needs, size, typed is not None, free_memory(run.meter.device))
    if most < size:
        batches.room.most = most


def probe(run: Run) -> bool:
    """Whether the reward has a gradient; a reward that does not fit the model fails here, before the run."""
    reward: Any = replace(run.problem.tilt.reward, meter=Meter(run.meter.device))  # type: ignore[type-var]
    two = torch.zeros(1, 2, *run.problem.model.shape, device=run.meter.device, dtype=run.problem.noise.dtype)
    return differentiable(replace(run.problem.tilt, reward=reward), two)
