"""What many small runs give, to the last bit: record it before a change, record it after, compare.

    python -m tests.digests record before.json
    python -m tests.digests compare before.json after.json

Runs write below a temporary folder. Times and memory are left out, since they differ from run to run.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import runpy
import signal
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from hydra.core.global_hydra import GlobalHydra
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
IGNORED = ("time/", "memory/")

POINTS = "model=gmm reward=quadratic sampler.steps=6 population.groups=3 population.particles=12 lookahead=flowmap1"
LINE = "model=gaussian reward=linear sampler.steps=6 population.groups=3 population.particles=12 lookahead=flowmap1"
PLANE = "lookahead=flowmap1 mode.weights=jarzynski sampler.steps=4 population.groups=2"
DIGITS = "population.groups=2 population.particles=3 sampler.steps=3 population.chunk=5 lookahead=flowmap1"
CLOCKS = "model=clocks reward=clock " + DIGITS

# Every mode, look-ahead, weight, resampler, schedule, start and transport, and all bundled models.
RUNS = {
    **{f"mode-{mode}": f"{POINTS} mode={mode}" for mode in (
        "importance", "base", "reweight", "search", "local_tilt", "tilted_ode", "guidance", "best_of_n", "beam",
        "fk_steering", "tds", "das", "svdd", "fmrg", "diamond", "noise_opt", "noise_smc", "multi_best_of_n", "auto",
    )},
    "mode-wide_search": f"{POINTS} mode=wide_search sampler.steps=6",
    "mode-auto-long": f"{POINTS} mode=auto sampler.steps=44 population.particles=3",
    **{f"lookahead-{word}": f"{POINTS} mode.weights=material lookahead={word}" for word in (
        "none", "denoiser", "diffusion4", "flowmap1", "flowmap2", "flowmap4", "exact",
    )},
    **{f"kernel-{word}": f"{POINTS} mode.weights=kernel lookahead={word}" for word in (
        "none", "denoiser", "diffusion4",
    )},
    "weights-jarzynski": f"{POINTS} mode.weights=jarzynski",
    "weights-kernel": f"{POINTS} mode.weights=kernel",
    "weights-material-flowmap": f"{POINTS} mode.weights=material sampler/transport=flowmap",
    **{f"resampler-{word}": f"{LINE} mode.weights=kernel mode.ess_threshold=1 mode.resampler={word}" for word in (
        "systematic", "stratified", "residual", "multinomial", "ssp",
    )},
    "never-resampled": f"{LINE} mode.ess_threshold=0",
    "resampled-at": f"{LINE} mode.weights=kernel 'mode.resample_at=[2,4]'",
    **{f"grid-{word}": f"{LINE} mode.weights=jarzynski sampler/grid={word}" for word in (
        "power", "shifted", "geodesic",
    )},
    **{f"epsilon-{word}": f"{LINE} mode.weights=jarzynski sampler/epsilon={word}" for word in (
        "zero", "constant", "power", "regularised",
    )},
    **{f"beta-{word}": f"{LINE} mode.weights=jarzynski sampler/beta={word}" for word in (
        "power", "early", "from", "geodesic",
    )},
    **{f"chi-{word}": f"{POINTS} mode.weights=jarzynski sampler/chi={word}" for word in ("paper", "constant")},
    "chi-material": f"{POINTS} mode.weights=material lookahead=denoiser sampler/chi=paper",
    "chi-kernel": f"{POINTS} mode.weights=kernel sampler/chi=paper sampler/epsilon=constant",
    "chi-probes": f"{DIGITS} mode.weights=jarzynski sampler/chi=paper sampler.probes=2",
    "transport-flowmap": f"{POINTS} mode.weights=jarzynski sampler/transport=flowmap",
    "transport-midpoint": f"{POINTS} mode.weights=kernel mode.ess_threshold=0.9 sampler/transport=midpoint",
    "transport-midpoint-field": f"{POINTS} mode=local_tilt sampler/transport=midpoint",
    "transport-glass": f"{POINTS} mode.weights=kernel sampler/transport=glass sampler.epsilon=zero",
    "start-annealed": f"{POINTS} mode.weights=jarzynski sampler/start=annealed sampler/beta=from baseline=false",
    "start-image": f"{DIGITS} sampler/start=image mode.weights=kernel",
    "start-image-ode": f"{DIGITS} mode=tilted_ode sampler/start=image",
    "start-image-auto": f"{DIGITS} mode=auto sampler/start=image",
    "start-image-rounds": f"{DIGITS} mode=multi_best_of_n sampler/start=image",
    **{f"gradient-{word}": f"{POINTS} mode.weights=kernel mode/gradient={word}" for word in ("clipped", "normalised")},
    "gradient-strengthened": f"{POINTS} mode=search mode/gradient=strengthened",
    "window": f"{POINTS} mode.weights=kernel 'mode.window=[.2,.7]'",
    "window-ode": f"{POINTS} mode=guidance 'mode.window=[0,.5]'",
    **{f"potential-{word}": f"{POINTS} mode=fk_steering mode.potential={word} mode.interval=2" for word in (
        "difference", "max", "sum",
    )},
    "svdd-greedy": f"{POINTS} mode=svdd mode.greedy=true",
    "fmrg-no-jacobian": f"{POINTS} mode=fmrg mode.jacobian=false",
    "fmrg-flow-map": f"{POINTS} mode=fmrg sampler/transport=flowmap mode.warmup=null",
    "transport-landing": f"{POINTS} mode=search sampler/transport=landing",
    "draws-device": f"{POINTS} mode.weights=kernel draws=device",
    "das-kept": f"{LINE} mode=das mode.tempering=.8",
    "das-heaviest": f"{LINE} mode=das mode.heaviest=true",
    "diamond-length": f"{POINTS} mode=diamond mode.length=2",
    **{f"moves-{word}": f"{POINTS} mode=noise_smc mode.move={word} mode.moves=2" for word in ("pcnl", "hmc")},
    "temperatures": f"{POINTS} mode=noise_smc sampler.steps=3 'mode.temperatures=[.2,.5,1]'",
    "model-gmm8": f"model=gmm8 reward=halfplane {PLANE}",
    "model-ring": f"model=ring reward=wavy_ring {PLANE}",
    "model-ring_distilled": f"model=ring_distilled reward=wavy_ring {PLANE} sampler.transport=flowmap",
    "model-mnist": f"{DIGITS} mode.weights=jarzynski lookahead=flowmap4",
    "model-mnist-digit": f"{DIGITS} mode.weights=material reward=digit",
    "model-clocks": f"{CLOCKS} mode.weights=jarzynski",
    "model-clocks-stage": f"{CLOCKS} mode.weights=material model.flow_map=clocks_1800",
    "mnist-search": f"{DIGITS} mode=search reward=rotation mode.keep=1 mode.rounds=1",
    "mnist-auto": f"{DIGITS} mode=auto reward=mask",
    "mnist-keep": f"{DIGITS} mode=noise_opt reward=edit reward.terms.keep.path=three",
    "budget-importance": f"{POINTS} mode.weights=jarzynski budget.nfe=100",
    "budget-svdd": f"{POINTS} mode=svdd budget.nfe=60",
    "budget-auto": f"{POINTS} mode=auto budget.nfe=200",
    "budget-few": f"{POINTS} mode.weights=jarzynski budget.nfe=7",
    "report": f"{POINTS} mode.weights=jarzynski report=true",
    "sweep": f"-m {LINE} mode.weights=jarzynski,kernel seed=1,2",
}  # fmt: skip
INTERRUPTED = {
    "resume": f"{LINE} mode.weights=jarzynski checkpoint.every=3",
    "resume-smc": f"{POINTS} mode=noise_smc checkpoint.every=3",
    "resume-auto": f"{POINTS} mode=auto checkpoint.every=3",
}


def words_of(line: str) -> list[str]:
    """The words of a command line, without the quotes of a shell."""
    return [word.strip("'") for word in line.split()]


def command(words: list[str]) -> int:
    """``run.py`` in this process."""
    sys.argv = ["run.py", *words]
    GlobalHydra.instance().clear()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as told:
            runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
    except SystemExit as end:
        if end.code:
            print(told.getvalue(), file=sys.stderr)
        return int(end.code or 0)
    return 0


def record_run(words: list[str], folder: Path) -> dict[str, object]:
    """Everything that one run, or each run of a sweep, left behind."""
    place = f"hydra.sweep.dir={folder}" if "-m" in words else f"hydra.run.dir={folder}"
    given = [word.partition("=")[0] for word in words]
    quiet = ["logger=none", *([] if "report" in given else ["report=false"])]
    status = command(last_of_each([*words, *quiet, place]))
    runs = sorted(path.parent for path in folder.rglob("metrics.json"))
    return {"status": status, **{str(run.relative_to(folder)): content(run) for run in runs}}


def last_of_each(words: list[str]) -> list[str]:
    """The words without those that a later one sets again."""
    return list({word.partition("=")[0] if "=" in word else word: word for word in words}.values())


def content(run: Path) -> dict[str, object]:
    """Digests of a run's tensors, its metrics and its history."""
    found: dict[str, object] = {}
    for file in sorted(run.glob("*.safetensors")):
        for name, value in sorted(load_file(file).items()):
            found[f"{file.stem}:{name}"] = hashlib.sha256(
                value.contiguous().view(torch.uint8).numpy().tobytes()
            ).hexdigest()[:16]
    metrics = json.loads((run / "metrics.json").read_text())
    found |= {f"metrics:{name}": repr(value) for name, value in metrics.items() if not name.startswith(IGNORED)}
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    found |= {f"history:{name}": " ".join(row[name] for row in rows) for name in rows[0]}
    return found


