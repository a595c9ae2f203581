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
