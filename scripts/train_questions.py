"""Train the network that answers questions about scenes: ``python scripts/train_questions.py [key=value ...]``."""

import json
import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.training.questions import train_questions


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="questions")
def main(config: DictConfig) -> None:
    print(json.dumps(train_questions(config), indent=2))


if __name__ == "__main__":
    sys.exit(script(main))
