"""The bundled networks as they are, in channels_last, in bf16-mixed and compiled: milliseconds of a jump.

    python scripts/benchmark_networks.py [--models mnist scenes] [--batches 16 64] [--calls 15]

*Forward* is a jump without a gradient, *backward* is one with the gradient of its sum. A compiled network pays from the
number of calls on that saves the time of its compilation, which needs a C++ compiler. The machine should be idle.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from fmtt.models.learned import TwoTimeModel
from fmtt.models.text_model import TextModel
from fmtt.run.cli import script
from fmtt.run.configs import CONFIGS
from fmtt.studies.floor import seconds
from fmtt.studies.output import markdown_table

PROMPT = "a red circle"
TIME = 0.4  # from which the jumps go to the data
KINDS = ("plain", "channels_last", "bf16-mixed", "compiled")
Model = TwoTimeModel | TextModel


def load(name: str, kind: str) -> Model:
    """A new copy of a bundled model, its networks as ``kind`` says."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        model = instantiate(compose("config", overrides=[f"model={name}"]).model)
    for network in model.networks:
        if kind == "channels_last":
            network.to(memory_format=torch.channels_last)
        if kind == "compiled":
            network.compile(dynamic=False)
    return model


def jump(name: str, model: Model, batch: int, kind: str, gradient: bool) -> Callable[[], None]:
    """One jump of ``batch`` samples to the data."""
    x, s = torch.randn(batch, *model.shape, requires_grad=gradient), torch.full((batch,), TIME)
    told = {}
    if name == "scenes":
        told["condition"] = {key: value.expand(batch, *value.shape[1:]) for key, value in
                             model.encode_prompts([PROMPT]).items()}  # fmt: skip
    mixed = torch.autocast("cpu", torch.bfloat16) if kind == "bf16-mixed" else nullcontext()

    def call() -> None:
        with torch.set_grad_enabled(gradient):
            with mixed:
                end = model.flow_map(x, s, torch.ones_like(s), **told)
            if gradient:
                torch.autograd.grad(end.float().sum(), x)

    return call


def measured(call: Callable[[], None], calls: int) -> tuple[float, float]:
    """Seconds of the first call, and the median of later ones."""
    first = seconds(call)
    call()
    return first, statistics.median(seconds(call) for _ in range(calls))


def pays(first: float, usual: float, plain: float) -> str:
    """From how many calls on a compiled network pays."""
    saved = plain - usual
    return f" (pays from {round((first - usual) / saved, -2):,.0f} calls)" if saved > 0 else " (does not pay)"


def rows_of(name: str, batch: int, calls: int) -> Iterator[list[str]]:
    """A row for each kind of network."""
    plain: list[float] = []
    for kind in KINDS:
        torch._dynamo.reset()
        model, row = load(name, kind), [name, str(batch), kind]
        for number, gradient in enumerate((False, True)):
            first, usual = measured(jump(name, model, batch, kind, gradient), calls)
            plain.append(usual)
            row.append(f"{1e3 * usual:.1f}{pays(first, usual, plain[number]) if kind == 'compiled' else ''}")
        yield row


def main() -> None:
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # else what an earlier run compiled costs nothing
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=("mnist", "clocks", "scenes"), default=["mnist", "scenes"],
                        metavar="MODEL")  # fmt: skip
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64], metavar="B")
    parser.add_argument("--calls", type=int, default=15)
    options = parser.parse_args()
    rows = [row for name in options.models for batch in options.batches for row in rows_of(name, batch, options.calls)]
    print(markdown_table(["model", "batch", "network", "forward, ms", "backward, ms"], rows))


if __name__ == "__main__":
    sys.exit(script(main))
