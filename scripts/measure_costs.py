"""Measure what calls cost: ``python scripts/measure_costs.py model=clocks reward=clock [key=value ...]``.

Prints a table of seconds and the settings of ``budget`` that they amount to. The machine should be idle.
"""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.run.costs import costs_of, settings_of
from fmtt.studies.output import markdown_table


@hydra.main(version_base="1.3", config_path="../configs", config_name="measure_costs")
def main(config: DictConfig) -> None:
    seconds, costs = costs_of(config)
    rows = [[name, f"{1e3 * seconds[name]:.3f}", f"{cost:.2f}"] for name, cost in costs.items()]
    print(markdown_table(["call", "ms for a sample", "cost"], rows), settings_of(costs), sep="\n\n")


if __name__ == "__main__":
    sys.exit(script(main))
