"""Serve a reward to runs elsewhere: ``python scripts/serve_reward.py reward=symmetry port=8765``.

A run with ``reward=server reward.address=http://HOST:8765`` then gets the rewards that it would get in its own process,
but no gradients; ``reward.scale`` is that of the run. The format of requests and answers is that of
:mod:`fmtt.rewards.wire`. Ctrl-C ends it.
"""

import sys

import hydra
from omegaconf import DictConfig

from fmtt.run.cli import script
from fmtt.run.serve_reward import serve_reward


@hydra.main(version_base="1.3", config_path="../configs", config_name="serve_reward")
def main(config: DictConfig) -> None:
    serve_reward(config)


if __name__ == "__main__":
    sys.exit(script(main))
