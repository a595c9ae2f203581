"""Training on scenes: captions reach the network, and a resumed training is an unbroken one."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from fmtt.data.captions import LONGEST, VOCABULARY, understood
from fmtt.data.questions import QUESTION_WORDS, answered, understood_question
from fmtt.data.scene_facts import Things, shown
from fmtt.data.scenes import World
from fmtt.models.checkpoints import load_network, read_card, save_network
from fmtt.models.question_net import QuestionNet
from fmtt.models.text_unet import TextUNet
from fmtt.run.configs import CONFIGS
from fmtt.training.captioned import Drawn, told
from fmtt.training.data import SceneImages
from fmtt.training.fit import train_flow_map
from fmtt.training.off_diagonal import ProgressiveUniform, TrajectoryDistillation
from fmtt.training.questions import KINDS, asked_about, calibration_error, in_cells, train_questions
from fmtt.training.teachers import Guided
from tests.training.interrupted import train_with_a_break

pytestmark = pytest.mark.filterwarnings("ignore")
NET = {"channels": 3, "size": 32, "width": 8, "blocks": 1, "embedding": 16, "words": 16}


def config(output: Path, steps: int, name: str = "scenes", *words: str) -> DictConfig:
    small = ["epoch=4", "net.width=8", "net.blocks=1", "net.embedding=16", "net.words=16", "training.batch=8",
             "training.map_batch=8", "training.map_from=0", "training.warmup=2", "objective.size=8", "threads=1",
             "objective.fresh=4", "objective.intervals=3", "objective.every=2", "precision=32-true"]  # fmt: skip
    with initialize_config_dir(str(CONFIGS / "training"), version_base="1.3"):
        return compose(name, [f"output={output}", f"training.steps={steps}", *small, *words])


def test_resumed_training_is_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_flow_map(config(whole, 8))
    assert train_with_a_break(lambda: config(broken, 8), monkeypatch) == 4
    first, second = (
        load_network(folder / "scenes_velocity.safetensors", TextUNet).state_dict() for folder in (whole, broken)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_flow_map_is_distilled_from_the_guided_velocity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    velocity = tmp_path / "velocity.safetensors"
    torch.manual_seed(0)
    save_network(TextUNet(**NET), NET, velocity, {})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    words = ("scenes_map", "training.batch=0", "objective.still=4", f"velocity={velocity}")
    train_flow_map(config(whole, 8, *words))
    assert train_with_a_break(lambda: config(broken, 8, *words), monkeypatch) == 4
    first, second = (load_network(folder / "scenes.safetensors", TextUNet).state_dict() for folder in (whole, broken))
    assert all(torch.equal(first[name], second[name]) for name in first)
    start = load_network(velocity, TextUNet).state_dict()
    assert torch.equal(first["mean"], start["mean"])
    assert not torch.equal(first["outlet.weight"], start["outlet.weight"])


def test_a_training_that_would_learn_nothing_at_first_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstantiationException, match=r"training\.batch=0: needs training\.map_from=0"):
        train_flow_map(config(tmp_path, 8, "scenes", "training.batch=0", "training.map_from=2"))


def test_guidance_leads_away_from_what_is_said_without_a_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, batch = TextUNet(**NET), SceneImages().draw(5, 0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_network(net, NET, tmp_path / "net.safetensors", {})
    kept, t = load_network(tmp_path / "net.safetensors", TextUNet), torch.linspace(0.1, 0.9, 5)
    assert batch.tokens is not None
    by_text, by_none = (told(kept, tokens)(batch.samples, t, t) for tokens in (batch.tokens, 0 * batch.tokens))
    assert (by_text - by_none).abs().max() > 1e-3
    for strength in (1.0, 2.5):
        guided = told(Guided(tmp_path / "net.safetensors", strength), batch.tokens)(batch.samples, t, t)
        torch.testing.assert_close(guided, by_none + strength * (by_text - by_none), atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"teacher\.strength=0\.5: must be at least 1"):
        Guided(tmp_path / "net.safetensors", 0.5)


def test_a_share_of_captions_is_not_told() -> None:
    all_told, some = (SceneImages(untold=share).draw(2000, 0).tokens for share in (0.0, 0.1))
    assert all_told is not None and some is not None
    empty = (some == 0).all(1)
    assert not (all_told == 0).all(1).any()
    assert 0.08 < empty.double().mean() < 0.12
    assert torch.equal(some[~empty], all_told[~empty])


def test_captions_are_true_and_keyed() -> None:
    data = SceneImages()
    scenes, texts = data.scenes(200, 0, 1, "a")
    things = Things.of(scenes)
    assert all(bool(shown(understood(text), things)[row]) for row, text in enumerate(texts))
    first, again, other = (data.draw(20, 0, step, "a") for step in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first.samples, other.samples)
    assert first.tokens is not None
    assert first.tokens.shape == (20, LONGEST)
    assert int(first.tokens.max()) <= len(VOCABULARY)


def test_networks_are_told_the_caption_of_each_row() -> None:
    torch.manual_seed(0)
    net, batch = TextUNet(**NET), SceneImages().draw(6, 0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    t = torch.full((6,), 0.5)
    assert batch.tokens is not None
    together = told(net, batch.tokens)(batch.samples, t, t)
    alone = [told(net, batch.tokens[[k]])(batch.samples[[k]], t[:1], t[:1]) for k in range(6)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)
    assert told(net, None) is net


def test_trajectories_keep_the_captions_that_they_were_made_with() -> None:
    """The teacher's velocity is the first token of its caption, so that the path says which caption it had."""

    class Teacher:
        def encode(self, tokens: torch.Tensor) -> torch.Tensor:
            return tokens

        def __call__(self, x: torch.Tensor, s: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            return condition[:, :1].float().expand_as(x)

    batch = Drawn(torch.zeros(16, 2), torch.arange(1, 17)[:, None].repeat(1, 3))
    distillation = TrajectoryDistillation((2,), size=16, intervals=4, every=1, fresh=8, seed=0, words=3)
    loss = distillation(Teacher(), Teacher(), batch, 0)
    assert loss.max() < 1e-8
    pairs = distillation.pool.pairs(64, 1)
    assert pairs.tokens is not None
    slope = ((pairs.x_t - pairs.x_s) / (pairs.t - pairs.s)[:, None])[:, 0]
    torch.testing.assert_close(slope, pairs.tokens[:, 0].float(), atol=1e-3, rtol=1e-3)
    assert ProgressiveUniform(0)(Teacher(), Teacher(), batch, 0).max() < 1e-8
    still = TrajectoryDistillation((2,), size=16, intervals=4, every=1, fresh=8, seed=0, words=3, still=5)
    assert still(Teacher(), Teacher(), batch, 0).shape == (16 + 5,)
    assert still(Teacher(), Teacher(), batch, 0).max() < 1e-8


def test_questions_are_of_all_kinds_and_half_of_them_true() -> None:
    scenes, tokens, yes = asked_about(World(tie=1.0), 500, 2, 0)
    assert tokens.shape[:2] == (500, 2) and 6 < tokens.shape[2] < LONGEST
    assert (tokens[..., -1] != 0).any(), "the longest question fills its row"
    assert 0.4 < yes.double().mean() < 0.6
    things = Things.of(scenes)
    for row, place in ((0, 0), (0, 1), (7, 0), (7, 1), (499, 0), (499, 1)):
        text = " ".join(QUESTION_WORDS[number - 1] for number in tokens[row, place].tolist() if number)
        answer = answered(understood_question(text), things.take(torch.tensor([row])))
        assert bool(answer) == bool(yes[row, place]), text
    again = asked_about(World(tie=1.0), 500, 2, 0)
    assert torch.equal(tokens, again[1])
    assert torch.equal(yes, again[2])


def test_cells_are_told_what_has_its_centre_in_them() -> None:
    """Two objects, one of them in the first cell, and two slots without one."""
    shape, colour = torch.tensor([[3, 0, -1, -1]]), torch.tensor([[4, 2, -1, -1]])
    x, y = torch.tensor([[31.9, 0.5, 0.0, 0.0]]), torch.tensor([[4.1, 3.9, 0.0, 0.0]])
    found = in_cells(Things(shape, colour, x, y), 32, 64)
    assert found.shape == (1, 64) and found[0].count_nonzero() == 2
    assert found[0, 0] == 1 + 0 * 5 + 2 and found[0, 8 + 7] == KINDS == 20


def test_counts_are_summed_over_cells() -> None:
    """A net whose cells said the same would not tell one object from two if it averaged them by an attention."""
    torch.manual_seed(0)
    net = QuestionNet(width=16, hidden=16)
    seen, tokens = torch.randn(1, 64, 16 + 2), torch.randint(1, 20, (1, 2, 5))
    twice = torch.cat([seen, seen], dim=1)
    assert (net.ask(twice, tokens) - net.ask(seen, tokens)).abs().max() > 1e-3
    changed = net.ask(seen[:, torch.randperm(64)], tokens)
    torch.testing.assert_close(changed, net.ask(seen, tokens), rtol=1e-4, atol=1e-5)


def test_question_net_is_trained_exported_and_graded(tmp_path: Path) -> None:
    with initialize_config_dir(str(CONFIGS / "training"), version_base="1.3"):
        small = ["net.width=16", "training.steps=4", "epoch=2", "training.batch=8", "training.questions=2", "threads=1"]
        settings = compose("questions", [f"output={tmp_path}", f"export={tmp_path}/net.safetensors", *small])
    card = train_questions(settings)
    assert 0 < card["right"] < 1
    assert read_card(tmp_path / "net.safetensors")["right"] == card["right"]
    assert load_network(tmp_path / "net.safetensors", QuestionNet).size == 32


def test_calibration_error_is_zero_for_true_probabilities_and_large_for_others() -> None:
    probability = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    yes = (torch.rand(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64) < probability).double()
    assert calibration_error(probability, yes) < 0.015
    assert calibration_error(probability.square(), yes) > 0.1
