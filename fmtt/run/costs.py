"""What the calls of a run cost, measured in units of one forward evaluation of the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fmtt.api import Run
from fmtt.checks import whole_number
from fmtt.flow.meter import COUNTS
from fmtt.flow.precision import mixed
from fmtt.run.build import build

Seconds = dict[str, float]  # by the names of COUNTS


def calls_of(run: Run, rows: int) -> dict[str, tuple[Callable[[Tensor], Tensor], Tensor]]:
    """The network, the decoder where there is one, and the reward; each with a batch of ``rows`` inputs."""
    prompt = torch.arange(rows, device=run.meter.device) % (run.prompts or 1)
    model, reward = run.problem.model.told(prompt), run.problem.tilt.reward.told(prompt)  # type: ignore[attr-defined]
    x = run.problem.noise.normal((rows, *model.shape), 0, "costs")[0]
    middle = x.new_full((rows,), 0.5)
    network = (
        (lambda x: model.flow_map(x, middle, middle + 0.5))
        if model.flow.velocity is None
        else (lambda x: model.velocity(x, middle))
    )
    decode = model.flow.decode
    with torch.no_grad():
        seen = x if decode is None else decode(x)
    parts = {"forward": (network, x), "reward": (replace(reward, decode=None), seen)}
    return parts if decode is None else parts | {"decode": (decode, x)}


def seconds_of(calls: Mapping[str, tuple[Callable[[Tensor], Tensor], Tensor]]) -> Seconds:
    """The seconds of one call of each kind and, where there is a gradient, of the way back."""
    found = {}
    for name, (call, x) in calls.items():
        with torch.no_grad():
            found[name], _ = timed(lambda call=call, x=x: call(x), x.device)
        leaf = x.detach().requires_grad_()
        both, out = timed(lambda call=call, x=leaf: call(x), x.device)
        if out.requires_grad:
            back, _ = timed(lambda out=out, x=leaf: torch.autograd.grad(out.sum(), x), x.device)
            found["backward" if name == "forward" else f"{name}_backward"] = both + back - found[name]
    return found


def timed(call: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """The seconds of a call, and what it returned."""
    wait(device)
    start = time.perf_counter()
    out = call()
    wait(device)
    return time.perf_counter() - start, out


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured_costs(run: Run, precision: str, rows: int, rounds: int) -> tuple[Seconds, Seconds]:
    """Seconds for one row, and costs in units of the forward evaluation; medians over ``rounds`` of calls in turn."""
    whole_number("measure.rows", rows, 1)
    whole_number("measure.rounds", rounds, 1)
    calls = calls_of(run, rows)
    with mixed(precision, run.meter.device):
        seconds_of(calls)  # the first calls are slow
        each = [seconds_of(calls) for _ in range(rounds)]
    seconds = {name: median([one[name] for one in each]) / rows for name in COUNTS if name in each[0]}
    costs = {name: median([one[name] / one["forward"] for one in each]) for name in seconds}
    return seconds, costs


def median(values: list[float]) -> float:
    return torch.tensor(values, dtype=torch.float64).median().item()


def costs_of(config: DictConfig) -> tuple[Seconds, Seconds]:
    """:func:`measured_costs` of the run that ``config`` describes, one of ``configs/measure_costs.yaml``."""
    OmegaConf.set_struct(config, False)
    measure = config.pop("measure")
    return measured_costs(build(config).run, config.precision, measure.rows, measure.rounds)


def settings_of(costs: Seconds) -> str:
    """The words that make a budget count so."""
    return " ".join(f"budget.{name}_cost={cost:.2f}" for name, cost in costs.items() if name != "forward")
