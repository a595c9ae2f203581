"""Grade a network that answers questions: ``python scripts/evaluate_questions.py [checkpoint=...]``."""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.models.checkpoints import load_network
from fmtt.models.question_net import QuestionNet
from fmtt.run.cli import script
from fmtt.training.questions import grade


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="questions_evaluation")
def main(config: DictConfig) -> None:
    for name, value in grade(load_network(config.checkpoint, QuestionNet), config.count, config.seed).items():
        print(f"{name:<20} {value:.4g}")


if __name__ == "__main__":
    sys.exit(script(main))
