"""Runs end to end: artefacts, determinism, sweeps, resuming."""

import csv
import json
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from fmtt.methods.trajectory import Trajectory
from fmtt.run.configs import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
METRICS = {
    "reward/mean", "reward/weighted_mean", "reward/max", "reward/base_mean", "ess/final", "ess/min", "log_z",
    "log_z/mean", "log_z/stderr", "discrepancy", "thermodynamic_length", "resamples", "ancestors/unique",
    "nfe/forward", "nfe/backward", "nfe/reward", "time/total_s", "time/model_s", "memory/peak_mb",
}  # fmt: skip
COLUMNS = [
    "step",
    "t",
    "reward/mean",
    "reward/max",
    "ess",
    "log_z",
    "discrepancy",
    "discrepancy/step",
    "thermodynamic_length",
    "resampled",
    "nfe/forward",
    "overshoot",
    "ancestors/unique",
]


def read_table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_run_leaves_every_artefact(fmtt) -> None:
    outcome = fmtt("reward=quadratic", "logger=[wandb,csv,tensorboard]")
    assert outcome.status == 0
    assert outcome.out.strip().splitlines()[-1] == str(outcome.folder / "report.html")
    assert set(outcome.metrics) >= METRICS
    assert len(outcome.metrics["log_z"]) == 2
    rows = read_table(outcome.folder / "history.csv")
    assert list(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["t"]) == 1
    total = sum(float(row["discrepancy/step"]) for row in rows)
    assert float(rows[-1]["discrepancy"]) == pytest.approx(total)
    assert total > 0
    tensors = load_file(outcome.folder / "samples.safetensors")
    assert tensors["samples"].shape == (2, 8, 2)
    assert tensors["log_weights"].shape == tensors["rewards"].shape == (2, 8)
    assert tensors["selected"].shape == (2,)
    for name in (
        "samples.png",
        "curves.png",
        "report.html",
        "environment.json",
        ".hydra",
        "wandb",
        "csv",
        "tensorboard",
    ):
        assert (outcome.folder / name).exists(), name
    assert OmegaConf.load(outcome.folder / "config.yaml").population.particles == 8
    environment = json.loads((outcome.folder / "environment.json").read_text())
    assert environment["packages"]["torch"] == version("torch")


def test_the_counts_of_calls_are_those_of_the_method(fmtt) -> None:
    counts = {
        name: fmtt(f"lookahead={name}", "baseline=false", "mode.ess_threshold=0", folder=name).metrics["nfe/forward"]
        for name in ("none", "denoiser", "flowmap1")
    }
    particles, steps = 16, 4
    assert counts["none"] == particles * steps
    assert counts["denoiser"] == particles * steps  # the velocity of the look-ahead serves the step
    assert counts["flowmap1"] == particles * 2 * steps


def test_exact_values_are_printed_beside_the_estimates(fmtt) -> None:
    outcome = fmtt("reward=quadratic")
    assert "exact" in outcome.out
    assert outcome.metrics["exact/log_z"] == pytest.approx(-1.568, abs=1e-3)


def test_what_a_reward_says_of_samples_is_printed(fmtt) -> None:
    outcome = fmtt("reward=halfplane")
    row = next(line for line in outcome.out.splitlines() if "positive" in line)
    assert f"{outcome.metrics['positive']:.4g} ± {outcome.metrics['positive/stderr']:.2g}" in row


@pytest.mark.slow
@pytest.mark.parametrize("change", [["population.chunk=3"], ["population.groups=3"]], ids=["chunk", "groups"])
def test_a_result_does_not_depend_on_chunks_or_on_other_groups(fmtt, change: list[str]) -> None:
    one, other = (fmtt(*words, folder=name) for words, name in (([], "one"), (change, "other")))
    expected, found = (load_file(outcome.folder / "samples.safetensors")["samples"][:2] for outcome in (one, other))
    torch.testing.assert_close(found, expected)


