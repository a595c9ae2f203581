"""Settings do what they say: precision, weights by default, and those that a mode does not use."""

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

import fmtt as library
from fmtt.models.learned import load_flow_map
from fmtt.models.unet import TwoTimeUNet
from fmtt.step.weights import Jarzynski, Kernel, Material
from tests.command import Outcome
from tests.support import GAUSSIAN, MIXTURE

SHORT = ["model=ring_distilled", "reward=wavy_ring", "report=false", "baseline=false"]


@pytest.mark.parametrize(
    ("word", "network", "samples"),
    [
        ("32-true", torch.float32, torch.float32),
        ("64-true", torch.float64, torch.float64),
        ("bf16-true", torch.bfloat16, torch.float32),
    ],
)
def test_precision_is_that_of_network_and_samples(word: str, network: torch.dtype, samples: torch.dtype) -> None:
    seen = []

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append((x.dtype, t.dtype))
        return GAUSSIAN.velocity(x, t.to(x.dtype))

    model = library.Flow((2,), velocity)
    small = {"look_ahead": library.Denoiser, "groups": 2, "particles": 4, "steps": 4, "precision": word}
    result = library.sample(model, lambda x: x[:, 0], **small)
    assert set(seen) == {(network, samples)}
    assert result.samples.dtype == samples
    assert result.log_weights.dtype == result.log_z.dtype == result.rewards.dtype == torch.float64


def test_more_precision_changes_the_rounding_alone() -> None:
    settings = {"groups": 2, "particles": 16, "steps": 8}
    found = {
        word: library.sample(MIXTURE, lambda x: x[:, 0], precision=word, **settings).log_z
        for word in ("32-true", "64-true", "bf16-mixed")
    }
    torch.testing.assert_close(found["32-true"], found["64-true"], rtol=1e-4, atol=1e-5)
    assert not torch.equal(found["32-true"], found["64-true"])


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.05), (torch.float64, 1e-4)])
def test_a_bundled_network_computes_in_another_precision(dtype: torch.dtype, close: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, s = torch.randn(3, 1, 28, 28, generator=generator), torch.tensor([0.1, 0.5, 0.9])
    right = load_flow_map("mnist").velocity(x, s)
    model = load_flow_map("mnist").to(torch.device("cpu"), dtype)
    assert isinstance(model.net, TwoTimeUNet)
    assert {parameter.dtype for parameter in model.net.parameters()} == {dtype}
    assert model.net.times.omega.dtype == torch.promote_types(dtype, torch.float32)  # times do not bear bfloat16
    found = model.velocity(x.to(dtype), s.to(torch.promote_types(dtype, torch.float32))).float()
    difference = (found - right).norm() / right.norm()
    assert 0 < difference < close


@pytest.mark.parametrize("word", ["bf16-true", "64-true", "bf16-mixed"])
def test_runs_in_another_precision(fmtt: Callable[..., Outcome], word: str) -> None:
    done = fmtt(*SHORT, f"precision={word}")
    assert done.status == 0, done.err
    assert load_file(done.folder / "samples.safetensors")["log_weights"].dtype == torch.float64
    assert done.metrics["log_z"] != fmtt(*SHORT, folder="single").metrics["log_z"]


@pytest.mark.parametrize(
    ("model", "settings", "weights"),
    [
        (GAUSSIAN, {}, Jarzynski),
        (GAUSSIAN, {"look_ahead": library.Denoiser}, Kernel),
        (library.Flow((2,), GAUSSIAN.velocity, GAUSSIAN.flow_map), {}, Material),
        (library.Flow((2,), GAUSSIAN.velocity, GAUSSIAN.flow_map, exact_flow_map=True), {}, Jarzynski),
    ],
)
def test_weights_by_default_are_right_for_the_map(model: library.Velocity, settings: dict, weights: type) -> None:
    run = library.assemble(model, lambda x: x[:, 0], steps=4, **settings)
    assert isinstance(run.loop.dynamics.weights, weights)


def test_short_weights_on_a_learned_map_say_what_they_ignore(fmtt: Callable[..., Outcome]) -> None:
    short = fmtt(*SHORT, "mode.weights=jarzynski", folder="short")
    assert abs(short.metrics["log_z/ignored_gap"]) > 0
    assert "short weights trust" in " ".join(short.out.split())
    for word in ("auto", "material"):
        done = fmtt(*SHORT, f"mode.weights={word}", folder=word)
        assert "log_z/ignored_gap" not in done.metrics and "transport_gap" in done.metrics
    assert "log_z/ignored_gap" not in fmtt("mode.weights=jarzynski", "report=false", folder="exact").metrics


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["mode=base", "reward.scale=2", "sampler/chi=paper"], ["lookahead", "reward.scale", "sampler.chi"]),
        (["mode=multi_best_of_n", "scale_factor=2"], ["scale_factor"]),
        (["mode=best_of_n", "sampler/beta=early"], ["lookahead", "sampler.beta"]),
        (
            ["mode=noise_smc", "sampler.epsilon.c=0.5", "sampler/transport=flowmap"],
            ["sampler.epsilon", "sampler.transport"],
        ),
        (["mode=fk_steering", "sampler/chi=constant"], ["sampler.chi"]),
        (["mode=beam", "sampler/damping=gaussian"], ["sampler.damping"]),
        (["mode=auto", "sampler/damping=gaussian"], ["sampler.damping"]),
        (["mode=search", "sampler/damping=gaussian"], []),
        (["mode=reweight", "sampler/beta=early", "reward.scale=2"], ["lookahead", "sampler.beta"]),
        (["mode=importance", "sampler/chi=paper", "sampler/beta=power"], []),
        (["mode=search", "reward.scale=2"], []),
        (["mode=best_of_n", "reward.scale=-1", "lookahead=none"], ["lookahead"]),
    ],
)
def test_settings_that_a_mode_does_not_use_are_warned_about(
    fmtt: Callable[..., Outcome], words: list[str], unused: list[str]
) -> None:
    done = fmtt(*words, "report=false", "baseline=false")
    assert done.status == 0, done.err
    warned = [line.split()[2] for line in done.err.splitlines() if "has no effect" in line]
    assert warned == unused


def test_a_baseline_needs_no_tilt_at_the_start(fmtt: Callable[..., Outcome]) -> None:
    done = fmtt("mode.weights=jarzynski", "sampler/start=annealed", "sampler/beta=from", "report=false")
    assert done.status == 0, done.err
    assert done.metrics["reward/base_mean"] == fmtt("report=false", folder="plain").metrics["reward/base_mean"]


@pytest.mark.parametrize(
    ("old", "new"), [("budget.fewest=2", "budget.min_particles"), ("mode.drop=2", "mode.snr_drop")]
)
def test_old_words_name_the_new_ones(fmtt: Callable[..., Outcome], old: str, new: str) -> None:
    refused = fmtt("mode=diamond", old)
    assert refused.status == 2
    assert refused.complaint.endswith(f"is now called {new}")
