"""Scores of a value head: that of TRL's ``AutoModelForCausalLMWithValueHead``, on chats that end with an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import fmtt
from fmtt.data.images import BUNDLED, read_image
from fmtt.rewards.vlm.score import FILE, Score
from fmtt.run.configs import CONFIGS
from tests.t2i.tiny import flux3
from tests.t2i.tiny_vlm import FAMILIES, WIDTH, save_vlm

pytestmark = pytest.mark.filterwarnings("ignore")
PROMPTS = ["a cat", "an analog clock that shows exactly a quarter to five"]
PICTURES = [BUNDLED / "scene_1.png", BUNDLED / "scene_2.png"]


def head() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    weight, bias = torch.randn(1, WIDTH, generator=generator), torch.randn(1, generator=generator)
    return {"v_head.summary.weight": weight, "v_head.summary.bias": bias}


@pytest.fixture(scope="module", params=FAMILIES)
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp(request.param)
    save_file(head(), folder / FILE)
    return save_vlm(request.param, folder)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.stack([read_image("picture", file, channels=3) for file in PICTURES]) * 2 - 1


@torch.no_grad()
def scored(reward: Score) -> Tensor:
    """As in the model card: the value at the last token that is known, with padding on the right."""
    processor, model = reward.viewer.processor, reward.viewer.model
    chats = [
        [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": reward.question}]},
            {"role": "assistant", "content": prompt},
        ]
        for prompt in PROMPTS
    ]
    texts = [processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=False) for chat in chats]
    shown = [Image.open(file).convert("RGB") for file in PICTURES]
    given = processor(text=texts, images=shown, padding=True, padding_side="right", return_tensors="pt")
    hidden = model(**given, output_hidden_states=True, use_cache=False).hidden_states[-1]
    weight, bias = head().values()
    values = (hidden * weight).sum(2) + bias
    model.model.rope_deltas = None
    return values.gather(1, given["attention_mask"].sum(1, keepdim=True) - 1)[:, 0]


def test_scores_are_those_of_the_model_card(repository: str, x: Tensor) -> None:
    reward = Score(repository)
    told = reward.encode_prompts(PROMPTS)
    found = reward(x, told)
    torch.testing.assert_close(found, scored(reward), rtol=1e-5, atol=1e-5)
    turned = {name: value.flip(0) for name, value in told.items()}
    assert (reward(x, turned) - found).abs().min() > 1e-3 and (reward(x.flip(0), told) - found).abs().min() > 1e-3


def test_the_engine_tilts_toward_it(repository: str) -> None:
    tilted = {"mode": fmtt.modes.search, "groups": 1, "particles": 2, "steps": 4}
    result = fmtt.sample(flux3(), Score(repository), conditions=PROMPTS, **tilted)
    assert torch.isfinite(result.rewards).all() and result.rewards.shape == (2, 2)
    assert result.meter.counts["reward_backward"] > 0
    with pytest.raises(ValueError, match="condition"):
        fmtt.sample(flux3(), Score(repository), **tilted)


def test_the_configuration_makes_it(repository: str, x: Tensor) -> None:
    node = OmegaConf.load(CONFIGS / "reward" / "vlm_score.yaml")
    defaults = {name: value.default for name, value in Score.__dataclass_fields__.items() if value.init}
    assert {name: node[name] for name in defaults} == defaults
    made, plain = instantiate(OmegaConf.merge(node, {"repository": repository})), Score(repository)
    assert torch.equal(made(x, made.encode_prompts(PROMPTS)), plain(x, plain.encode_prompts(PROMPTS)))


@pytest.mark.parametrize(
    ("held", "line"),
    [
        ({"v_head.summary.weight": head()["v_head.summary.weight"]}, "holds v_head.summary.weight; must be"),
        (head() | {"v_head.extra": torch.zeros(1)}, "holds v_head.extra, v_head.summary.bias"),
        (head() | {"v_head.summary.weight": torch.zeros(1, 5)}, r"has shapes \(1, 5\) and \(1,\); must be \(1, 32\)"),
        (head() | {"v_head.summary.bias": torch.zeros(2)}, r"has shapes \(1, 32\) and \(2,\)"),
    ],
)
def test_a_head_of_another_form_is_refused(held: dict[str, Tensor], line: str, tmp_path: Path) -> None:
    folder = save_vlm("qwen2_5_vl", tmp_path)
    save_file(held, tmp_path / FILE)
    with pytest.raises(ValueError, match=f"reward.repository={folder}: {FILE} {line}"):
        Score(folder)


def test_a_repository_without_a_head_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: has no {FILE} that can be read"):
        Score(save_vlm("qwen2_5_vl", tmp_path))
    with pytest.raises(
        ValueError, match=r"reward\.repository=Skywork/Skywork-VL-Reward-7B: the .* \(licence MIT, to be accepted at"
    ):
        Score()
