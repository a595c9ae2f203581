"""Settings of the whole suite: one thread, and property tests that are the same in every run."""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("fmtt", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("fmtt")

pytest_plugins = ["command"]  # the fixture `fmtt`, which runs the command line
