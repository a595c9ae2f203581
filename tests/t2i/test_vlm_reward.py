"""Log-odds of yes: those of transformers called in the ordinary way on picture files, batched and differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

import fmtt
from fmtt.data.images import BUNDLED, read_image
from fmtt.rewards.vlm.families import layers_of
from fmtt.rewards.vlm.reward import LogOdds
from fmtt.run.configs import CONFIGS
from tests.t2i.tiny import flux3
from tests.t2i.tiny_vlm import FAMILIES, save_vlm

pytestmark = pytest.mark.filterwarnings("ignore")
QUESTIONS = [
    "Is it a cat?",
    "Does this picture show the same man in both of them, or an analog clock? Answer Yes or No.",
]
YES, NO = ("Yes", "yes", " yes", " Yes"), ("No", "no", " no", " No")
PROMPTS = ["a cat", "an analog clock that shows exactly a quarter to five", "no dog"]
exact = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {family: save_vlm(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def repository(request: pytest.FixtureRequest, repositories: dict[str, str]) -> str:
    return repositories[request.param]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three pictures of 3 by 5 tokens."""
    folder, generator = tmp_path_factory.mktemp("pictures"), torch.Generator().manual_seed(0)
    found = []
    for k in range(3):
        levels = torch.randint(0, 256, (24, 40, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(levels.numpy()).save(folder / f"{k}.png")
        found.append(folder / f"{k}.png")
    return found


@pytest.fixture(scope="module")
def x(files: list[Path]) -> Tensor:
    return torch.stack([read_image("picture", file, channels=3) for file in files]) * 2 - 1


def inputs(reward: LogOdds, shown: Sequence[Path], question: str) -> dict[str, Tensor]:
    """What the processor makes of a question about picture files."""
    processor = reward.viewer.processor
    content = [{"type": "image"}] * len(shown) + [{"type": "text", "text": question}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return processor(text=[text], images=[Image.open(file).convert("RGB") for file in shown], return_tensors="pt")


@torch.no_grad()
def said(reward: LogOdds, given: dict[str, Tensor]) -> float:
    """The log-odds of yes from the logarithms of the probabilities of all words."""
    words = reward.viewer.model(**given, logits_to_keep=1).logits[0, -1].log_softmax(0)
    read = reward.viewer.processor.tokenizer
    yes, no = (torch.stack([words[read(word)["input_ids"][0]] for word in answer]) for answer in (YES, NO))
    reward.viewer.model.model.rope_deltas = None
    return (yes.exp().sum().log() - no.exp().sum().log()).item()


def test_log_odds_are_those_of_transformers_on_picture_files(repository: str, files: list[Path], x: Tensor) -> None:
    reward = LogOdds(repository, QUESTIONS)
    found = reward.log_odds(x)
    expected = torch.tensor([[said(reward, inputs(reward, [file], text)) for text in QUESTIONS] for file in files])
    exact(found, expected)
    exact(reward(x), expected.sum(1))
    assert (found[:, :1] - found[:1, 1:]).abs().min() > 1e-3 and found.std(0).min() > 1e-2, "all of them differ"


def test_references_stand_before_the_picture(repository: str, files: list[Path], x: Tensor) -> None:
    """They are of other sizes, so that each picture has its own grid."""
    references = [BUNDLED / "scene_1.png", files[2]]
    reward = LogOdds(repository, QUESTIONS, references=[str(file) for file in references])
    found = reward.log_odds(x[:2])
    expected = [[said(reward, inputs(reward, [*references, file], text)) for text in QUESTIONS] for file in files[:2]]
    exact(found, torch.tensor(expected))
    other = LogOdds(repository, QUESTIONS, references=[str(file) for file in references[::-1]])
    assert (other.log_odds(x[:2]) - found).abs().min() > 1e-4


def test_one_batch_mixes_prompts_of_different_lengths(repository: str, files: list[Path], x: Tensor) -> None:
    reward = LogOdds(repository)
    told = reward.encode_prompts(PROMPTS)
    lengths = told["known"].sum(2)[:, 0].tolist()
    assert len(set(lengths)) == 3 and max(lengths) == told["tokens"].shape[2]
    expected = [
        said(reward, inputs(reward, [file], f'Does this picture show "{prompt}"? Answer Yes or No.'))
        for file, prompt in zip(files, PROMPTS, strict=True)
    ]
    exact(reward(x, told), torch.tensor(expected))
    turned = {name: value[[1, 2, 0]] for name, value in told.items()}
    assert (reward(x, turned) - reward(x, told)).abs().min() > 1e-3


def test_pictures_are_resized_as_by_the_processor(repository: str) -> None:
    reward = LogOdds(repository, QUESTIONS[0])
    shown = torch.rand(1, 3, 21, 70, generator=torch.Generator().manual_seed(1))
    processor = reward.viewer.processor
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTIONS[0]}]}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    expected = said(reward, processor(text=[text], images=list(shown), do_rescale=False, return_tensors="pt"))
    exact(reward(shown * 2 - 1), torch.tensor([expected]))
    small = LogOdds(repository, QUESTIONS[0], max_pixels=16 * 16)
    assert (small(shown * 2 - 1) - expected).abs() > 1e-3


