"""The error of a look-ahead against the ODE, beside what the runs gained, on maps of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from fmtt.flow import noise
from fmtt.models.checkpoints import save_network
from fmtt.models.unet import TwoTimeUNet
from fmtt.studies.runs import finished_kinds
from fmtt.studies.sensitivity import error_of, gain, results_of, study_sensitivity
from tests.run_folder import make_run

NET = {"channels": 1, "size": 8, "width": 8, "blocks": 1, "embedding": 16}


def checkpoint(path: Path, seed: int) -> str:
    torch.manual_seed(seed)
    net = TwoTimeUNet(**NET)
    with torch.no_grad():
        net.outlet.weight.normal_(std=0.05)
    save_network(net, NET, path, {})
    return str(path)


@pytest.mark.slow
def test_a_map_of_its_own_is_nearer_than_that_of_another(fmtt, tmp_path: Path) -> None:
    own, other = (checkpoint(tmp_path / f"net{seed}.safetensors", seed) for seed in (0, 1))
    outcome = fmtt(
        "-m", "model=mnist", f"model.checkpoint={own}", "model.evaluator=null", "report=false",
        "population.groups=2", "population.particles=4", "sampler.steps=3", "seed=0,1", "lookahead=denoiser,flowmap4",
        f"model.flow_map=null,{other}", small=False, folder="runs",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    text = study_sensitivity([tmp_path / "runs"], tmp_path / "out")
    assert (tmp_path / "out.md").read_text() == text + "\n"
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    errors = {(row[0] == "the last", row[1]): float(row[2]) for row in rows[2:]}
    assert set(errors) == {(own_map, look) for own_map in (True, False) for look in ("denoiser", "flowmap4")}
    assert rows[0][3:5] == ["gain", "log Z"] and rows[0][-1] == "length"
    assert errors[True, "flowmap4"] < errors[False, "flowmap4"]
    assert errors[True, "denoiser"] == errors[False, "denoiser"]  # the denoiser is that of the velocity
    assert [float(row[2]) for row in rows[2:]] == sorted(errors.values())
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (1320, 528)


def test_the_error_is_that_of_the_jump(fmtt, tmp_path: Path) -> None:
    """A velocity that is zero stays where it is: the map that is it has no error, whatever its steps."""
    net = TwoTimeUNet(**NET)
    net.outlet.weight.data.zero_()
    save_network(net, NET, tmp_path / "net.safetensors", {})
    where = f"model.checkpoint={tmp_path / 'net.safetensors'}"
    run = fmtt("model=mnist", where, "model.evaluator=null", "report=false",
               "population.groups=1", "population.particles=2", "sampler.steps=2", "lookahead=flowmap1",
               small=False)  # fmt: skip
    with torch.no_grad():
        assert error_of(run.folder) < 1e-3  # what remains is the flow of the Gaussian, whose map is exact


def test_nothing_to_judge_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished runs below"):
        study_sensitivity([tmp_path], tmp_path / "out")


def test_a_gain_needs_a_baseline(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "0", base=False)
    (kind,) = finished_kinds([tmp_path / "runs"])
    with pytest.raises(ValueError, match="0: the gain is one over the base model; the runs need baseline=true"):
        results_of(kind)


def test_a_gain_is_over_the_same_noise() -> None:
    """What groups have in common with their base cancels; what tilting adds by chance does not."""
    base, even = noise.normal((50,), 0, "base").double(), torch.zeros(50, dtype=torch.float64)
    assert gain(base + 2, even, base) == pytest.approx((2, 0), abs=1e-12)
    luck = noise.normal((50,), 0, "luck").double()
    value, error = gain(base + luck, even, base)
    assert value == pytest.approx(luck.mean().item())
    assert error == pytest.approx(luck.std().item() / 50**0.5)
    means, log_z = torch.tensor([1.0, 4.0]).double(), torch.tensor([1.0, 4.0]).double().log()
    assert gain(means, log_z, even[:2])[0] == pytest.approx(3.4)
