"""How far the exact judge of scenes can be trusted on pictures of the model: a person judges them, too.

Sheets show pictures with their prompts, without the judge's verdict. A person writes down which are right. Then both
lists of verdicts are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import torch
from matplotlib.figure import Figure
from torch import Tensor

from fmtt.data.scene_reader import judge, read
from fmtt.data.scene_texts import Prompt, reported
from fmtt.models.checkpoints import load_network
from fmtt.models.text_unet import TextUNet
from fmtt.models.words import caption_tokens
from fmtt.training.captioned import told
from fmtt.training.evaluation import jumps
from fmtt.training.scene_sheets import show

PICTURES, ROWS, COLUMNS = 200, 5, 8  # in all, and of a sheet
SEED = 5
VERDICTS = ("right", "wrong", "unclear")


@torch.no_grad()
def pictures_to_judge(checkpoint: str) -> tuple[list[Prompt], Tensor]:
    """Reported prompts in random order, each once before any comes again, and a picture of each by four jumps."""
    generator = torch.Generator().manual_seed(SEED)
    known = list(reported())
    order = torch.cat([torch.randperm(len(known), generator=generator) for _ in range(PICTURES // len(known) + 1)])
    prompts = [known[number] for number in order[:PICTURES].tolist()]
    net = load_network(checkpoint, TextUNet)
    x = torch.randn(PICTURES, *net.shape, generator=generator)
    return prompts, jumps(told(net, caption_tokens(prompt.text for prompt in prompts)), x, 0.0, 4)


def draw_sheets(prompts: Sequence[Prompt], pictures: Tensor, folder: Path) -> list[Path]:
    """Sheets ``by_eye_0.png``, ... with a number and the prompt above each picture."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for first in range(0, len(pictures), ROWS * COLUMNS):
        figure = Figure(figsize=(2 * COLUMNS, 2.5 * ROWS), layout="constrained")
        for number, axis in enumerate(figure.subplots(ROWS, COLUMNS).flat, first):
            show(axis, pictures[number])
            axis.set_title(f"{number}: " + fill(prompts[number].text, 30), fontsize=9)
        files.append(folder / f"by_eye_{first // (ROWS * COLUMNS)}.png")
        figure.savefig(files[-1], dpi=80)
    return files


def verdicts_in(file: Path) -> dict[int, str]:
    """The verdicts of a person: lines of a number, one of ``VERDICTS``, and anything else, such as a reason.

    Raises:
        ValueError: if a verdict is unknown or a picture has none.
    """
    rows = [line.split(maxsplit=2) for line in file.read_text().splitlines() if line and not line.startswith("#")]
    found = {int(row[0]): row[1] for row in rows}
    if wrong := sorted(set(found.values()) - set(VERDICTS)):
        raise ValueError(f"{file}: unknown verdict {wrong[0]}; use {', '.join(VERDICTS)}")
    if absent := sorted(set(range(PICTURES)) - set(found)):
        raise ValueError(f"{file}: no verdict of picture {absent[0]}")
    return found


def disagreements(prompts: Sequence[Prompt], pictures: Tensor, by_eye: Mapping[int, str]) -> list[list[str]]:
    """A row for each picture that judge and person see otherwise: its number and prompt, the judge's word, theirs."""
    reading = read(pictures)
    right = judge([prompt.caption for prompt in prompts], reading)
    rows = []
    for number, prompt in enumerate(prompts):
        said = "right" if right[number] else "wrong"
        if by_eye[number] != said:
            judged = f"{said} (broken)" if reading.broken[number] else said
            rows.append([str(number), prompt.text, judged, by_eye[number]])
    return rows