def test_positions_come_from_the_kinds_of_tokens(repositories: dict[str, str], files: list[Path], x: Tensor) -> None:
    """Without them Qwen2.5-VL counts places one by one and says nothing; Qwen3-VL refuses."""
    old, new = (LogOdds(repositories[family], QUESTIONS[0]) for family in FAMILIES)
    wrong = inputs(old, files[:1], QUESTIONS[0])
    del wrong["mm_token_type_ids"]
    assert abs(said(old, wrong) - old(x[:1]).item()) > 1e-3
    with pytest.raises(ValueError, match="`mm_token_type_ids` is missing"):
        said(new, wrong)


def test_the_model_keeps_no_state(repository: str, x: Tensor) -> None:
    reward = LogOdds(repository, QUESTIONS)
    first = reward(x)
    reward(x[:1, :, :16, :16])
    assert reward.viewer.model.model.rope_deltas is None
    assert torch.equal(reward(x), first) and not first.requires_grad


def test_gradients_agree_with_finite_differences(repository: str, files: list[Path], x: Tensor) -> None:
    """Five points, since normalisation and rotations are float32 in any precision and bound the step from below."""
    reward = LogOdds(repository, QUESTIONS, references=[str(files[2])])
    reward.viewer.model.double()
    v = torch.randn(1, 3, 24, 40, generator=torch.Generator().manual_seed(2)).double()
    point = (0.9 * x[:1].double()).requires_grad_()  # inside of the range that is not clamped
    value = reward(point)
    (slope,) = torch.autograd.grad(value.sum(), point)
    with torch.no_grad():
        near, far = ((reward(point + h * v) - reward(point - h * v)).item() / (2 * h) for h in (0.01, 0.02))
        assert (slope * v).sum().item() == pytest.approx((4 * near - far) / 3, rel=2e-4)
        assert reward(point + 0.01 * slope / slope.norm()) > value, "a step along the gradient raises the reward"


def test_layers_are_computed_again_for_the_gradient(repository: str, x: Tensor) -> None:
    reward = LogOdds(repository, QUESTIONS[0])
    layers, calls = layers_of(reward.viewer.model), list[int]()
    assert len(layers) == 4, "two of the vision tower and two of the language model"
    for number, layer in enumerate(layers):
        layer.mlp.register_forward_pre_hook(lambda *_, number=number: calls.append(number))
    with torch.no_grad():
        reward(x)
    assert sorted(calls) == [0, 1, 2, 3]
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(reward(point).sum(), point)
    assert sorted(calls[4:]) == [0, 0, 1, 1, 2, 2, 3, 3]
    for layer in layers:
        layer.training = False
    (plain,) = torch.autograd.grad(reward(point).sum(), point)
    assert len(calls) == 16
    torch.testing.assert_close(slope, plain)


