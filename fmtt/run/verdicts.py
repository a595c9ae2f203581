"""What rewards say of samples beside their value, such as whether an exact judge finds a picture right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from fmtt.api import Run
from fmtt.run.exact_metrics import reward_of, statistics
from fmtt.run.outcome import Outcome, held
from fmtt.run_folder import Metrics
from fmtt.smc.diagnostics import mean_and_error

Verdicts = Mapping[str, Tensor]  # of the particles of the groups of one prompt, (R, N) each


def verdicts_by_prompt(run: Run, outcome: Outcome) -> list[Verdicts]:
    """What the reward says of all particles, for each prompt."""
    judged, prompt = reward_of(run), outcome.result.prompt
    found: list[Verdicts] = []
    for number in held(prompt):
        result = outcome.result.groups(prompt == number)
        named = statistics(judged.reward, result.decoded.flatten(0, 1), judged.conditions, number)
        found.append({name: values.reshape(result.rewards.shape) for name, values in named.items()})
    return found


def verdict_metrics(outcome: Outcome, said: Verdicts) -> Metrics:
    """Of each verdict the weighted mean, the plain mean and the mean of the returned samples, with standard errors."""
    result, metrics = outcome.result, Metrics()
    for name, values in said.items():
        value, error = mean_and_error(result.mean(values))
        returned, returned_error = mean_and_error(values.gather(1, result.selected[:, None])[:, 0])
        metrics |= {
            name: value,
            f"{name}/stderr": error,
            f"{name}/unweighted": values.mean().item(),
            f"{name}/selected": returned,
            f"{name}/selected/stderr": returned_error,
        }
    return metrics


def returned_rows(outcome: Outcome, said: Sequence[Verdicts]) -> list[Metrics]:
    """A row for the sample that is returned for each group: its number, its prompt, its reward, its verdicts."""
    prompt = outcome.result.prompt
    rows: dict[int, Metrics] = {}
    for number, verdicts in zip(held(prompt), said, strict=True):
        groups = (prompt == number).nonzero()[:, 0]
        result = outcome.result.groups(prompt == number)
        chosen = {
            name: values.gather(1, result.selected[:, None])[:, 0].tolist()
            for name, values in {"reward": result.rewards, **verdicts}.items()
        }
        for place, group in enumerate(groups.tolist()):
            rows[group] = {"group": group, "prompt": number} | {name: own[place] for name, own in chosen.items()}
    return [rows[group] for group in sorted(rows)]
