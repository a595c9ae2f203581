"""The example of a sweep by W&B: its agents type words that Hydra reads, and its goal is a metric of ours."""

from itertools import product
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir

from fmtt.report.common.metric_titles import RESULTS
from fmtt.run.build import build
from fmtt.run.configs import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
SWEEP = yaml.safe_load((ROOT / "docs" / "data" / "wandb_sweep.yaml").read_text())


def values(parameter: dict) -> list:
    return parameter.get("values") or [parameter.get("value", parameter.get("min"))]


def test_every_combination_is_a_run() -> None:
    names, choices = zip(*((name, values(entry)) for name, entry in SWEEP["parameters"].items()), strict=True)
    for combination in product(*choices):
        words = [f"{name}={value}" for name, value in zip(names, combination, strict=True)]
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            job = build(compose("config", overrides=[*words, "logger=none", "population.groups=1"]))
        assert job.run.method.unused.isdisjoint(names), "nothing is without effect"


def test_the_command_and_the_goal_are_ours() -> None:
    assert SWEEP["command"][-1] == "${args_no_hyphens}", "Hydra takes no word that begins with two hyphens"
    assert (ROOT / SWEEP["program"]).is_file() and SWEEP["metric"]["name"] in RESULTS
