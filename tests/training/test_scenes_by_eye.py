"""A person's verdicts on pictures of scenes stand beside those of the judge."""

from pathlib import Path

import pytest
import torch

from fmtt.data.scene_texts import reported
from fmtt.models.checkpoints import save_network
from fmtt.models.text_unet import TextUNet
from fmtt.training import scenes_by_eye
from fmtt.training.scenes_by_eye import PICTURES, disagreements, draw_sheets, pictures_to_judge, verdicts_in
from tests.training.test_scene_evaluation import NET

ROOT = Path(__file__).resolve().parents[2]


def test_each_prompt_comes_once_before_any_comes_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_network(TextUNet(**NET), NET, tmp_path / "net.safetensors", {})
    prompts, pictures = pictures_to_judge(str(tmp_path / "net.safetensors"))
    assert len(prompts) == len(pictures) == PICTURES
    assert {prompt.text for prompt in prompts[: len(reported())]} == {prompt.text for prompt in reported()}
    assert torch.equal(pictures, pictures_to_judge(str(tmp_path / "net.safetensors"))[1])


def test_sheets_have_all_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes_by_eye, "ROWS", 1)
    monkeypatch.setattr(scenes_by_eye, "COLUMNS", 2)
    files = draw_sheets(reported()[:4], torch.zeros(4, 3, 32, 32), tmp_path)
    assert [file.name for file in files] == ["by_eye_0.png", "by_eye_1.png"]
    assert all(file.stat().st_size > 1000 for file in files)


def test_only_other_verdicts_are_listed() -> None:
    empty = torch.zeros(3, 3, 32, 32)  # shows nothing, so that no prompt is right
    rows = disagreements(reported()[:3], empty, {0: "wrong", 1: "right", 2: "unclear"})
    assert [(row[0], row[2].split()[0], row[3]) for row in rows] == [("1", "wrong", "right"), ("2", "wrong", "unclear")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 right\n1 good\n", "unknown verdict good; use right, wrong, unclear"),
        ("0 right\n", "no verdict of picture 1"),
    ],
)
def test_a_wrong_list_of_verdicts_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "verdicts.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        verdicts_in(tmp_path / "verdicts.txt")


def test_the_verdicts_of_the_docs_are_complete() -> None:
    assert len(verdicts_in(ROOT / "docs" / "data" / "scenes_by_eye.txt")) == PICTURES
