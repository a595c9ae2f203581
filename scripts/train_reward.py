"""Train a digit classifier on MNIST: ``python scripts/train_reward.py [key=value ...]``."""

import json
import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.training.classifier import train_classifier


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="reward")
def main(config: DictConfig) -> None:
    print(json.dumps(train_classifier(config), indent=2))


if __name__ == "__main__":
    sys.exit(script(main))
