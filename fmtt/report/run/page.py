"""The page of one run."""

from __future__ import annotations

import json
import math
import shlex
from html import escape
from pathlib import Path

import numpy as np

from fmtt.evaluation.reliability import reasons_for_doubt
from fmtt.files import write_whole
from fmtt.report.common import html
from fmtt.report.common.estimates import estimate, is_estimate, text_of
from fmtt.report.common.metric_titles import COSTS, RESULTS
from fmtt.report.common.placement import normalised_weights
from fmtt.report.run.ancestry import ancestry
from fmtt.report.run.charts import classes, curves
from fmtt.report.run.curves_picture import save_curves
from fmtt.report.run.film import film
from fmtt.report.run.finished_run import FinishedRun, read_finished_run
from fmtt.report.run.prompts import prompts
from fmtt.report.run.samples_picture import Panel, save_returned, save_samples
from fmtt.report.run.weights import weights
from fmtt.run_folder import CURVES_PICTURE, REPORT, RETURNED_PICTURES, SAMPLES_PICTURE, Metrics

# shown elsewhere on the page; log_z has one number per group, and log_z/mean is their mean
NAMED = {*RESULTS, *COSTS, "log_z", "population/particles", "population/groups", "steps"}
CURVES = "Reward, effective sample size and log Z over the sampling time"


def write_pictures_and_page(folder: Path) -> Path:
    """``samples.png``, ``curves.png``, ``pictures`` and ``report.html``; returns the path of the page."""
    run = read_finished_run(folder)
    arrays = run.arrays
    base, tilted = panels(run)
    save_samples(folder / SAMPLES_PICTURE, tilted, base, arrays["selected"], arrays.get("ancestors"))
    save_curves(folder / CURVES_PICTURE, run.history, base_reward(run))
    save_returned(folder / RETURNED_PICTURES, arrays["samples"], arrays["selected"])
    return write_report(run)


def base_reward(run: FinishedRun) -> float:
    """Mean reward of the base model, NaN if it is not known."""
    value = estimate(run.metrics, "reward/base_mean")[0]
    rewards = run.arrays.get("base_rewards")
    return float(rewards.mean()) if math.isnan(value) and rewards is not None else value


def panels(run: FinishedRun) -> tuple[Panel | None, Panel]:
    """The base samples, if known, and the tilted ones, each under a title with its mean reward."""
    arrays = run.arrays
    shares = normalised_weights(arrays["log_weights"].astype(float))
    reward = float((shares * arrays["rewards"]).sum(axis=1).mean())
    title = f"{run.choices.get('mode', 'tilted')}: reward {text_of(round(reward, 3))}"
    tilted = Panel(title, arrays["samples"], arrays["log_weights"])
    if "base" not in arrays:
        return None, tilted
    value = base_reward(run)
    title = "base model" + ("" if math.isnan(value) else f": reward {text_of(round(value, 3))}")
    return Panel(title, arrays["base"], np.zeros(arrays["base"].shape[:2])), tilted


def write_report(run: FinishedRun) -> Path:
    """``report.html`` from the run and the two pictures in its folder."""
    parts = [(title, *part) for title, part in sections(run).items()]
    body = [heading(run), *(html.section(title, place) for title, place, _ in parts if place)]
    path = run.folder / REPORT
    write_whole(path, html.document(page_title(run), body, "\n".join(script for *_, script in parts)))
    return path


def sections(run: FinishedRun) -> dict[str, tuple[str, str]]:
    """Heading -> the content below it and its script; both are empty if nothing is known."""
    frames, nothing = run.film, ("", "")
    still = html.picture(run.folder / CURVES_PICTURE, CURVES)
    return {
        "Samples": (html.picture(run.folder / SAMPLES_PICTURE, describe_samples(run)), ""),
        "Film": film(frames),
        "Prompts": (prompts(run), ""),
        "Results": (results(run), ""),
        "Along the way": curves(run.history, base_reward(run), still),
        "Weights": weights(run.arrays["log_weights"]),
        "Ancestry": ancestry(frames["t"], frames["ancestors"]) if frames else nothing,
        "Classes": classes(run.metrics) if "classes/tilted" in run.metrics else nothing,
        "Cost": (costs(run.metrics), ""),
        "How it was made": (settings(run), ""),
    }


