"""Measure whether the flow map of a model follows its velocity: ``python scripts/check_velocity.py model=mnist``.

Prints where the ODE of the velocity and two jumps land, seen from where one jump does, as shares of the way of that
jump. The velocity is that of the map if the ODE lands about as near as two jumps do. If it lands far away, while two
jumps land near, weights and ``lookahead=denoiser`` are wrong with this velocity.
"""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.run.velocity_check import gaps_of
from fmtt.studies.output import markdown_table


@hydra.main(version_base="1.3", config_path="../configs", config_name="check_velocity")
def main(config: DictConfig) -> None:
    rows = [[f"{start:g}", *(f"{gap:.2%}" for gap in found)] for start, found in gaps_of(config).items()]
    print(markdown_table(["from t", "to the ODE", "to two jumps", "error of the solver"], rows))


if __name__ == "__main__":
    sys.exit(script(main))
