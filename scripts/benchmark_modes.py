"""Every mode at the MNIST default beside its own calls of network and reward: what else takes time, and how much.

    python scripts/benchmark_modes.py [--particles 64 16] [--steps 8] [--rounds 5] [--modes search importance]

Each run is recorded once. Then the run and its calls alone take turns. The machine should be idle. The objects of a run
are made before. 64 particles are 4 groups of 16, and 16 are one.
"""

from __future__ import annotations

import argparse
import sys

from hydra import compose, initialize_config_dir

from fmtt.api import Run
from fmtt.run.build import build
from fmtt.run.cli import script
from fmtt.run.configs import CONFIGS
from fmtt.studies.floor import overhead
from fmtt.studies.output import markdown_table

MODES = sorted(file.stem for file in (CONFIGS / "mode").glob("*.yaml"))
GROUP = 16  # particles


def run_of(mode: str, particles: int, steps: int) -> Run:
    words = [f"mode={mode}", f"population.groups={particles // GROUP}", f"sampler.steps={steps}", "logger=none"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return build(compose("config", overrides=words)).run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", nargs="+", type=int, choices=range(GROUP, 10_000, GROUP), default=[64, 16],
                        metavar="N")  # fmt: skip
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, metavar="MODE")
    options = parser.parse_args()
    rows = []
    for mode in options.modes:
        for particles in options.particles:
            run = run_of(mode, particles, options.steps)
            found = overhead(lambda run=run: run, options.rounds)
            milliseconds = [f"{1e3 * value / options.steps:.1f}" for value in found[:2]]
            rows.append([mode, str(particles), *milliseconds, f"{found.share:+.1%}"])
    print(markdown_table(["mode", "particles", "ms a step", "its calls alone", "more"], rows))


if __name__ == "__main__":
    sys.exit(script(main))
