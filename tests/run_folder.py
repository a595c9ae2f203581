"""Run folders as the runner leaves them before the pictures are drawn, without a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from safetensors.numpy import save_file

STEPS, GROUPS, PARTICLES = 8, 2, 6
CHOICES = {"mode": "search", "lookahead": "flowmap4", "reward": "symmetry", "model": "gmm"}


def make_run(
    folder: Path,
    shape: tuple[int, ...] = (2,),
    overrides: tuple[str, ...] = ("mode=search", "seed=0"),
    reward: float = -0.25,
    groups: int = GROUPS,
    base: bool = True,
    metrics: dict | None = None,
    steps: int = STEPS,
    shift: float = 0.0,
    config: dict | None = None,
) -> Path:
    """A run folder as the runner leaves it before the pictures are drawn.

    Args:
        shift: added to the mean reward on the way.
        config: what the resolved configuration holds beside the overrides.
    """
    random = np.random.default_rng(0)
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(list(overrides), folder / ".hydra" / "overrides.yaml")
    typed = dict(word.lstrip("+").split("=", 1) for word in overrides if "=" in word)
    picked = {group: typed.get(group, default) for group, default in CHOICES.items()}
    OmegaConf.save({"hydra": {"runtime": {"choices": picked}}}, folder / ".hydra" / "hydra.yaml")
    resolved = {"seed": 0, "note": "</script><script>alert(1)</script>", "sampler": {"steps": steps}, **(config or {})}
    keys = [f"{name}={value}" for name, value in typed.items() if name not in CHOICES]
    OmegaConf.save(OmegaConf.merge(resolved, OmegaConf.from_dotlist(keys)), folder / "config.yaml")
    (folder / "environment.json").write_text(json.dumps({"python": "3.11", "git_commit": None}))
    arrays = {
        "samples": random.standard_normal((groups, PARTICLES, *shape), dtype=np.float32),
        "log_weights": random.standard_normal((groups, PARTICLES)),
        "rewards": np.full((groups, PARTICLES), reward, np.float32),
        "selected": np.arange(groups) % PARTICLES,
        "ancestors": random.integers(0, PARTICLES, (groups, PARTICLES)),
    }
    if base:
        arrays["base"] = random.standard_normal((groups, PARTICLES, *shape), dtype=np.float32)
        arrays["base_rewards"] = np.full((groups, PARTICLES), -0.75, np.float32)
    save_file(arrays, folder / "samples.safetensors")
    columns = ("step", "t", "reward/mean", "reward/max", "ess", "log_z", "resampled", "nfe/forward")
    rows = [
        (k, k / steps, -1 + k / 10 + shift, -0.5, 1 - k / 20, -k / 4, int(k == 3), 12 * k) for k in range(steps + 1)
    ]
    with (folder / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    values = {
        "reward/mean": reward,
        "reward/weighted_mean": reward,
        "reward/weighted_mean/stderr": None if groups == 1 else 0.01,
        "reward/max": [reward] * groups,
        "log_z": [-1.0, -2.0][:groups],
        "log_z/mean": -1.4,
        "log_z/stderr": None,
        "ess/final": 0.5,
        "nfe/forward": 1200,
        "time/total_s": 3.5,
        **(metrics or {}),
    }
    (folder / "metrics.json").write_text(json.dumps(values))
    return folder


def make_film(
    folder: Path, x: np.ndarray, landing: np.ndarray | None = None, ancestors: np.ndarray | None = None
) -> Path:
    """Put a film into a run folder.

    Args:
        folder: it must exist.
        x, landing: ``(F, g, n, *D)``; no landing is known by default.
        ancestors: ``(F, G, N)``; by default nothing was resampled.
    """
    frames = len(x)
    if ancestors is None:
        ancestors = np.broadcast_to(np.arange(PARTICLES), (frames, GROUPS, PARTICLES))
    film = {
        "t": np.linspace(0, 1, frames),
        "x": x.astype(np.float16),
        "landing": np.full_like(x, np.nan, np.float16) if landing is None else landing.astype(np.float16),
        "ancestors": np.ascontiguousarray(ancestors, np.int32),
        "log_weights": np.zeros(ancestors.shape),
    }
    save_file(film, folder / "film.safetensors")
    return folder


def resampled(frames: int = 5, groups: int = GROUPS) -> np.ndarray:
    """Ancestors ``(F, G, PARTICLES)``: from the middle on each group has half of them, at the end one in group 0."""
    own = np.broadcast_to(np.arange(PARTICLES), (frames, groups, PARTICLES)).copy()
    own[frames // 2 :] = own[frames // 2 :] // 2 * 2
    own[-1, 0] = 4
    return own
