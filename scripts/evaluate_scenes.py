"""Measure the flow map of scenes: ``python scripts/evaluate_scenes.py checkpoint=... [key=value ...]``."""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.training.scene_evaluation import evaluate_scenes, scene_table


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="scenes_evaluation")
def main(config: DictConfig) -> None:
    print(scene_table(evaluate_scenes(config)))


if __name__ == "__main__":
    sys.exit(script(main))
