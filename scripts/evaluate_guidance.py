"""Compare strengths of guidance: ``python scripts/evaluate_guidance.py [checkpoint=... strengths=[1,2,3]]``."""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.studies.output import markdown_table
from fmtt.training.guidance_evaluation import shares_by_strength


@hydra.main(version_base="1.3", config_path="../configs/training", config_name="guidance_evaluation")
def main(config: DictConfig) -> None:
    found = shares_by_strength(config)
    names = list(next(iter(found.values())))
    rows = [[f"{strength:g}", *(f"{row[name]:.1%}" for name in names)] for strength, row in found.items()]
    print(markdown_table(["guidance", *names], rows))


if __name__ == "__main__":
    sys.exit(script(main))
