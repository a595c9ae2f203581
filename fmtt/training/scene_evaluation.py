"""Measure the flow map of scenes: which share of its pictures show their prompt, by the exact judge."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from fmtt.data.captions import Caption, Group
from fmtt.data.scene_reader import judge, read
from fmtt.data.scene_texts import Prompt, reported
from fmtt.data.scenes import COLOURS, SHAPES
from fmtt.flow import noise
from fmtt.flow.batches import Batches
from fmtt.flow.protocols import Flow
from fmtt.models.checkpoints import load_network
from fmtt.models.text_unet import TextUNet
from fmtt.models.words import caption_tokens
from fmtt.run_folder import SAMPLES_PICTURE
from fmtt.tilt.typicality import DRAWS, USUAL, denoising_error
from fmtt.training.captioned import told
from fmtt.training.evaluation import JUMPS, QUARTERS, denoised, jumps, ode_path, relative_error
from fmtt.training.scene_sheets import draw_scenes

ODE = "ode"


def common_prompts() -> list[Prompt]:
    """What the world often says: one object, two, and two of a kind, all of their usual colours."""
    kinds = [(shape, shape) for shape in range(min(len(SHAPES), len(COLOURS)))]
    pairs = [(one, other) for one in kinds for other in kinds if one != other]
    return [
        *(Prompt("one", Caption((Group(1, colour, shape),))) for shape, colour in kinds),
        *(Prompt("two different", Caption((Group(1, a[1], a[0]), Group(1, b[1], b[0])))) for a, b in pairs),
        *(Prompt("two of a kind", Caption((Group(2, colour, shape),))) for shape, colour in kinds),
    ]


def repeated(prompts: Sequence[Prompt], each: int) -> list[Prompt]:
    """So many times the prompts that each category has at least ``each`` samples."""
    sizes = {name: sum(prompt.category == name for prompt in prompts) for name in {p.category for p in prompts}}
    return [prompt for prompt in prompts for _ in range(-(-each // sizes[prompt.category]))]


def samples_of(net: TextUNet, prompts: Sequence[Prompt], config: DictConfig) -> dict[str, Tensor]:
    """Pictures of the prompts by 1, 2, 4, 8 jumps and by the ODE, from the same noise; ``(B, 3, H, W)`` each.

    The entry ``path`` has the ODE at times 0, 1/4, 1/2, 3/4 and 1, ``(B, 5, 3, H, W)``.
    """
    x0 = noise.normal((len(prompts), *net.shape), config.seed, "evaluation")
    tokens = caption_tokens(prompt.text for prompt in prompts)
    found: dict[str, list[Tensor]] = {}
    for x, words in zip(x0.split(config.chunk), tokens.split(config.chunk), strict=True):
        knowing = told(net, words)
        found.setdefault("path", []).append(ode_path(knowing, x, config.ode_steps))
        for count in JUMPS:
            found.setdefault(f"{count} jump{'s' if count > 1 else ''}", []).append(jumps(knowing, x, 0.0, count))
    made = {name: torch.cat(parts) for name, parts in found.items()}
    return made | {ODE: made["path"][:, -1]}


def errors_of(net: TextUNet, prompts: Sequence[Prompt], path: Tensor, chunk: int) -> dict[str, dict[str, float]]:
    """Mean relative errors of 1 jump, 4 jumps and the denoiser, from each quarter of ``path`` to its end."""
    tokens = caption_tokens(prompt.text for prompt in prompts)
    guesses = {"1 jump": lambda f, x, t: jumps(f, x, t, 1), "4 jumps": lambda f, x, t: jumps(f, x, t, 4),
               "denoiser": denoised}  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name, guess in guesses.items():
        for k, t in enumerate(QUARTERS):
            parts = zip(path.split(chunk), tokens.split(chunk), strict=True)
            errors = [relative_error(guess(told(net, words), x[:, k], t), x[:, -1]) for x, words in parts]
            found.setdefault(name, {})[f"{t:g}"] = torch.cat(errors).double().mean().item()
    return found


def shares_of(prompts: Sequence[Prompt], pictures: Tensor) -> dict[str, dict[str, float]]:
    """The shares of pictures that are right, and that are broken, for each category."""
    reading = read(pictures)
    right = judge([prompt.caption for prompt in prompts], reading)
    found = {}
    for name in dict.fromkeys(prompt.category for prompt in prompts):
        rows = torch.tensor([prompt.category == name for prompt in prompts])
        found[name] = {
            "right": right[rows].double().mean().item(),
            "broken": reading.broken[rows].double().mean().item(),
            "samples": int(rows.sum()),
        }
    return found


def usual_scene_error(net: TextUNet, prompts: Sequence[Prompt], pictures: Tensor, config: DictConfig) -> float:
    """The upper quartile of the denoising errors of ``pictures (B, 3, H, W)``, the network told their prompts."""
    tokens = caption_tokens(prompt.text for prompt in prompts)
    looked_at = noise.normal((1, DRAWS, *pictures.shape), config.seed, "denoising")
    chunks = (tokens.split(config.chunk), pictures[None].split(config.chunk, 1), looked_at.split(config.chunk, 2))
    errors = [
        denoising_error(velocity_of(net, words.repeat(DRAWS, 1)), x, drawn, Batches(None))
        for words, x, drawn in zip(*chunks, strict=True)
    ]
    return float(torch.quantile(torch.cat(errors, dim=1), USUAL))


def velocity_of(net: TextUNet, tokens: Tensor) -> Flow:
    """The velocity of a network that was told ``tokens (B, L)``, for batches of B rows."""
    knowing = told(net, tokens)
    return Flow(net.shape, lambda x, t: knowing(x, t, t))


def scene_gates(
    shares: Mapping[str, Mapping[str, Mapping[str, float]]], limits: Mapping[str, float]
) -> dict[str, bool]:
    """The conditions for bundling the flow map of scenes, and whether each holds.

    ``shares`` are those of :func:`shares_of` for each way of sampling, ``limits`` the ``gates`` of
    configs/training/scenes_evaluation.yaml.
    """
    by_ode, four, one = (
        {name: share["right"] for name, share in shares[way].items()} for way in (ODE, "4 jumps", "1 jump")
    )
    common = {prompt.category for prompt in common_prompts()}
    uncommon = [share for name, share in by_ode.items() if name not in common]
    mean = sum(uncommon) / len(uncommon)
    found = {f"{name}: at least {limits['common']:.0%} by the ODE": by_ode[name] >= limits["common"] for name in common}
    found |= {
        f"{name}: 4 jumps within {100 * limits['four']:g} points of the ODE": share - four[name] <= limits["four"]
        for name, share in by_ode.items()
    }
    low, high = limits["least"], limits["most"]
    return dict(sorted(found.items())) | {
        f"one: 1 jump at least {limits['one']:.0%}": one["one"] >= limits["one"],
        f"uncommon: mean of {low:.0%} to {high:.0%} by the ODE": low <= mean <= high,
        "uncommon: no category at 0 by the ODE": min(uncommon) > 0,
    }


def scene_table(figures: dict) -> str:
    """The figures as lines of text."""
    names = list(figures["shares"])
    lines = [f"{'right':16}{'samples':>8}" + "".join(f"{name:>10}" for name in names) + f"{'broken':>10}"]
    for category, first in figures["shares"][names[0]].items():
        rights = "".join(f"{figures['shares'][name][category]['right']:10.1%}" for name in names)
        broken = figures["shares"][ODE][category]["broken"]
        lines.append(f"{category:16}{first['samples']:8}{rights}{broken:10.1%}")
    lines.append(f"\n{'error from t':16}" + "".join(f"{t:>9g}" for t in QUARTERS))
    for name, errors in figures["relative_error"].items():
        lines.append(f"{name:16}" + "".join(f"{error:9.4f}" for error in errors.values()))
    lines.append(f"usual denoising error of one jump {figures['usual_error']:.4f}\n")
    lines += [f"{'pass' if passed else 'FAIL'}  {name}" for name, passed in figures["gates"].items()]
    return "\n".join(lines)


@torch.inference_mode()
def evaluate_scenes(config: DictConfig) -> dict:
    """Measure as ``configs/training/scenes_evaluation.yaml`` says; writes ``evaluation.json`` and pictures."""
    torch.set_num_threads(config.threads)
    started, net = time.time(), load_network(config.checkpoint, TextUNet)
    prompts = repeated([*common_prompts(), *reported()], config.samples)
    samples = samples_of(net, prompts, config)
    path = samples.pop("path")
    figures = {
        "checkpoint": config.checkpoint,
        "seed": config.seed,
        "solver": f"Heun, {config.ode_steps} steps",
        "shares": {name: shares_of(prompts, pictures) for name, pictures in samples.items()},
        "relative_error": errors_of(net, prompts, path, config.chunk),
        "usual_error": usual_scene_error(net, prompts, samples["1 jump"], config),
        "minutes": round((time.time() - started) / 60, 1),
    }
    figures["gates"] = scene_gates(figures["shares"], config.gates)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(figures, indent=2) + "\n")
    draw_scenes(prompts, samples, folder / SAMPLES_PICTURE)
    return figures
