"""Training on scenes: captions reach the network, and a resumed training is an unbroken one."""

from collections import Counter
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
from fmtt.models.question_net import MAPS, NUMBERS, QuestionNet, Seen, numbers
from fmtt.models.text_unet import TextUNet
from fmtt.run.configs import CONFIGS
from fmtt.training.captioned import Drawn, told
from fmtt.training.data import SceneImages
from fmtt.training.fit import train_flow_map
from fmtt.training.off_diagonal import ProgressiveUniform, TrajectoryDistillation
from fmtt.training.question_grades import WAY, calibration_error, kind_of
from fmtt.training.question_lessons import lesson, meant_by
from fmtt.training.questions import distance, in_cells, train_questions
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
    taught = lesson(World(tie=1.0), 500, 2, 0)
    tokens, yes = taught.tokens, taught.yes
    assert tokens.shape[:2] == (500, 2) and 6 < tokens.shape[2] < LONGEST
    assert (tokens[..., -1] != 0).any(), "the longest question fills its row"
    assert 0.4 < yes.double().mean() < 0.6
    kinds = Counter(kind_of(question) for row in taught.questions for question in row)
    assert set(kinds) == {"number", "place", "relation", "group"} and min(kinds.values()) > 50
    things = Things.of(taught.scenes)
    for row, place in ((0, 0), (0, 1), (7, 0), (7, 1), (499, 0), (499, 1)):
        text = " ".join(QUESTION_WORDS[number - 1] for number in tokens[row, place].tolist() if number)
        question = understood_question(text)
        assert question == taught.questions[place][row]
        assert bool(answered(question, things.take(torch.tensor([row])))) == bool(yes[row, place]), text
    again = lesson(World(tie=1.0), 500, 2, 0)
    assert torch.equal(tokens, again.tokens)
    assert torch.equal(yes, again.yes)


SHOWN = Things(  # a green circle, a red circle, a red star, nothing
    torch.tensor([[0, 0, 3, -1]]), torch.tensor([[1, 0, 0, -1]]), torch.zeros(1, 4), torch.zeros(1, 4)
)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("are there three objects", [1, 1, 1, 0], [0, 0, 0, 0]),
        ("is there a red circle", [0, 1, 0, 0], [0, 0, 0, 0]),
        ("is the circle green", [1, 0, 0, 0], [1, 1, 0, 0]),
        ("is a star left of a green circle", [0, 0, 1, 0], [1, 0, 0, 0]),
        ("is a red star at the top", [0, 0, 1, 0], [0, 0, 0, 0]),
    ],
)
def test_questions_mean_objects(text: str, first: list[int], second: list[int]) -> None:
    meant = meant_by(understood_question(text), SHOWN)
    assert meant[0].int().T.tolist() == [first, second]


def test_cells_are_told_what_has_its_centre_in_them() -> None:
    """Two objects, one of them in the first cell, and two slots without one."""
    shape, colour = torch.tensor([[3, 0, -1, -1]]), torch.tensor([[4, 2, -1, -1]])
    x, y = torch.tensor([[31.9, 0.5, 0.0, 0.0]]), torch.tensor([[4.1, 3.9, 0.0, 0.0]])
    things = Things(shape, colour, x, y)
    centres = in_cells(things, 32, 64)
    assert centres.shape == (1, 4, 64) and centres.sum() == 2
    assert centres[0, 0, 8 + 7] == 1 and centres[0, 1, 0] == 1
    places = torch.zeros(1, 64, 2)
    places[0, 15] = torch.tensor([4.1, 31.9]) / 16 - 1
    places[0, 0] = torch.tensor([3.9 + 1.6, 0.5]) / 16 - 1
    seen = Seen(torch.zeros(1, 64, 16), places)
    torch.testing.assert_close(distance(seen, things, 32, centres), torch.tensor(1.6 / 16 / 2 / 2))


def test_numbers_are_sums_of_maps_and_how_far_they_reach() -> None:
    """Two objects in the first map, at (row, column) = (-.5, .25) and (.5, 0); none in the second."""
    maps, places = torch.zeros(1, 64, MAPS), torch.zeros(1, 64, 2)
    maps[0, 5, 0] = maps[0, 40, 0] = 1
    places[0, 5], places[0, 40], places[0, 63] = torch.tensor([[-0.5, 0.25], [0.5, 0.0], [0.9, 0.9]])
    found = numbers(maps, places)
    assert found.shape == (1, NUMBERS)
    assert found[0].tolist() == [2, 0, 1.5, 1.25, 1.5, 1.0, 0, 0, 0, 0]


def test_the_order_of_cells_does_not_matter_and_their_number_does() -> None:
    torch.manual_seed(0)
    net = QuestionNet(width=16, hidden=16)
    seen, tokens = net.see(torch.randn(1, 3, 32, 32)), torch.randint(1, 20, (1, 2, 5))
    order = torch.randperm(64)
    changed = net.ask(Seen(seen.cells[:, order], seen.places[:, order]), tokens)
    torch.testing.assert_close(changed.log_odds, net.ask(seen, tokens).log_odds, rtol=1e-4, atol=1e-5)
    twice = net.ask(Seen(*(torch.cat([part, part], dim=1) for part in seen)), tokens)
    assert (twice.log_odds - net.ask(seen, tokens).log_odds).abs().max() > 1e-3


def test_question_net_is_trained_exported_and_graded(tmp_path: Path) -> None:
    with initialize_config_dir(str(CONFIGS / "training"), version_base="1.3"):
        small = ["net.width=16", "training.steps=4", "epoch=2", "training.batch=8", "training.questions=2", "threads=1"]
        settings = compose("questions", [f"output={tmp_path}", f"export={tmp_path}/net.safetensors", *small])
    card = train_questions(settings)
    assert 0 < card["right"] < 1
    assert sum(card[f"questions/{kind}"] for kind in ("number", "place", "relation", "group")) == 4000
    assert all(0 <= card[f"right/{kind}"] <= 1 for kind in ("number", "place", "relation", "group"))
    assert {f"way/{share}" for share in WAY} <= card.keys()
    assert read_card(tmp_path / "net.safetensors")["right"] == card["right"]
    assert load_network(tmp_path / "net.safetensors", QuestionNet).size == 32


def test_calibration_error_is_zero_for_true_probabilities_and_large_for_others() -> None:
    probability = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    yes = (torch.rand(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64) < probability).double()
    assert calibration_error(probability, yes) < 0.015
    assert calibration_error(probability.square(), yes) > 0.1
