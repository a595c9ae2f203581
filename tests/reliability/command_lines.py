"""Command lines as people type them, right and wrong, on a small problem."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hypothesis import strategies as st

from fmtt.run.cli import main
from fmtt.run.configs import CONFIGS

SMALL = (
    "model=gmm", "reward=linear", "lookahead=flowmap1", "population.groups=2", "population.particles=6",
    "sampler.steps=3", "logger=none", "report=false", "baseline=false",
)  # fmt: skip
ODD = (
    "null", "word", "", "-1", "0", "1", "2", "3", "0.5", "1e300", "nan", "inf", "true", "[]", "[1]", "[1,2]", "{}",
    "{a: 1}", "ü", "a=b", "${seed}", "${nowhere}", "99999999999999999999", "'a b'", "[nan,1]", "1,2",
)  # fmt: skip
NEED_WEIGHTS = (
    "diffusers", "flux", "flux3_klein", "flux_ahead", "flux_schnell", "generator", "hunyuan_image", "sana_sprint",
    "sdxl_lcm", "aesthetic", "clip", "hpsv2", "imagereward", "pickscore", "preference", "vlm", "vlm_score", "edit_vlm",
    "server",
)  # fmt: skip
SLOW = ("mnist", "clocks", "ring")  # they make a test long, and have tests of their own
SETTINGS = (
    "seed", "population", "population.groups", "population.particles", "population.chunk", "budget.nfe",
    "role", "scale_factor", "budget.backward_cost", "budget.reward_cost", "budget.min_particles",
    "device", "draws", "precision", "offload", "compile", "trust", "prompt", "prompts_file",
    "held_out", "baseline", "report", "resume", "checkpoint.every", "checkpoint.seconds", "reward.scale",
    "reward.direction", "lookahead.steps", "sampler.steps", "sampler.probes", "sampler.grid", "sampler.epsilon",
    "sampler.beta", "sampler.chi", "sampler.damping", "sampler.transport", "sampler.start", "sampler.epsilon.c",
    "sampler.grid.power", "mode.weights", "mode.gradient", "mode.ess_threshold", "mode.resampler", "mode.keep",
    "mode.rounds", "mode.rate", "mode.window", "mode.tempering", "mode.duplicates", "mode.samples", "mode.factor",
    "model.means", "model.std", "model.weights", "model.mean", "model._target_", "reward.nothing", "+foo", "++seed",
    "+mode.foo", "~baseline", "~sampler.grid", "sampler", "mode", "logger",
)  # fmt: skip


def choices(group: str) -> list[str]:
    """The words ``group=choice`` of a group that need no weights and little time."""
    names = sorted(file.stem for file in (CONFIGS / group).glob("*.yaml"))
    return [f"{group}={name}" for name in names if name not in (*NEED_WEIGHTS, *SLOW)]


GROUPS = [
    word
    for group in (
        "model", "reward", "lookahead", "mode", "sampler/grid", "sampler/epsilon", "sampler/beta", "sampler/chi",
        "sampler/damping", "sampler/transport", "sampler/start", "mode/gradient", "mode/weights", "launcher",
    )
    for word in choices(group)
]  # fmt: skip

words = st.one_of(
    st.sampled_from(GROUPS),
    st.builds("{}={}".format, st.sampled_from(SETTINGS), st.sampled_from(ODD)),
    st.builds("{}={}".format, st.sampled_from(SETTINGS), st.integers(-2, 9)),
    st.builds("{}={:g}".format, st.sampled_from(SETTINGS), st.floats(-10, 10)),
)
command_lines = st.lists(words, min_size=1, max_size=4)


def said(words: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """The status and the lines on stderr of a command that works in ``folder``."""
    before, out, err = (sys.argv, Path.cwd()), io.StringIO(), io.StringIO()
    GlobalHydra.instance().clear()
    sys.argv = ["run.py", *words, f"hydra.run.dir={folder / 'run'}"]
    os.chdir(folder)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main()
    finally:
        sys.argv, _ = before
        os.chdir(before[1])
    return status, err.getvalue().strip().splitlines()
