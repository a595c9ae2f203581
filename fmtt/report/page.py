"""The page of one run."""

from __future__ import annotations

import json
import math
import shlex
from html import escape
from pathlib import Path

import numpy as np

from fmtt.evaluation.reliability import doubts
from fmtt.report import html
from fmtt.report.ancestry import ancestry
from fmtt.report.arrange import normalised
from fmtt.report.charts import classes, curves
from fmtt.report.figures import Panel, save_curves, save_returned, save_samples
from fmtt.report.film import film
from fmtt.report.record import Record, estimate, is_estimate, read_record, text_of
from fmtt.report.weights import weights
from fmtt.run_folder import CURVES_PICTURE, REPORT, RETURNED_PICTURES, SAMPLES_PICTURE, Metrics

# what is measured -> its name on the page, and what it means
RESULTS = {
    "reward/weighted_mean": ("Reward, weighted", "mean over particles by weight: the estimate under the tilted law"),
    "reward/mean": ("Reward, unweighted", "plain mean over particles"),
    "reward/max": ("Reward, best", "the best particle of a group"),
    "reward/selected_mean": ("Reward, returned", "the samples returned for the groups"),
    "reward/base_mean": ("Reward, base model", "the same noise without tilting"),
    "log_z/mean": ("log Z", "log of the mean estimate of Z over groups"),
    "log_z/genealogical_stderr": ("Error of log Z, by genealogy", "from the ancestry inside the populations"),
    "reward/weighted_mean/genealogical_stderr": ("Error of the reward, by genealogy", "likewise"),
    "exact/log_z": ("log Z, exact", "in closed form, or by quadrature"),
    "exact/reward": ("Reward, exact", "mean under the tilted law"),
    "ess/final": ("ESS at the end", "effective sample size, as a fraction of N"),
    "ess/min": ("ESS, lowest", "the smallest on the way, as a fraction of N"),
    "resamples": ("Resamplings", "how often the selection acted on a group"),
    "ancestors/unique": ("Surviving ancestors", "particles of t = 0 that have descendants"),
    "recognised/base": ("Recognised, base model", "share of samples about which the evaluation classifier is sure"),
    "recognised/tilted": ("Recognised, tilted", "share of samples about which the evaluation classifier is sure"),
    "discrepancy": ("Discrepancy", "total over the steps"),
    "thermodynamic_length": ("Thermodynamic length", "sum of the roots of the discrepancies of the steps"),
    "transport_gap": ("Transport gap", "what the error of the flow map adds to a log-weight, summed over steps"),
}
COSTS = {
    "nfe/forward": ("Network, forward", "evaluations, one per particle"),
    "nfe/backward": ("Network, backward", "evaluations, one per particle"),
    "nfe/reward": ("Reward calls", "evaluations, one per particle"),
    "nfe/weighted": ("Network, weighted", "forward evaluations plus backward ones times budget.backward_cost"),
    "nfe/weighted/group": ("Network, weighted, a group", "what budget.nfe limits"),
    "time/total_s": ("Time", "seconds, the whole run"),
    "time/method_s": ("Time of the method", "seconds, without the base model and the pages"),
    "time/model_s": ("Time in the model", "seconds"),
    "memory/peak_mb": ("Peak memory", "MB"),
}
# log_z holds one number per group; log_z/mean is their summary
NAMED = {*RESULTS, *COSTS, "log_z", "population/particles", "population/groups", "steps"}
CURVES = "Reward, effective sample size and log Z over the sampling time"


def write_run(folder: Path) -> Path:
    """``samples.png``, ``curves.png``, ``pictures`` and ``report.html``; returns the path of the page."""
    record = read_record(folder)
    arrays = record.arrays
    base, tilted = panels(record)
    save_samples(folder / SAMPLES_PICTURE, tilted, base, arrays["selected"], arrays.get("ancestors"))
    save_curves(folder / CURVES_PICTURE, record.history, base_reward(record))
    save_returned(folder / RETURNED_PICTURES, arrays["samples"], arrays["selected"])
    return write_report(record)


def base_reward(record: Record) -> float:
    """Mean reward of the base model, NaN where it is not known."""
    value = estimate(record.metrics, "reward/base_mean")[0]
    rewards = record.arrays.get("base_rewards")
    return float(rewards.mean()) if math.isnan(value) and rewards is not None else value


def panels(record: Record) -> tuple[Panel | None, Panel]:
    """The base samples, if known, and the tilted ones, each under a title with its mean reward."""
    arrays = record.arrays
    shares = normalised(arrays["log_weights"].astype(float))
    reward = float((shares * arrays["rewards"]).sum(axis=1).mean())
    title = f"{record.choices.get('mode', 'tilted')}: reward {text_of(round(reward, 3))}"
    tilted = Panel(title, arrays["samples"], arrays["log_weights"])
    if "base" not in arrays:
        return None, tilted
    value = base_reward(record)
    title = "base model" + ("" if math.isnan(value) else f": reward {text_of(round(value, 3))}")
    return Panel(title, arrays["base"], np.zeros(arrays["base"].shape[:2])), tilted


