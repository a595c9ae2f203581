"""Train the two-time network of a flow map on MNIST: ``python scripts/train_flow_map.py [key=value ...]``."""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.training.fit import train_flow_map


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="flow_map")
def main(config: DictConfig) -> None:
    train_flow_map(config)


if __name__ == "__main__":
    sys.exit(script(main))
