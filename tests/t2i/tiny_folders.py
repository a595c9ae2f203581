"""Folders with tiny weights for every text-to-image model of the command line, and the settings that lead to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from fmtt.models.t2i.flux import with_two_times
from tests.t2i import tiny, tiny_hunyuan_image, tiny_pipelines, tiny_sana_sprint, tiny_unet
from tests.t2i.pipeline_cases import CASES

Settings = dict[str, str]


def saved(folder: Path, parts: Mapping[str, Any]) -> str:
    """A folder with these parts, and its path."""
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    return str(folder)


def lora_file(path: Path, net: Any, begin: str, *layers: str) -> str:
    """A file with a random LoRA of a network, whose keys begin with ``begin``, and its path."""
    net.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", *layers], init_lora_weights=False))
    save_file({begin + name: value.clone() for name, value in get_peft_model_state_dict(net).items()}, path)
    return str(path)


def flux_parts(guidance: bool = True) -> dict[str, Any]:
    clip, t5 = tiny.clip_and_t5()
    return {"transformer": tiny.flux_transformer(guidance), "vae": tiny.flux_vae(), "text_encoder": clip,
            "text_encoder_2": t5, "tokenizer": tiny.plain_tokenizer(20),
            "tokenizer_2": tiny.plain_tokenizer(40), "scheduler": tiny.scheduler()}  # fmt: skip


def klein(folder: Path) -> Settings:
    return {"repository": tiny.save_klein(folder)}


def klein_on_base(folder: Path) -> Settings:
    return klein(folder / "klein") | {
        "base": saved(folder / "base", {"transformer": tiny.flux3_transformer(flow_map=False)})
    }


def flux(folder: Path) -> Settings:
    transformer, second = with_two_times(tiny.flux_transformer()), "second_embedder.timestep_embedder.linear_1"
    lora = lora_file(folder / "lora.safetensors", transformer, "transformer.", second)
    return {"repository": saved(folder, flux_parts()), "lora": lora}


def flux_schnell(folder: Path) -> Settings:
    return {"repository": saved(folder, flux_parts(guidance=False))}


def flux_ahead(folder: Path) -> Settings:
    return {"repository": saved(folder / "dev", flux_parts()), "ahead": flux_schnell(folder / "schnell")["repository"]}


def hunyuan_image(folder: Path) -> Settings:
    networks = {"transformer": tiny_hunyuan_image.hunyuan_transformer(), "vae": tiny_hunyuan_image.hunyuan_vae()}
    return {"repository": saved(folder, networks | tiny_hunyuan_image.text_parts() | {"scheduler": tiny.scheduler()})}


def sana_sprint(folder: Path) -> Settings:
    student, teacher = tiny_sana_sprint.save_sana_sprint(folder, tiny_sana_sprint.encoders())
    return {"repository": student, "teacher": teacher}


def sdxl_lcm(folder: Path) -> Settings:
    lora = lora_file(folder / "lora.safetensors", tiny_unet.unet(True), "unet.")
    return {"repository": tiny_unet.save(folder / "sdxl", True), "lora": lora}


def generator(folder: Path) -> Settings:
    return {"repository": tiny_unet.save(folder, False)}


def diffusers_pipeline(name: str, folder: Path) -> Settings:
    networks = {"transformer": CASES[name].transformer(), "vae": CASES[name].vae()} if name in CASES else flux_parts()
    texts = tiny_pipelines.text_parts(name) if name in CASES else {}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return {"repository": saved(folder, {"scheduler": tiny.scheduler(), **networks, **texts})}


FOLDERS: dict[str, Callable[[Path], Settings]] = {  # the first word is that of the command line
    "flux3_klein": klein,
    "flux3_klein on klein-base": klein_on_base,
    "flux": flux,
    "flux_schnell": flux_schnell,
    "flux_ahead": flux_ahead,
    "hunyuan_image": hunyuan_image,
    "sana_sprint": sana_sprint,
    "sdxl_lcm": sdxl_lcm,
    "generator": generator,
} | {f"diffusers {name}": partial(diffusers_pipeline, name) for name in ("FluxPipeline", *CASES)}


def words_of(name: str, folder: Path) -> list[str]:
    """The words of the command line for a model of :data:`FOLDERS`, which is saved in ``folder``."""
    settings = FOLDERS[name](folder) | {"height": "16", "width": "24"}
    return [f"model={name.partition(' ')[0]}", *(f"model.{key}={value}" for key, value in settings.items())]
