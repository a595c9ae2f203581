"""Benchmarks of text-to-image models: their prompts as users have them, and pictures where their scorers look for them.

Nothing is scored here: the official scorers need environments of their own.
"""

from fmtt.benchmarks.compbench import COMPBENCH
from fmtt.benchmarks.dpg import DPG
from fmtt.benchmarks.geneval import GENEVAL
from fmtt.benchmarks.geneval2 import GENEVAL2
from fmtt.benchmarks.unigenbench import UNIGENBENCH

BENCHMARKS = {
    "geneval": GENEVAL, "geneval2": GENEVAL2, "unigenbench": UNIGENBENCH, "dpg": DPG, "compbench": COMPBENCH,
}  # fmt: skip
