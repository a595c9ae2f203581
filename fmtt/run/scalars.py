"""The settings that no object checks for itself."""

from __future__ import annotations

import sys

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fmtt.checks import choice, finite, switch, whole_number
from fmtt.flow.precision import PRECISIONS
from fmtt.run.budget import Size
from fmtt.run.known import refuse_unknown
from fmtt.run.verdicts import HELD_OUT

PARTS = ("grid", "epsilon", "beta", "chi", "damping", "transport", "start")  # of the sampler
DEVICES = ("auto", "cpu", "cuda", "mps")


def check_scalars(config: DictConfig) -> None:
    """Check what no object checks for itself."""
    refuse_unknown(config, PARTS)
    choice("device", config.device, DEVICES)
    choice("precision", config.precision, PRECISIONS)
    whole_number("checkpoint.every", config.checkpoint.every, 0)
    if finite("checkpoint.seconds", config.checkpoint.seconds) < 0:
        raise ValueError(f"checkpoint.seconds={config.checkpoint.seconds}: must not be negative")
    if config.held_out is not None and not isinstance(config.held_out, DictConfig):
        raise ValueError(f"{HELD_OUT}={config.held_out}: write reward@{HELD_OUT}={config.held_out}")
    if f"{HELD_OUT}.scale" in typed_settings():
        raise ValueError(f"{HELD_OUT}.scale: has no effect; a held-out reward is shown without its scale")
    whole_number("devices", config.devices, 1)
    for key in ("baseline", "resume", "report", "offload", "compile", "fail_fast"):
        switch(key, config[key])
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[config.device]:
        raise ValueError(f"device={config.device}: this machine has no such device; use device=auto or cpu")


def check_selections(config: DictConfig, size: Size) -> None:
    """ValueError if more selections are asked for than there are steps between the first and the last, or later."""
    problem = too_many_selections(config, size)
    if problem:
        raise ValueError(problem)


def warn_of_lost_selections(config: DictConfig, size: Size) -> None:
    """Say on stderr if the steps that the budget leaves are too few for the selections that are asked for."""
    problem = too_many_selections(config, size)
    if problem:
        print(f"fmtt: warning: {problem} (by budget.nfe)", file=sys.stderr)


def too_many_selections(config: DictConfig, size: Size) -> str | None:
    """What is wrong with the selections that are asked for; None if nothing is."""
    if "mode.rounds" in typed_settings() and config.mode.rounds >= size.steps:
        return f"mode.rounds={config.mode.rounds}: must be less than the {size.steps} steps of the run"
    warmup = config.mode.get("warmup") or 0
    if "mode.warmup" in typed_settings() and warmup >= size.steps:
        return f"mode.warmup={warmup}: must be less than the {size.steps} steps of the run"
    last = max(config.mode.get("resample_at") or [0])
    if last > size.steps:
        return f"mode.resample_at: the run has {size.steps} steps, and {last} is beyond them"
    return None


def typed_settings() -> list[str]:
    """The settings that the user typed, such as ``sampler.chi.c``; groups are written with points, too."""
    if not HydraConfig.initialized():
        return []
    words = HydraConfig.get().overrides.task
    return [word.lstrip("+~").partition("=")[0].replace("/", ".") for word in words]
