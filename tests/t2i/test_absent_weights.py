"""Weights or a library that are not there: one line and status 2, for every choice, without a look at the network."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import save_file

from tests.command import Outcome
from tests.t2i.tiny_folders import sana_sprint

pytestmark = pytest.mark.filterwarnings("ignore")
GATED = "; then log in by `hf auth login`"
MODELS = {  # the repository, its licence, and whether access is gated
    "flux3_klein": ("black-forest-labs/flux-3-image-klein", "FLUX Non-Commercial", True),
    "flux": ("black-forest-labs/FLUX.1-dev", "FLUX.1 [dev] Non-Commercial", True),
    "flux_ahead": ("black-forest-labs/FLUX.1-dev", "FLUX.1 [dev] Non-Commercial", True),
    "flux_schnell": ("black-forest-labs/FLUX.1-schnell", "Apache-2.0", True),
    "generator": ("stabilityai/sd-turbo", "Stability AI Community", False),
    "sdxl_lcm": ("stabilityai/stable-diffusion-xl-base-1.0", "CreativeML Open RAIL++-M", False),
    "sana_sprint": ("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers", "NVIDIA Open Model", False),
    "hunyuan_image": (
        "hunyuanvideo-community/HunyuanImage-2.1-Distilled-Diffusers",
        "Tencent Hunyuan Community",
        False,
    ),
    "diffusers": ("Tongyi-MAI/Z-Image", "see its page on the hub", False),
}
REWARDS = {
    "clip": ("openai/clip-vit-large-patch14", "MIT", False),
    "pickscore": ("yuvalkirstain/PickScore_v1", "not stated", False),
    "hpsv2": ("xswu/HPSv2", "Apache-2.0", False),
    "imagereward": ("THUDM/ImageReward", "Apache-2.0", False),
    "aesthetic": ("openai/clip-vit-large-patch14", "MIT", False),
    "vlm": ("Qwen/Qwen3-VL-4B-Instruct", "Apache-2.0", False),
    "vlm_score": ("Skywork/Skywork-VL-Reward-7B", "MIT", True),
}
CHOICES = [("model", name, *row) for name, row in MODELS.items()]
CHOICES += [("reward", name, *row) for name, row in REWARDS.items()]


@pytest.fixture
def refused(
    fmtt: Callable[..., Outcome], klein: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], str]:
    """The line with which a choice is refused; rewards are asked about pictures of a tiny model that is there."""
    tried = []

    def connect(*given: object) -> NoReturn:
        tried.append(given)
        raise AssertionError(f"a download that nobody asked for: {given}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    save_file({"transformer.transformer_blocks.0.attn.to_q.lora_B.weight": torch.ones(2, 2)}, tmp_path / "lora")
    needed = {"flux": ["lora=lora"], "sdxl_lcm": ["lora=lora"], "diffusers": ["repository=Tongyi-MAI/Z-Image"]}

    def command(group: str, name: str) -> str:
        others = {"model": ["reward=symmetry"], "reward": ["model=flux3_klein", f"model.repository={klein}"]}[group]
        words = [f"{group}={name}", *(f"{group}.{word}" for word in needed.get(name, []))]
        done = fmtt(*words, *others, 'prompt="a cat"', small=False)
        (line,) = done.complaint.splitlines()
        assert done.status == 2 and tried == [], (line, tried)
        return line

    return command


@pytest.mark.parametrize(("group", "name", "repository", "licence", "gated"), CHOICES)
def test_absent_weights_are_named_with_their_licence(
    refused: Callable[[str, str], str], group: str, name: str, repository: str, licence: str, gated: bool
) -> None:
    line = refused(group, name)
    assert line.startswith(f"fmtt: {group}.")
    assert f"={repository}: the " in line and f" is not on this machine (licence {licence}" in line
    assert line.endswith(f"); {group}.download=true fetches it") and (GATED in line) == gated


@pytest.mark.parametrize(
    ("name", "repository", "licence"),
    [
        ("flux", "gabeguofanclub/flux-1-dev-flowmap-lsd", "FLUX.1 [dev] Non-Commercial"),
        ("sdxl_lcm", "latent-consistency/lcm-lora-sdxl", "CreativeML Open RAIL++-M"),
    ],
)
@pytest.mark.parametrize("word", [[], ["model.lora=nowhere.safetensors"]], ids=["none", "absent"])
def test_an_absent_lora_is_named_with_its_licence(
    fmtt: Callable[..., Outcome], name: str, repository: str, licence: str, word: list[str]
) -> None:
    done = fmtt(f"model={name}", *word, "reward=symmetry", 'prompt="a cat"', small=False)
    assert done.status == 2 and done.complaint.startswith("fmtt: model.lora=")
    assert f"hf download {repository}" in done.complaint and licence in done.complaint


def test_an_absent_teacher_is_named(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    student = sana_sprint(tmp_path)["repository"]
    words = ("model=sana_sprint", f"model.repository={student}", "model.teacher=nowhere/teacher", "reward=symmetry")
    done = fmtt(*words, 'prompt="a cat"', small=False)
    assert done.status == 2 and done.complaint.startswith("fmtt: model.teacher=nowhere/teacher: the transformer is")
    assert done.complaint.endswith("; model.download=true fetches it")


def test_a_reward_in_a_sum_or_held_out_is_named_where_it_stands(
    fmtt: Callable[..., Outcome], klein: str, tmp_path: Path
) -> None:
    words = ["model=flux3_klein", f"model.repository={klein}", "model.height=16", "model.width=24", 'prompt="a cat"']
    line = fmtt(*words, "reward=preference", small=False).complaint
    assert re.match(
        r"fmtt: reward\.terms\.(\w+)\.\w+=.* is not on this machine .*; reward\.terms\.\1\.download=true", line
    )
    line = fmtt(*words, "reward=symmetry", "reward@held_out=clip", small=False).complaint
    assert line.startswith("fmtt: held_out.repository=openai/") and line.endswith("; held_out.download=true fetches it")


def test_the_line_is_the_only_one(tmp_path: Path) -> None:
    """On the command line itself, where warnings of libraries would stand beside it."""
    command = [sys.executable, "-m", "fmtt", "model=flux3_klein", "reward=symmetry", 'prompt="a cat"', "logger=none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


EXTRA = r"fmtt: text-to-image models need (%s), of the extra t2i: make setup-t2i, or pip install '\.\[t2i\]' in .*"
LIBRARIES = {"model": ["diffusers"], "reward": ["transformers", "transformers.utils", "huggingface_hub"]}


@pytest.mark.parametrize(("group", "name"), [choice[:2] for choice in CHOICES])
def test_an_absent_library_is_named_with_the_extra(
    refused: Callable[[str, str], str], group: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in LIBRARIES[group]:
        monkeypatch.setitem(sys.modules, library, None)  # then its import fails
    assert re.fullmatch(EXTRA % "|".join(LIBRARIES[group]), line := refused(group, name)), line