def record_interrupted(words: list[str], folder: Path) -> dict[str, object]:
    """A run that is stopped after its first checkpoint, and what the same command makes of it with ``resume=true``."""
    saved, kept = [], torch.save

    def stop_after_the_first(*args: object, **kwargs: object) -> None:
        kept(*args, **kwargs)
        saved.append(args)
        if len(saved) == 1:
            signal.raise_signal(signal.SIGINT)

    torch.save = stop_after_the_first  # type: ignore[assignment]
    try:
        first = record_run(words, folder)
    finally:
        torch.save = kept
    assert first == {"status": 1}, first
    return record_run([*words, "resume=true"], folder)


def record() -> dict[str, dict[str, object]]:
    """All runs."""
    os.environ["WANDB_MODE"] = "offline"
    torch.set_num_threads(1)
    table = {}
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for name, line in RUNS.items():
            print(name, file=sys.stderr, flush=True)
            table[name] = record_run(words_of(line), Path(place) / name)
        for name, line in INTERRUPTED.items():
            print(name, file=sys.stderr, flush=True)
            table[name] = record_interrupted(words_of(line), Path(place) / name)
    return table


def flat(table: dict[str, dict[str, object]]) -> dict[tuple[str, str], object]:
    """Name of a run and of a value, to the value."""
    found: dict[tuple[str, str], object] = {}
    for run, parts in table.items():
        for part, values in parts.items():
            if isinstance(values, dict):
                found |= {(run, f"{part}/{name}"): value for name, value in values.items()}
            else:
                found[run, part] = values
    return found


def compare(before: Path, after: Path) -> int:
    """Prints what differs; the number of values that do."""
    old, new = (flat(json.loads(path.read_text())) for path in (before, after))
    changed = [key for key in old if key in new and old[key] != new[key]]
    for run, name in changed:
        print(f"changed  {run}  {name}: {str(old[run, name])[:70]} -> {str(new[run, name])[:70]}")
    for title, some, others in (("gone", old, new), ("new", new, old)):
        names: dict[str, list[str]] = {}
        for run, name in some:
            if (run, name) not in others:
                names.setdefault(name, []).append(run)
        for name, runs in names.items():
            print(f"{title}  {name}: in {len(runs)} runs, such as {runs[0]}")
    runs = {run for run, _ in old}
    same = len(runs - {run for run, _ in changed})
    print(f"{same} of {len(runs)} runs agree in all of their values; {len(changed)} of {len(old)} values differ")
    return len(changed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("record").add_argument("table", type=Path)
    both = parts.add_parser("compare")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    words = parser.parse_args()
    if words.part == "compare":
        return int(compare(words.before, words.after) > 0)
    path = words.table.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
