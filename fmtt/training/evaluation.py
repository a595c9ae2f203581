"""Measure a flow map against its own ODE and against real images.

Times are those of the linear path; ``net(x, s, t)`` is the average velocity, so that
``X_{s,t}(x) = x + (t - s) net(x, s, t)`` is the flow map and ``net(x, t, t)`` the velocity. The ODE is solved by
Heun's method. All figures are averages over samples that depend on the seed only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor

from fmtt.evaluation.feature_distances import frechet_distance
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.interpolant import denoiser_from_velocity, expand, interpolate
from fmtt.flow.protocols import Evaluator
from fmtt.models.checkpoints import load_network
from fmtt.models.learned import TwoTimeModel
from fmtt.models.unet import TwoTimeUNet
from fmtt.run_folder import SAMPLES_PICTURE
from fmtt.tilt.typicality import DRAWS, usual_error
from fmtt.training.objectives import AverageVelocity
from fmtt.training.trajectories import heun_trajectory

QUARTERS = (0.0, 0.25, 0.5, 0.75)
JUMPS = (1, 2, 4, 8)


def chunked(function: Callable[..., Tensor], chunk: int, *tensors: Tensor) -> Tensor:
    """``function(*tensors)``, computed for ``chunk`` samples at a time; every tensor is ``(B, ...)``."""
    parts = zip(*(tensor.split(chunk) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


def jump(net: AverageVelocity, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """The flow map ``X_{s,t}(x)``; ``x (B, *D)``, ``s, t (B,)``."""
    return x + expand(t - s, x) * net(x, s, t)


def jumps(net: AverageVelocity, x: Tensor, start: float, count: int) -> Tensor:
    """``count`` equal jumps of ``x (B, *D)`` from time ``start`` to 1."""
    times = torch.linspace(start, 1, count + 1, device=x.device).expand(len(x), -1).unbind(1)
    for s, t in pairwise(times):
        x = jump(net, x, s, t)
    return x


def denoised(net: AverageVelocity, x: Tensor, start: float) -> Tensor:
    """The denoiser ``x + (1 - t) b_t(x)`` at ``t = start``; ``x (B, *D)``."""
    t = torch.full((len(x),), start, device=x.device)
    return denoiser_from_velocity(net(x, t, t), x, t)


def ode_path(net: AverageVelocity, x0: Tensor, steps: int) -> Tensor:
    """The ODE from noise ``x0 (B, *D)`` at times 0, 1/4, 1/2, 3/4 and 1, by ``steps`` Heun steps; ``(B, 5, *D)``.

    Raises:
        ValueError: if ``steps`` is not a multiple of 4.
    """
    if steps % 4:
        raise ValueError(f"ode_steps must be a multiple of 4, got {steps}")
    times = torch.arange(steps + 1, device=x0.device) / steps
    return heun_trajectory(net, x0, times.expand(len(x0), -1)).points[:, :: steps // 4]


def relative_error(guess: Tensor, truth: Tensor) -> Tensor:
    """``|guess - truth| / |truth|`` of every sample; ``(B, *D)`` to ``(B,)``."""
    return (guess - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)


def semigroup_error(net: AverageVelocity, x: Tensor, t: Tensor, u: Tensor) -> Tensor:
    """``|X_{u,1}(X_{t,u}(x)) - X_{t,1}(x)| / |X_{t,1}(x)|`` of every sample; ``x (B, *D)``, ``t <= u (B,)``."""
    one = torch.ones_like(t)
    return relative_error(jump(net, jump(net, x, t, u), u, one), jump(net, x, t, one))


def accuracy_of_map(net: AverageVelocity, path: Tensor, chunk: int) -> dict[str, dict[str, float]]:
    """Mean relative errors of 1 jump, 4 jumps and the denoiser, from each quarter of ``path (B, 5, *D)`` to its end."""
    guesses = {
        "1 jump": lambda x, t: jumps(net, x, t, 1),
        "4 jumps": lambda x, t: jumps(net, x, t, 4),
        "denoiser": lambda x, t: denoised(net, x, t),
    }

    def error(guess: Callable[[Tensor, float], Tensor], index: int, t: float) -> float:
        ends = chunked(lambda x: guess(x, t), chunk, path[:, index])
        return relative_error(ends, path[:, -1]).double().mean().item()

    return {name: {f"{t:g}": error(guess, i, t) for i, t in enumerate(QUARTERS)} for name, guess in guesses.items()}


def consistency(net: AverageVelocity, images: Tensor, seed: int, chunk: int) -> float:
    """Mean semigroup error at points of the interpolant to ``images (B, *D)`` and sorted uniform times t < u."""
    times = noise.uniform((len(images), 2), seed, "semigroup times").float().sort(dim=1).values.to(images.device)
    t, u = times.unbind(1)
    x = interpolate(noise.normal(images.shape, seed, "semigroup noise", device=images.device), images, t)
    return chunked(lambda *part: semigroup_error(net, *part), chunk, x, t, u).double().mean().item()


@dataclass(frozen=True)
class Grades:
    """The verdicts of an evaluator on a set of samples.

    Attributes:
        features: ``(B, F)``.
        label: the class of each, ``(B,)``.
        sure: whether each is recognised, ``(B,)``.
    """

    features: Tensor
    label: Tensor
    sure: Tensor

    @staticmethod
    def of(x: Tensor, evaluator: Evaluator, chunk: int) -> Grades:
        verdicts = [evaluator(part) for part in x.split(chunk)]
        label, sure = (torch.cat(parts) for parts in zip(*verdicts, strict=True))
        return Grades(chunked(evaluator.features, chunk, x), label, sure)

    @property
    def recognised(self) -> float:
        return self.sure.double().mean().item()


def quality(samples: dict[str, Tensor], real: Tensor, evaluator: Evaluator, chunk: int) -> dict[str, dict]:
    """Share recognised, Frechet distance and class histogram of every set of ``samples (B, *D)``.

    The Frechet distances are to the test images ``real (M, *D)`` of odd index. The set ``real`` has as many test images
    of even index as there are samples; its figures are those of a perfect model. The split is by odd and even index
    because the first 5,000 test images of MNIST are easier than the last 5,000.
    """
    count = len(next(iter(samples.values())))
    whole = Grades.of(real, evaluator, chunk)
    reference = whole.features[1::2]
    grades = {name: Grades.of(x, evaluator, chunk) for name, x in samples.items()}
    grades["real"] = Grades(*(part[0::2][:count] for part in (whole.features, whole.label, whole.sure)))
    return {
        "recognised": {name: grade.recognised for name, grade in grades.items()} | {"whole test set": whole.recognised},
        "frechet": {name: frechet_distance(grade.features, reference) for name, grade in grades.items()},
        "histogram": {
            name: grade.label.bincount(minlength=evaluator.classes).tolist() for name, grade in grades.items()
        },
        "counts": {"samples": count, "real": len(grades["real"].label), "reference": len(reference)},
    }


def gates(figures: dict, limits: Mapping[str, float]) -> dict[str, bool]:
    """The conditions for bundling a flow map, and whether each holds.

    ``limits`` are the ``gates`` of configs/training/evaluation.yaml.
    """
    share, error, distance = figures["recognised"], figures["relative_error"], figures["frechet"]
    return {
        f"ODE: at least {limits['ode']:.0%} recognised": share["ode"] >= limits["ode"],
        f"4 jumps: within {100 * limits['four']:g} points of the ODE": abs(share["ode"] - share["4 jumps"])
        <= limits["four"],
        f"1 jump: within {100 * limits['one']:g} points of the ODE": abs(share["ode"] - share["1 jump"])
        <= limits["one"],
        f"1 jump from .25: error at most {limits['quarter']:g}": error["1 jump"]["0.25"] <= limits["quarter"],
        f"1 jump from .5: error at most {limits['half']:g}": error["1 jump"]["0.5"] <= limits["half"],
        f"4 jumps from noise: error at most {limits['noise']:g}": error["4 jumps"]["0"] <= limits["noise"],
        "Frechet distance falls from 1 to 4 jumps": distance["4 jumps"] < distance["1 jump"],
    }


def table(figures: dict) -> str:
    """The figures as lines of text."""
    share, distance = figures["recognised"], figures["frechet"]
    lines = [f"{'':12}{'recognised':>12}{'Frechet':>10}   classes"]
    for name in distance:
        counts = " ".join(f"{count:4d}" for count in figures["histogram"][name])
        lines.append(f"{name:12}{share[name]:12.1%}{distance[name]:10.3f}   {counts}")
    counts = figures["counts"]
    lines.append(
        f"{counts['samples']} samples, {counts['real']} real ones, Frechet distance to {counts['reference']} others; "
        f"{share['whole test set']:.1%} of the whole test set recognised"
    )
    lines.append(f"\n{'error from t':12}" + "".join(f"{t:>9g}" for t in QUARTERS))
    for name, errors in figures["relative_error"].items():
        lines.append(f"{name:12}" + "".join(f"{error:9.4f}" for error in errors.values()))
    lines.append(f"semigroup error {figures['semigroup_error']:.4f}")
    lines.append(f"usual denoising error of one jump {figures['usual_error']:.4f}\n")
    lines += [f"{'pass' if passed else 'FAIL'}  {name}" for name, passed in figures["gates"].items()]
    return "\n".join(lines)


def draw_samples(samples: dict[str, Tensor], path: Path, columns: int = 16) -> None:
    """A picture with one row for each entry of ``samples (B, 1, H, W)``; all images in a column have the same noise."""
    figure = Figure(figsize=(columns * 0.6, len(samples) * 0.65))
    axes = figure.subplots(len(samples), squeeze=False)
    for axis, (name, images) in zip(axes[:, 0], samples.items(), strict=True):
        row = torch.cat(list(images[:columns, 0]), dim=1)
        axis.imshow(row.numpy(force=True), cmap="gray", vmin=-1, vmax=1)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(xticks=[], yticks=[])
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=150, bbox_inches="tight")


@torch.inference_mode()
def evaluate_flow_map(config: DictConfig) -> dict:
    """Measure as ``configs/training/evaluation.yaml`` says; writes ``evaluation.json`` and ``samples.png``."""
    torch.set_num_threads(config.threads)
    started, device, chunk = time.time(), torch.device(config.device), config.chunk
    net = load_network(config.checkpoint, TwoTimeUNet).to(device)
    evaluator, real = instantiate(config.evaluator), instantiate(config.real).to(device)
    x0 = noise.normal((config.samples, *net.shape), config.seed, "evaluation", device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
        path = chunked(lambda x: ode_path(net, x, config.ode_steps), chunk, x0)
        samples = {
            f"{count} jump{'s' if count > 1 else ''}": chunked(lambda x, n=count: jumps(net, x, 0.0, n), chunk, x0)
            for count in JUMPS
        }
        error = accuracy_of_map(net, path, chunk)
        semigroup = consistency(net, real[: config.samples], config.seed, chunk)
        looked_at = noise.normal((1, DRAWS, *x0.shape), config.seed, "denoising", device=device)
        usual = usual_error(TwoTimeModel(net, net.shape), samples["1 jump"][None], looked_at, Batches(chunk))
    samples["ode"] = path[:, -1]
    figures = {
        "checkpoint": config.checkpoint,
        "evaluator": config.evaluator.checkpoint,
        "seed": config.seed,
        "bf16": config.bf16,
        "solver": f"Heun, {config.ode_steps} steps",
        **quality(samples, real, evaluator, chunk),
        "relative_error": error,
        "semigroup_error": semigroup,
        "usual_error": usual,
        "minutes": round((time.time() - started) / 60, 1),
    }
    figures["gates"] = gates(figures, config.gates)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(figures, indent=2) + "\n")
    draw_samples(samples, folder / SAMPLES_PICTURE)
    return figures