def page_title(run: FinishedRun) -> str:
    """``search with flowmap4: symmetry on mnist``, or the folder's name if Hydra was not used."""
    chosen = run.choices
    if not {"mode", "lookahead", "reward", "model"} <= chosen.keys():
        return run.folder.resolve().name
    return f"{chosen['mode']} with {chosen['lookahead']}: {chosen['reward']} on {chosen['model']}"


def command_of(run: FinishedRun) -> str:
    """The command that makes the same run."""
    return " ".join(["python run.py", *map(shlex.quote, run.overrides)])


def heading(run: FinishedRun) -> str:
    """Title, size, command, main results, and the reasons to doubt them."""
    groups, particles = run.arrays["rewards"].shape
    steps = int(max(run.history.get("step", [0])))
    summary = f"{_count(groups, 'group')} of {_count(particles, 'particle')}, {_count(steps, 'step')}"
    reward = "reward/weighted_mean" if "reward/weighted_mean" in run.metrics else "reward/mean"
    first = [reward, "reward/base_mean", "reward/max", "held_out", "log_z/mean", "ess/final", "nfe/forward"]
    names = {**RESULTS, **COSTS, "nfe/forward": ("Network evaluations", "")}
    known = [(names[name][0], text_of(*estimate(run.metrics, name))) for name in first if name in run.metrics]
    return "".join(
        [
            f"<header><h1>{escape(page_title(run))}</h1><p class='soft'>{escape(summary)}</p>",
            html.preformatted(command_of(run), "command"),
            html.cards(known),
            *(
                f"<p class='warning'>Not to be trusted: {escape(doubt)}.</p>"
                for doubt in reasons_for_doubt(run.metrics)
            ),
            "</header>",
        ]
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe_samples(run: FinishedRun) -> str:
    """The picture of the samples in words."""
    base, tilted = panels(run)
    return f"Samples. {f'Left, {base.title}. Right, {tilted.title}' if base else tilted.title}."


def results(run: FinishedRun) -> str:
    """Every metric that is not a cost, with its standard error over groups; those without a title come last."""
    metrics = run.metrics
    names = [name for name in RESULTS if name in metrics]
    names += [name for name, value in metrics.items() if name not in NAMED and is_estimate(name, value)]
    groups = run.arrays["rewards"].shape[0]
    rows: list[list[html.Cell]] = [[RESULTS.get(name, (name, "")), text_of(*estimate(metrics, name))] for name in names]
    caption = f"Mean ± standard error over {groups} groups" if groups > 1 else "One group, so there are no error bars"
    if run.prompts:
        number = _count(len(run.prompts), "prompt")
        caption = f"Mean ± standard error over the groups of each prompt, then over {number}"
    shown = html.table(["Metric", "Value"], rows, numeric=[1], caption=caption)
    lists = {name: value for name, value in metrics.items() if isinstance(value, list) and is_estimate(name, value)}
    if groups == 1 or not lists:
        return shown
    rows = [[name, *(text_of(float(value)) for value in values)] for name, values in lists.items()]
    head = ["Metric", *(f"group {group}" for group in range(groups))]
    return shown + html.folded("Every group", html.table(head, rows, numeric=range(1, groups + 1)))


def costs(metrics: Metrics) -> str:
    """The table of costs."""
    rows: list[list[html.Cell]] = [
        [COSTS[name], text_of(*estimate(metrics, name))] for name in COSTS if name in metrics
    ]
    return html.table(["Cost", "Value"], rows, numeric=[1], caption="Counted, for every method alike")


def settings(run: FinishedRun) -> str:
    """The configuration and the environment, folded."""
    environment = json.dumps(run.environment, indent=2)
    return html.folded("Resolved configuration", html.preformatted(run.config)) + html.folded(
        "Environment", html.preformatted(environment)
    )
