"""Grade a network that answers questions: ``python scripts/evaluate_questions.py [checkpoint=...]``."""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.models.checkpoints import load_network
from fmtt.models.question_net import QuestionNet
from fmtt.run.cli import script
from fmtt.training.question_grades import grade, on_the_way


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="questions_evaluation")
def main(config: DictConfig) -> None:
    net = load_network(config.checkpoint, QuestionNet)
    graded = grade(net, config.count, config.seed) | on_the_way(net, config.count, config.seed)
    for name, value in graded.items():
        print(f"{name:<20} {value:.4g}")


if __name__ == "__main__":
    sys.exit(script(main))
