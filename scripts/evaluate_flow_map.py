"""Measure a trained flow map: ``python scripts/evaluate_flow_map.py checkpoint=... [key=value ...]``."""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.training.evaluation import evaluate_flow_map, table


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="evaluation")
def main(config: DictConfig) -> None:
    print(table(evaluate_flow_map(config)))


if __name__ == "__main__":
    sys.exit(script(main))
