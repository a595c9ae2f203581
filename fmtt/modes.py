"""Every method by its word on the command line: ``fmtt.modes.search(keep=2)``, ``fmtt.modes.tds()``."""

from fmtt.methods.auto import auto
from fmtt.methods.baselines import beam, best_of_n, das, diamond, fk_steering, fmrg, reweight, svdd, tds
from fmtt.methods.noise_opt import noise_opt
from fmtt.methods.noise_smc import noise_smc
from fmtt.methods.presets import base, guidance, importance, local_tilt, search, tilted_ode
from fmtt.methods.rounds import multi_best_of_n

__all__ = [
    "auto", "base", "beam", "best_of_n", "das", "diamond", "fk_steering", "fmrg", "guidance", "importance",
    "local_tilt", "multi_best_of_n", "noise_opt", "noise_smc", "reweight", "search", "svdd", "tds", "tilted_ode",
]  # fmt: skip
