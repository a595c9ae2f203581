"""Pictures of scenes are graded by the exact judge, category by category."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from fmtt.data.captions import Caption, Group, understood
from fmtt.data.scene_texts import Prompt, Speaker, reported
from fmtt.data.scenes import World, render
from fmtt.models.checkpoints import save_network
from fmtt.models.text_unet import TextUNet
from fmtt.run.configs import CONFIGS
from fmtt.training.scene_evaluation import common_prompts, evaluate_scenes, repeated, scene_table, shares_of

NET = {"channels": 3, "size": 32, "width": 8, "blocks": 1, "embedding": 16, "words": 16}


def test_true_pictures_are_right_and_those_of_others_are_not() -> None:
    scenes = World(tie=1.0).draw(200, np.random.default_rng(0))
    texts = Speaker().captions(scenes, np.random.default_rng(0))
    prompts = [Prompt("ab"[k % 2], understood(text)) for k, text in enumerate(texts)]
    pictures = render(scenes)
    shares = shares_of(prompts, pictures)
    assert {name: share["right"] for name, share in shares.items()} == {"a": 1.0, "b": 1.0}
    assert {share["samples"] for share in shares.values()} == {100}
    pictures[::2] = 0.0
    spoilt = shares_of(prompts, pictures)
    assert (spoilt["a"]["right"], spoilt["a"]["broken"], spoilt["b"]["right"]) == (0.0, 1.0, 1.0)
    assert shares_of(prompts, render(scenes).roll(1, 0))["b"]["right"] < 0.1


def test_common_prompts_have_usual_colours_and_each_category_enough_samples() -> None:
    prompts = common_prompts()
    assert all(group.colour == group.shape for prompt in prompts for group in prompt.caption.groups)
    many = repeated([*prompts, *reported()], 50)
    counts = {name: sum(prompt.category == name for prompt in many) for name in {p.category for p in many}}
    assert len(counts) == 9
    assert min(counts.values()) >= 50
    assert Prompt("one", Caption((Group(1, 0, 0),))) in prompts


def test_a_network_is_measured(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_network(TextUNet(**NET), NET, tmp_path / "net.safetensors", {})
    with initialize_config_dir(str(CONFIGS / "training"), version_base="1.3"):
        config = compose(
            "scenes_evaluation",
            [f"checkpoint={tmp_path}/net.safetensors", f"output={tmp_path}", "samples=1", "ode_steps=4", "threads=1"],
        )
    figures = evaluate_scenes(config)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == figures
    assert (tmp_path / "samples.png").stat().st_size > 1000
    assert set(figures["shares"]) == {"1 jump", "2 jumps", "4 jumps", "8 jumps", "ode"}
    assert figures["relative_error"]["denoiser"]["0"] > figures["relative_error"]["4 jumps"]["0.75"]
    assert all(name in scene_table(figures) for name in ("binding", "two of a kind", "8 jumps"))
    assert figures["shares"]["ode"]["one"]["right"] == pytest.approx(0.0)  # it was not trained
