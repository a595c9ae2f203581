"""The files that a run or a sweep leaves in its folder: their names, and how each of them is written and read.

Every function takes the folder. Writers and readers share this module, so a name or a format is changed here alone.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from omegaconf import DictConfig, OmegaConf

from fmtt.files import read_hashes, sha256, whole, write_hashes, write_whole

# of a run
METRICS = "metrics.json"
HISTORY = "history.csv"
SAMPLES = "samples.safetensors"
FILM = "film.safetensors"
SAMPLES_PICTURE = "samples.png"
CURVES_PICTURE = "curves.png"
RETURNED_PICTURES = "pictures"  # a folder with 0.png, 1.png, ...: the sample that is returned for each group
REPORT = "report.html"
CONFIG = "config.yaml"  # resolved
ENVIRONMENT = "environment.json"
ERROR = "error.txt"
PROMPTS = "prompts.csv"  # with prompts
RETURNED = "returned.csv"  # what is said of the sample that is returned for each group
MANIFEST = "manifest.json"  # the last file of a run that is done: which files it left, with their hashes
DRAWN = (SAMPLES_PICTURE, CURVES_PICTURE, REPORT)  # from the others, as the returned pictures are
COMPUTED = (CONFIG, ENVIRONMENT, HISTORY, SAMPLES, FILM, METRICS, PROMPTS, RETURNED)

# Hydra's records of a run
HYDRA = ".hydra"
HYDRA_CONFIG = f"{HYDRA}/{CONFIG}"  # composed, not resolved
HYDRA_SETTINGS = f"{HYDRA}/hydra.yaml"
OVERRIDES = f"{HYDRA}/overrides.yaml"

# of a sweep
SUMMARY = "summary.csv"
COMPARISON = "compare.html"
MULTIRUN = "multirun.yaml"

HISTORY_COLUMNS = (
    "step", "t", "reward/mean", "reward/max", "ess", "log_z", "discrepancy", "discrepancy/step",
    "thermodynamic_length", "resampled", "nfe/forward", "ancestors/unique",
)  # fmt: skip
SAMPLES_ARRAYS = {
    "samples": "the particles at the end, (G, N, *D)",
    "log_weights": "their log-weights, (G, N)",
    "rewards": "their rewards, (G, N)",
    "selected": "the particle that is returned for each group, (G,)",
    "ancestors": "the particle at t = 0 from which each descends, (G, N)",
    "base": "the base model's samples from the same noise, (G, N, *D); missing without a baseline",
    "base_rewards": "their rewards, (G, N); missing without a baseline",
    "decoded": "the particles as the rewards see them, (G, N, *E); missing if the model has no decoder",
    "base_decoded": "the base model's samples as the rewards see them; missing without a baseline or a decoder",
    "prompt": "the number of the prompt of each group, (G,); missing without prompts",
}
FILM_ARRAYS = {
    "t": "the times of F frames, (F,)",
    "x": "the particles that are shown, g groups of n, (F, g, n, *D)",
    "landing": "where the look-ahead sees them land, (F, g, n, *D); NaN where it is not known",
    "ancestors": "the particle at t = 0 from which each descends, (F, G, N)",
    "log_weights": "of all particles, (F, G, N)",
}

Array = np.ndarray
Metrics = dict[str, float | int | list[float]]

# OmegaConf reads with the loader in Python, which takes ten times as long; hundreds of runs are read for one page
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def checkpoint_name(digest: str) -> str:
    """The file of the checkpoint of a configuration with this digest."""
    return f"checkpoint-{digest}.pt"


def write_metrics(folder: Path, metrics: Metrics) -> None:
    """``metrics.json``: flat names to numbers, or to lists with one number per group; NaN becomes null."""
    write_whole(folder / METRICS, json.dumps({name: _with_null(value) for name, value in metrics.items()}, indent=2))


def read_metrics(folder: Path) -> Metrics:
    """The inverse of :func:`write_metrics`.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it does not hold a JSON object.
    """
    metrics = json.loads((folder / METRICS).read_text())
    if not isinstance(metrics, dict):
        raise ValueError(f"{METRICS} does not hold an object")
    return {name: _with_nan(value) for name, value in metrics.items()}


def _with_null(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_null(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_nan(entry) for entry in value]
    return math.nan if value is None else value


def write_history(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """``history.csv``: one row per step, with the columns of the first row; without rows the head alone."""
    _write_table(folder / HISTORY, rows, HISTORY_COLUMNS)


def read_history(folder: Path) -> dict[str, Array]:
    """The columns of ``history.csv``, ``(steps,)`` each; NaN where a cell is empty or not a number."""
    with (folder / HISTORY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0].keys() if rows else ()
    return {name: np.array([number_in(row[name]) for row in rows]) for name in names}


def number_in(text: str | None) -> float:
    """The number in a cell of a table; NaN where it is empty or not a number."""
    if text in ("True", "False"):
        return float(text == "True")
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def write_prompts(folder: Path, texts: Sequence[str], categories: Sequence[str], metrics: Sequence[Metrics]) -> None:
    """``prompts.csv``: of each prompt the number, text and category, and the metrics of its groups that are numbers."""
    names = [name for name, value in metrics[0].items() if not isinstance(value, list)]
    rows: list[dict[str, object]] = []
    for number, (text, category, known) in enumerate(zip(texts, categories, metrics, strict=True)):
        rows.append({"prompt": number, "text": text, "category": category} | {name: known.get(name) for name in names})
    _write_table(folder / PROMPTS, rows)


def read_prompts(folder: Path) -> list[dict[str, str]]:
    """The rows of ``prompts.csv``; nothing for a run without prompts."""
    return _read_table(folder / PROMPTS)


def write_returned(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """``returned.csv``: of the sample that is returned for each group the reward and the verdicts, by name."""
    _write_table(folder / RETURNED, rows)


def read_returned(folder: Path) -> list[dict[str, str]]:
    """The rows of ``returned.csv``; nothing for a run of an older version."""
    return _read_table(folder / RETURNED)


def verdicts_in(row: Mapping[str, str]) -> dict[str, float]:
    """What a row of ``returned.csv`` says of a sample beside its reward; NaN for what is not a number."""
    return {name: number_in(value) for name, value in row.items() if name not in ("group", "prompt", "reward", "apart")}


def _write_table(path: Path, rows: Sequence[Mapping[str, object]], without_rows: Sequence[str] = ()) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else without_rows)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_samples(folder: Path, arrays: Mapping[str, Array]) -> None:
    """``samples.safetensors`` with the arrays of :data:`SAMPLES_ARRAYS`."""
    _write_arrays(folder / SAMPLES, arrays, SAMPLES_ARRAYS)


def read_samples(folder: Path) -> dict[str, Array]:
    """The arrays of :data:`SAMPLES_ARRAYS`, as far as they are there.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if the file is not the one that the run has left.
    """
    from safetensors.numpy import load_file

    known = read_hashes(folder / MANIFEST)[1].get(SAMPLES)
    if known is not None and known != sha256(folder / SAMPLES):
        raise ValueError(f"{folder / SAMPLES} is damaged; resume=true makes it again")
    return load_file(folder / SAMPLES)


def as_seen(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays with decoded samples in the place of latents, where there are any: what people look at."""
    decoded = {"samples": arrays.get("decoded"), "base": arrays.get("base_decoded")}
    return {**arrays, **{name: array for name, array in decoded.items() if array is not None}}