def test_seeds_differ_and_repeat(fmtt) -> None:
    first, again, second = (
        load_file(fmtt(f"seed={seed}", folder=name).folder / "samples.safetensors")["samples"]
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


WEIGHTED = {"importance", "noise_smc", "reweight", "tds", "das", "fk_steering"}


@pytest.mark.parametrize("mode", sorted(file.stem for file in (CONFIGS / "mode").glob("*.yaml")))
def test_every_mode_runs(fmtt, mode: str) -> None:
    outcome = fmtt(f"mode={mode}")
    assert outcome.status == 0
    assert (outcome.metrics["log_z/mean"] != 0) == (mode in WEIGHTED)
    assert outcome.metrics["nfe/weighted"] == outcome.metrics["nfe/forward"] + 2 * outcome.metrics["nfe/backward"]
    samples = load_file(outcome.folder / "samples.safetensors")
    assert samples["samples"].shape == (2, 8, 2)
    torch.testing.assert_close(samples["rewards"].float(), samples["samples"][..., 0])
    assert samples["log_weights"].any() == (mode in WEIGHTED)


def test_a_sweep_leaves_a_summary_with_a_row_for_each_run(fmtt) -> None:
    outcome = fmtt("-m", "lookahead=denoiser,flowmap1", "seed=0,1", "baseline=false")
    assert outcome.status == 0
    rows = read_table(outcome.folder / "summary.csv")
    assert len(rows) == 4
    assert {row["lookahead"] for row in rows} == {"denoiser", "flowmap1"}
    assert all(float(row["reward/weighted_mean"]) for row in rows)
    assert (outcome.folder / "compare.html").is_file()


def test_tempering_that_binds_only_on_the_way_is_in_every_row(fmtt) -> None:
    """The share of the tilt is 1 in some rows and below in others."""
    outcome = fmtt("mode=das", "reward.scale=8", "sampler.steps=8", "population.particles=32")
    shares = [float(row["temperature"]) for row in read_table(outcome.folder / "history.csv")]
    assert shares[-1] == 1
    assert min(shares) < 1
    assert all(0 <= share <= 1 for share in shares)
    assert "temperature" not in read_table(fmtt(folder="plain").folder / "history.csv")[0]


def test_a_fault_in_one_run_of_a_sweep_is_named_and_the_others_go_on(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trajectory.step

    def faulty(self: Trajectory, state: object) -> object:
        if self.noise.seed == 1:
            raise RuntimeError("something is wrong")
        return step(self, state)

    monkeypatch.setattr(Trajectory, "step", faulty)
    outcome = fmtt("-m", "seed=0,1,2", "baseline=false")
    assert outcome.status == 1
    assert [row["status"] for row in read_table(outcome.folder / "summary.csv")] == [
        "done", "failed: RuntimeError: something is wrong", "done",
    ]  # fmt: skip


def test_a_crash_of_a_single_run_leaves_its_reason(fmtt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Trajectory, state: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(Trajectory, "step", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        fmtt("baseline=false")
    assert (tmp_path / "run" / "error.txt").read_text() == "1 RuntimeError: no ink\n"


def test_nan_rewards_name_group_particle_and_step(fmtt, monkeypatch: pytest.MonkeyPatch) -> None:
    from fmtt.rewards import Linear

    plain = Linear.__call__

    def poisoned(self: Linear, x: torch.Tensor) -> torch.Tensor:
        values = plain(self, x)
        return values if len(values) < 3 else torch.where(torch.arange(len(values)) == 9, float("nan"), values)

    monkeypatch.setattr(Linear, "__call__", poisoned)
    outcome = fmtt()
    assert outcome.status == 1
    assert "nan" in outcome.complaint
    assert "particle 1 of group 1 at step 0" in outcome.complaint


def test_the_scale_factor_multiplies_the_scale_of_any_reward(fmtt):
    plain = ("lookahead=denoiser", "report=false", "baseline=false")
    both = fmtt("reward.scale=0.5", "scale_factor=3", *plain, folder="factor").metrics
    scale = fmtt("reward.scale=1.5", *plain, folder="scale").metrics
    for name in ("log_z", "reward/mean", "kl", "exact/log_z"):
        assert both[name] == scale[name]