def test_a_question_sees_each_picture_once(repository: str, x: Tensor) -> None:
    reward, seen = LogOdds(repository, QUESTIONS), list[int]()
    reward.viewer.model.model.visual.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    reward(x)
    assert seen == [3 * 6 * 10]


def test_a_network_in_half_precision_gives_log_odds_in_float32(tmp_path: Path, x: Tensor) -> None:
    reward = LogOdds(save_vlm("qwen3_vl", tmp_path), QUESTIONS)
    expected = reward.log_odds(x)
    reward.viewer.model.bfloat16().save_pretrained(tmp_path)
    half = LogOdds(str(tmp_path), QUESTIONS)
    assert half.viewer.model.dtype == torch.bfloat16
    found = half.log_odds(x)
    assert found.dtype == torch.float32 and not torch.equal(found, found.bfloat16().float())
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)


def test_probabilities_of_yes_stand_beside_the_reward(repository: str, x: Tensor) -> None:
    one, two = LogOdds(repository, QUESTIONS[0]), LogOdds(repository, QUESTIONS)
    odds = two.log_odds(x).double().exp()
    shown = two.statistics(x)
    assert list(shown) == ["says_yes/1", "says_yes/2"] and list(one.statistics(x)) == ["says_yes"]
    exact(shown["says_yes/2"], (odds / (1 + odds))[:, 1])


def test_the_engine_tilts_toward_it_with_prompts(repository: str) -> None:
    result = fmtt.sample(
        flux3(), LogOdds(repository), conditions=PROMPTS[:2], mode=fmtt.modes.search, groups=1, particles=2, steps=4
    )
    assert result.rewards.shape == (2, 2) and torch.isfinite(result.rewards).all()
    assert result.meter.counts["reward_backward"] > 0


def test_what_is_wrong_gets_one_line(repositories: dict[str, str], tmp_path: Path, x: Tensor) -> None:
    repository = repositories["qwen3_vl"]
    with pytest.raises(ValueError, match=r"reward\.question=null: needs a question, or a prompt"):
        LogOdds(repository)(x)
    with pytest.raises(ValueError, match=r"reward\.question=\[\]: needs a question"):
        LogOdds(repository, [])
    with pytest.raises(ValueError, match=r"reward\.template=Is it\?: must contain \{prompt\}"):
        LogOdds(repository, template="Is it?")
    with pytest.raises(ValueError, match=r"contains <\|image_pad\|>, which stands for pictures"):
        LogOdds(repository).encode_prompts(["a <|image_pad|> cat"])
    with pytest.raises(ValueError, match=r"needs pictures \(3, H, W\), not samples of shape \(1, 28, 28\)"):
        LogOdds(repository, "Is it?")(torch.zeros(2, 1, 28, 28))
    with pytest.raises(ValueError, match=r"reward\.references=nothing\.png: the file does not exist"):
        LogOdds(repository, references=["nothing.png"])
    with pytest.raises(
        ValueError, match=r"reward\.repository=Qwen/Qwen3-VL-4B-Instruct: the network is not on this machine"
    ):
        LogOdds()
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    line = "a model of type llava, must be one of qwen2_5_vl, qwen3_vl"
    with pytest.raises(ValueError, match=line):
        LogOdds(str(tmp_path))


def test_the_configuration_is_the_default(repositories: dict[str, str], x: Tensor) -> None:
    node = OmegaConf.load(CONFIGS / "reward" / "vlm.yaml")
    defaults = {name: value.default for name, value in LogOdds.__dataclass_fields__.items() if value.init}
    assert {name: node[name] for name in defaults} == defaults | {"references": []}
    made = instantiate(OmegaConf.merge(node, {"repository": repositories["qwen3_vl"], "question": QUESTIONS}))
    assert torch.equal(made(x), LogOdds(repositories["qwen3_vl"], QUESTIONS)(x))
