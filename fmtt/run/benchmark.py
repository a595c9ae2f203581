"""Pictures for a benchmark: one run for each of its prompts, in one process.

The noise of a picture is keyed by seed, prompt and sample. Each prompt has a seed of its own and a group for each of
its pictures. So a picture is the same however the prompts are shared out, and a prompt that is done is not made again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from fmtt.api import finish
from fmtt.benchmarks import BENCHMARKS
from fmtt.benchmarks.benchmark import Array, BenchmarkPrompt
from fmtt.benchmarks.folder import BenchmarkFolder
from fmtt.checks import choice, whole_number
from fmtt.flow.noise import generator
from fmtt.flow.precision import mixed
from fmtt.methods.result import Result
from fmtt.models.t2i.weights import loaded_once
from fmtt.report.common.pixels import in_colour, is_picture
from fmtt.run.build import Job, build, encoded_by, flow_of
from fmtt.run.checkpoint import digest
from fmtt.run.configs import CONFIGS
from fmtt.run.metrics import divergence
from fmtt.run.trust import check_trust, made
from fmtt.run.verdicts import said

FIXED = (  # settings, and groups of settings, that a benchmark makes itself, or that have no effect on it
    "prompt", "prompts_file", "population.groups", "logger", "baseline", "report", "resume", "checkpoint", "devices",
    "launcher", "fail_fast",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What is made.

    Attributes:
        benchmark: its name.
        prompts: its prompts, as they are published: a file or a folder.
        folder: where to.
        part, parts: the prompts ``part``, ``part + parts``, ``part + 2 parts``, ... are made.
    """

    benchmark: str
    prompts: str
    folder: str
    part: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        choice("benchmark", self.benchmark, BENCHMARKS)
        whole_number("parts", self.parts, 1)
        if whole_number("part", self.part, 0) >= self.parts:
            raise ValueError(f"part={self.part}: must be less than parts={self.parts}; the first part is 0")


def task_of(words: Sequence[str]) -> Task:
    """The task that ``words`` say, such as ``benchmark=geneval``.

    Raises:
        ValueError: if there is no such setting, one is missing, or a value is impossible.
    """
    given: Any = OmegaConf.to_container(OmegaConf.from_dotlist(list(words)))
    known = [field.name for field in fields(Task)]
    if unknown := [str(name) for name in given if name not in known]:
        raise ValueError(f"there is no setting '{unknown[0]}'; allowed are {', '.join(known)}")
    if missing := [field.name for field in fields(Task) if field.default is MISSING and field.name not in given]:
        raise ValueError(f"{missing[0]}: must be given, as {missing[0]}=...")
    return Task(**given)


def make_pictures(task: Task, typed: Sequence[str]) -> str:
    """Make the pictures of a part that are not there, by the run with the settings ``typed``; returns their folder.

    Raises:
        ValueError: if a setting is impossible, or the folder has pictures of other settings.
    """
    benchmark = BENCHMARKS[task.benchmark]
    prompts = benchmark.read(Path(str(task.prompts)))
    config = run_config(typed, benchmark.samples)
    folder = BenchmarkFolder(Path(str(task.folder)), benchmark)
    texts = repr([(prompt.name, prompt.text) for prompt in prompts])
    folder.claim({
        "benchmark": task.benchmark,
        "prompts": len(prompts),
        "texts": hashlib.sha256(texts.encode()).hexdigest()[:16],
        "run": digest(config),
        "typed": list(typed),
    })  # fmt: skip
    KEPT.clear()
    missing = [prompt for prompt in prompts[task.part :: task.parts] if not folder.done(prompt)]
    try:
        for k, prompt in enumerate(tqdm(missing, disable=not sys.stderr.isatty(), unit="prompt")):
            if k % TOGETHER == 0:
                encode_ahead(config, missing[k : k + TOGETHER])
            job, result = result_of(config, prompt)
            folder.keep(prompt, pictures_of(result), record_of(prompt, job, result))
    finally:
        folder.note(prompts)
    return str(folder.pictures)


def run_config(typed: Sequence[str], samples: int) -> DictConfig:
    """The configuration of the runs, a group for each picture.

    Raises:
        ValueError: if a setting is typed that a benchmark sets itself.
    """
    for word in typed:
        name = word.lstrip("+~").partition("=")[0]
        if any(name == own or name.startswith(f"{own}.") for own in FIXED):
            raise ValueError(f"{name}: has no effect here; a benchmark sets it itself")
    own = [f"population.groups={samples}", "logger=none", "baseline=false", "report=false"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", overrides=[*own, *typed])
    whole_number("seed", config.seed, 0)
    return config


TOGETHER = 32  # prompts whose encodings are in memory at the same time
KEPT: dict[str, Any] = {}  # model, reward and the other parts of the runs, by their YAML


def made_once(node: Any, trust: Sequence[str]) -> Any:
    """The object that a part of a configuration describes, the same for all prompts."""
    text = "null" if node is None else OmegaConf.to_yaml(node, resolve=True)
    if text not in KEPT:
        KEPT[text] = made(node, trust)
    return KEPT[text]


def encode_ahead(config: DictConfig, prompts: Sequence[BenchmarkPrompt]) -> None:
    """Encode prompts, each by itself, so that it does not depend on the others; their encoder is loaded once."""
    model = made_once(config.model, check_trust(config.trust))
    encoded_by(model).clear()
    encode = flow_of(model).encode_prompts
    if encode is not None:
        with loaded_once():
            for prompt in prompts:
                encode([prompt.text])


def result_of(config: DictConfig, prompt: BenchmarkPrompt) -> tuple[Job, Result]:
    """The run for a prompt, and its result."""
    own = config.copy()
    own.prompt, own.seed = [prompt.text], seed_of(config.seed, prompt)
    job = build(own, made_once)
    with torch.no_grad(), mixed(config.precision, job.fabric.device):
        run = job.run.tuned()
        return replace(job, run=run), finish(run, run.loop.last())


def seed_of(seed: int, prompt: BenchmarkPrompt) -> int:
    """The seed of a prompt; it does not depend on the other prompts."""
    return int(generator(seed, prompt.name, "prompt of a benchmark").integers(2**62))


def pictures_of(result: Result) -> list[Array]:
    """The picture that a run returns for each group, ``(H, W, 3)`` uint8.

    Raises:
        ValueError: if samples are not pictures.
    """
    decoded = result.decoded.float().cpu().numpy()
    if not is_picture(decoded.shape[2:]):
        raise ValueError(f"model: a benchmark needs pictures, not samples of shape {tuple(decoded.shape[2:])}")
    return list(in_colour(decoded[np.arange(len(decoded)), result.selected.cpu().numpy()]))


def record_of(prompt: BenchmarkPrompt, job: Job, result: Result) -> dict[str, Any]:
    """What is kept of a run beside its pictures.

    These are their rewards, what the reward and one that is held out say of them, the cost in nats where the mode has
    weights, and the calls that all of them took.
    """
    seen = {"rewards": result.rewards, **said(job.run, job.held_out, result, 0)}
    chosen = {name: values.gather(1, result.selected[:, None])[:, 0].tolist() for name, values in seen.items()}
    cost = divergence(job.run.problem.tilt.scale, result) if job.run.method.weighted else {}
    counts = {f"nfe/{name}": number for name, number in result.meter.counts.items()}
    return {"name": prompt.name, "text": prompt.text, "category": prompt.category} | chosen | cost | counts
