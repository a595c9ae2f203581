"""The training script on a toy: it exports a network that is a model, and a resumed training is an unbroken one."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fmtt.models.analytic import ring_of_gaussians
from fmtt.models.checkpoints import load_network, read_card
from fmtt.models.learned import load_flow_map
from fmtt.models.unet import TwoTimeUNet
from fmtt.run.configs import CONFIGS
from fmtt.training.data import ModelSamples
from fmtt.training.fit import train_flow_map
from fmtt.training.teachers import ExactTeacher, Trained
from fmtt.training.trainer import precision
from tests.training.interrupted import train_with_a_break

pytestmark = pytest.mark.filterwarnings("ignore")


def config(output: Path, steps: int, *overrides: str) -> DictConfig:
    small = ["epoch=20", "net.width=32", "net.layers=2", "training.batch=128", "training.map_batch=128", "threads=1",
             "training.warmup=5", "objective.size=64", "objective.fresh=64", "objective.intervals=8"]  # fmt: skip
    with initialize_config_dir(str(CONFIGS / "training"), version_base="1.3"):
        return compose("ring", [f"output={output}", f"training.steps={steps}", *small, *overrides])


def test_resumed_training_is_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_flow_map(config(whole, 40, "stages=[20]"))
    assert train_with_a_break(lambda: config(broken, 40), monkeypatch) == 20
    first, second = (load_flow_map(folder / "ring.safetensors").net.state_dict() for folder in (whole, broken))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    early = load_flow_map(whole / "ring_20.safetensors").net.state_dict()
    assert read_card(whole / "ring_20.safetensors")["steps"] == 20
    assert not all(torch.equal(first[name], early[name]) for name in first)
    assert sorted(file.name for file in whole.glob("*.safetensors")) == ["ring.safetensors", "ring_20.safetensors"]


def test_exact_teacher_is_the_velocity() -> None:
    model = ring_of_gaussians(4, 1.0, 0.3)
    x, t = ModelSamples(model).draw(5, 0, "x").samples, torch.full((5,), 0.3)
    assert torch.equal(ExactTeacher(model)(x, t, t), model.velocity(x, t))


def test_a_trained_teacher_is_the_network_in_its_file_and_is_frozen() -> None:
    teacher, net = Trained("mnist"), load_network("mnist", TwoTimeUNet)
    x, t = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.full((2,), 0.3)
    assert torch.equal(teacher(x, t, t), net(x, t, t))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_draws_are_functions_of_their_key() -> None:
    data = ModelSamples(ring_of_gaussians(4, 1.0, 0.3))
    assert torch.equal(data.draw(5, 0, 1, "a").samples, data.draw(5, 0, 1, "a").samples)
    assert not torch.equal(data.draw(5, 0, 1, "a").samples, data.draw(5, 0, 2, "a").samples)


@pytest.mark.parametrize(
    ("asked", "avx", "amx", "cuda", "expected"),
    [
        ("auto", False, False, False, "32-true"),  # oneDNN would emulate bfloat16, at half the speed
        ("auto", True, False, False, "bf16-mixed"),
        ("auto", False, True, False, "bf16-mixed"),
        ("auto", False, False, True, "bf16-mixed"),
        ("32-true", True, True, True, "32-true"),
    ],
)
def test_precision_is_bfloat16_only_where_there_are_instructions(
    asked: str, avx: bool, amx: bool, cuda: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert precision(OmegaConf.create({"precision": asked})) == expected