def write_report(record: Record) -> Path:
    """``report.html`` from the record and the two pictures in its folder."""
    parts = [(title, *part) for title, part in sections(record).items()]
    body = [heading(record), *(html.section(title, place) for title, place, _ in parts if place)]
    path = record.folder / REPORT
    path.write_text(html.document(title_of(record), body, "\n".join(script for *_, script in parts)), encoding="utf-8")
    return path


def sections(record: Record) -> dict[str, tuple[str, str]]:
    """What the page says under each heading, and the script that this needs; nothing where nothing is known."""
    frames, nothing = record.film, ("", "")
    still = html.picture(record.folder / CURVES_PICTURE, CURVES)
    return {
        "Samples": (html.picture(record.folder / SAMPLES_PICTURE, describe_samples(record)), ""),
        "Film": film(frames),
        "Results": (results(record), ""),
        "Along the way": curves(record.history, base_reward(record), still),
        "Weights": weights(record.arrays["log_weights"]),
        "Ancestry": ancestry(frames["t"], frames["ancestors"]) if frames else nothing,
        "Classes": classes(record.metrics) if "classes/tilted" in record.metrics else nothing,
        "Cost": (costs(record.metrics), ""),
        "How it was made": (settings(record), ""),
    }


def title_of(record: Record) -> str:
    """``search with flowmap4: symmetry on mnist``, or the folder's name where Hydra was not used."""
    chosen = record.choices
    if not {"mode", "lookahead", "reward", "model"} <= chosen.keys():
        return record.folder.resolve().name
    return f"{chosen['mode']} with {chosen['lookahead']}: {chosen['reward']} on {chosen['model']}"


def command_of(record: Record) -> str:
    return " ".join(["python run.py", *map(shlex.quote, record.overrides)])


def heading(record: Record) -> str:
    groups, particles = record.arrays["rewards"].shape
    steps = int(max(record.history.get("step", [0])))
    summary = f"{_count(groups, 'group')} of {_count(particles, 'particle')}, {_count(steps, 'step')}"
    reward = "reward/weighted_mean" if "reward/weighted_mean" in record.metrics else "reward/mean"
    first = [reward, "reward/base_mean", "reward/max", "log_z/mean", "ess/final", "nfe/forward"]
    names = {**RESULTS, **COSTS, "nfe/forward": ("Network evaluations", "")}
    known = [(names[name][0], text_of(*estimate(record.metrics, name))) for name in first if name in record.metrics]
    return "".join(
        [
            f"<header><h1>{escape(title_of(record))}</h1><p class='soft'>{escape(summary)}</p>",
            html.preformatted(command_of(record), "command"),
            html.cards(known),
            *(f"<p class='warning'>Not to be trusted: {escape(doubt)}.</p>" for doubt in doubts(record.metrics)),
            "</header>",
        ]
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe_samples(record: Record) -> str:
    base, tilted = panels(record)
    return f"Samples. {f'Left, {base.title}. Right, {tilted.title}' if base else tilted.title}."


def results(record: Record) -> str:
    """Every metric that is not a cost with its standard error over groups; those without a name of ours come last."""
    metrics = record.metrics
    names = [name for name in RESULTS if name in metrics]
    names += [name for name, value in metrics.items() if name not in NAMED and is_estimate(name, value)]
    groups = record.arrays["rewards"].shape[0]
    rows: list[list[html.Cell]] = [[RESULTS.get(name, (name, "")), text_of(*estimate(metrics, name))] for name in names]
    caption = f"Mean ± standard error over {groups} groups" if groups > 1 else "One group, so there are no error bars"
    shown = html.table(["Metric", "Value"], rows, numeric=[1], caption=caption)
    lists = {name: value for name, value in metrics.items() if isinstance(value, list) and is_estimate(name, value)}
    if groups == 1 or not lists:
        return shown
    rows = [[name, *(text_of(float(value)) for value in values)] for name, values in lists.items()]
    head = ["Metric", *(f"group {group}" for group in range(groups))]
    return shown + html.folded("Every group", html.table(head, rows, numeric=range(1, groups + 1)))


def costs(metrics: Metrics) -> str:
    rows: list[list[html.Cell]] = [
        [COSTS[name], text_of(*estimate(metrics, name))] for name in COSTS if name in metrics
    ]
    return html.table(["Cost", "Value"], rows, numeric=[1], caption="Counted, for every method alike")


def settings(record: Record) -> str:
    environment = json.dumps(record.environment, indent=2)
    return html.folded("Resolved configuration", html.preformatted(record.config)) + html.folded(
        "Environment", html.preformatted(environment)
    )