def write_film(folder: Path, arrays: Mapping[str, Array]) -> None:
    """``film.safetensors`` with the arrays of :data:`FILM_ARRAYS`."""
    _write_arrays(folder / FILM, arrays, FILM_ARRAYS)


def read_film(folder: Path) -> dict[str, Array]:
    """The arrays of :data:`FILM_ARRAYS`; nothing if no film was kept."""
    from safetensors.numpy import load_file

    return load_file(folder / FILM) if (folder / FILM).is_file() else {}


def _write_arrays(path: Path, arrays: Mapping[str, Array], known: Mapping[str, str]) -> None:
    from safetensors.numpy import save

    if unknown := arrays.keys() - known.keys():
        raise ValueError(f"{path.name} has no arrays {sorted(unknown)}")
    write_whole(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """``config.yaml``: the resolved configuration."""
    with whole(folder / CONFIG) as path:
        OmegaConf.save(OmegaConf.create(dict(config)), path)


def read_config(folder: Path) -> DictConfig:
    """The inverse of :func:`write_config`."""
    config = OmegaConf.load(folder / CONFIG)
    assert isinstance(config, DictConfig)
    return config


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; references inside it stay as they are."""
    return yaml.load(path.read_text(), Loader=LOADER)  # a safe loader, whichever of the two it is


def write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    """``environment.json``: package versions, commit and device."""
    write_whole(folder / ENVIRONMENT, json.dumps(environment, indent=2))


def read_environment(folder: Path) -> dict[str, Any]:
    """The inverse of :func:`write_environment`; nothing if there is no file."""
    path = folder / ENVIRONMENT
    return json.loads(path.read_text()) if path.is_file() else {}


def write_error(folder: Path, status: int, reason: str) -> None:
    """``error.txt``: the exit status of a run that failed, and why it did, on one line."""
    write_whole(folder / ERROR, f"{status} {reason}\n")


def read_error(folder: Path) -> tuple[int, str] | None:
    """The exit status and the reason; None if the run did not fail."""
    path = folder / ERROR
    if not path.is_file():
        return None
    status, _, reason = path.read_text(errors="replace").partition(" ")
    return (int(status), reason.strip()) if status.isdecimal() else (1, "for a reason that cannot be read")


def write_manifest(folder: Path, digest: str) -> None:
    """``manifest.json``: the files of a run that is done, with their hashes, and the digest of its configuration."""
    names = [name for name in (*COMPUTED, *DRAWN) if (folder / name).is_file()]
    pictures = sorted(f"{RETURNED_PICTURES}/{path.name}" for path in (folder / RETURNED_PICTURES).glob("*.png"))
    write_hashes(folder / MANIFEST, digest, [*names, *pictures])


def damaged(folder: Path, digest: str, report: bool) -> list[str] | None:
    """The files of a run that is done which are missing or changed; with ``report`` it must have a page.

    None if no run of the configuration with this digest is done in the folder.
    """
    made, known = read_hashes(folder / MANIFEST)
    if made != digest:
        return None
    wanted = {**({REPORT: None} if report else {}), **known}
    return [name for name, hashed in wanted.items() if not (folder / name).is_file() or sha256(folder / name) != hashed]


def drawn(name: str) -> bool:
    """Whether a file of a run is made from the others."""
    return name in DRAWN or name.startswith(f"{RETURNED_PICTURES}/")


def read_overrides(folder: Path) -> tuple[str, ...]:
    """The words ``key=value`` that the user typed; nothing if Hydra was not used."""
    path = folder / OVERRIDES
    return tuple(read_yaml(path) or ()) if path.is_file() else ()
