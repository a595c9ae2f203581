"""Train the clock reader: ``python scripts/train_clock_reader.py [key=value ...]``."""

import json
import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.training.clock_reader import train_clock_reader


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="clock_reader")
def main(config: DictConfig) -> None:
    print(json.dumps(train_clock_reader(config), indent=2))


if __name__ == "__main__":
    sys.exit(script(main))
