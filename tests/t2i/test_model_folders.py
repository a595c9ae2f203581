"""Every model from a folder: gradients stay possible, and encoders of texts come once and go."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from fmtt.flow.protocols import as_flow
from fmtt.run.configs import CONFIGS
from tests.command import Outcome
from tests.t2i.test_all_paths import networks_of
from tests.t2i.tiny_folders import FOLDERS, words_of

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("shallow_encoders")]
TEXTS = ["a cat", "a dog", "a clock"]
Loads = list[tuple[str, weakref.ref]]


def loaded(name: str, folder: Path) -> Any:
    """The model of the command line."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        model = instantiate(compose("config", overrides=words_of(name, folder)).model)
    return model.to(torch.device("cpu"), torch.float32)


@pytest.fixture
def encoders(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """The folders of the networks of transformers that were loaded, and whether they are still there."""
    seen: Loads = []
    unheard = PreTrainedModel.from_pretrained.__func__

    def heard(kind: type, repository: str, *others: Any, **options: Any) -> Any:
        made = unheard(kind, repository, *others, **options)
        seen.append((f"{repository}/{options['subfolder']}", weakref.ref(made[0] if isinstance(made, tuple) else made)))
        return made

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(heard))
    return seen


def come_once(encoders: Loads) -> None:
    places = [place for place, _ in encoders]
    assert places and len(places) == len(set(places)), places


@pytest.mark.parametrize("name", FOLDERS)
def test_gradients_can_be_switched_on_and_encoders_leave_the_memory(name: str, tmp_path: Path, encoders: Loads) -> None:
    model = loaded(name, tmp_path)
    assert encoders == []
    condition = model.encode_prompts(TEXTS)
    assert torch.is_grad_enabled()
    come_once(encoders)
    assert [place for place, encoder in encoders if encoder() is not None] == []
    assert not any(value.requires_grad for network in networks_of(model) for value in network.parameters())
    x = torch.randn(3, *model.shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    flow, s = as_flow(model), torch.full((3,), 0.3)
    for call, times in ((flow.velocity, (s,)), (flow.flow_map, (s, torch.ones(3)))):
        if call is not None:
            (slope,) = torch.autograd.grad(model.decode(call(x, *times, condition=condition)).square().sum(), x)
            assert slope.isfinite().all() and (slope != 0).any()


LARGE = ("transformer", "unet")  # folders of the networks that are loaded in the type of their files
ROUNDED = ("flux", "sdxl_lcm")  # a LoRA is added to them, and the sum is rounded to the type of the file


def saved_in(dtype: torch.dtype, folder: Path) -> int:
    """The number of networks below ``folder`` whose numbers are now those of bfloat16, saved in ``dtype``."""
    files = [path for path in folder.rglob("*.safetensors") if path.parent.name in LARGE]
    for path in files:
        tensors = {key: value.to(torch.bfloat16).to(dtype) for key, value in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})
    return len(files)


def aligned(model: object) -> None:
    """Give all parameters memory of their own. Where they lie in a file, some libraries add in another order."""
    for network in networks_of(model):
        for value in network.parameters():
            value.data = value.data.clone()


@pytest.mark.parametrize("name", FOLDERS)
def test_the_type_of_the_file_changes_nothing(name: str, tmp_path: Path) -> None:
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        folder = tmp_path / str(dtype)
        folder.mkdir()
        words = words_of(name, folder)
        assert saved_in(dtype, folder) > 0
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            model = instantiate(compose("config", overrides=words).model)
        largest = {value.dtype for network in networks_of(model) for value in network.parameters()}
        assert (torch.bfloat16 in largest) == (dtype == torch.bfloat16)
        model = model.to(torch.device("cpu"), torch.float32)
        aligned(model)
        x = torch.randn(1, *model.shape, generator=torch.Generator().manual_seed(1))
        flow, s = as_flow(model), torch.full((1,), 0.3)
        condition = model.encode_prompts(TEXTS[:1])
        calls = ((flow.velocity, (s,)), (flow.flow_map, (s, torch.ones(1))))
        found.append([call(x, *times, condition=condition) for call, times in calls if call is not None])
    closeness = {"rtol": 0.05, "atol": 0.05} if name in ROUNDED else {"rtol": 0.0, "atol": 0.0}
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **closeness)


@pytest.mark.parametrize("name", ["flux3_klein", "flux_ahead", "hunyuan_image"])
def test_encoders_are_loaded_once_for_all_prompts_of_a_run(
    name: str, fmtt: Callable[..., Outcome], tmp_path: Path, encoders: Loads
) -> None:
    done = fmtt(
        *words_of(name, tmp_path), "reward=symmetry", "prompt=[a cat, a dog, a clock]", "lookahead=flowmap1",
        "population.groups=1", "population.particles=2", "sampler.steps=2", "report=false", small=False,
    )  # fmt: skip
    assert done.status == 0, done.err
    come_once(encoders)
