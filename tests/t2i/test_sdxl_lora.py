"""LoRA files of SDXL in the names of kohya and of diffusers: merged with their alphas, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from fmtt.models.t2i.lora import read_lora
from fmtt.models.t2i.sdxl_lcm import load_sdxl_lcm, with_lora
from tests.t2i.tiny_unet import save, unet

pytestmark = pytest.mark.filterwarnings("ignore")
RANK, ALPHA = 2, 5.0
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
ONE = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
LAYERS = [  # as those of the LCM-LoRA: of attention, of the rest of a block, and convolutions with and without a width
    ONE,
    ONE.replace("to_q", "to_out.0"),
    ONE.replace("attn1.to_q", "ff.net.0.proj"),
    "down_blocks.1.attentions.0.proj_in",
    "down_blocks.0.resnets.0.conv1",
    "down_blocks.1.resnets.0.conv_shortcut",
    "down_blocks.1.resnets.0.time_emb_proj",
    "down_blocks.0.downsamplers.0.conv",
    "mid_block.resnets.1.conv2",
    "up_blocks.0.upsamplers.0.conv",
    "add_embedding.linear_1",
    "conv_in",
]
STABILITY = {  # the same layers in the code of Stability AI, for one layer in each block
    ONE: "input_blocks_3_1_transformer_blocks_0_attn1_to_q",
    "down_blocks.1.attentions.0.proj_in": "input_blocks_3_1_proj_in",
    "down_blocks.0.resnets.0.conv1": "input_blocks_1_0_in_layers_2",
    "down_blocks.1.resnets.0.time_emb_proj": "input_blocks_3_0_emb_layers_1",
    "down_blocks.0.downsamplers.0.conv": "input_blocks_2_0_op",
    "mid_block.resnets.1.conv2": "middle_block_2_out_layers_3",
    "add_embedding.linear_1": "label_emb_0_0",
    "conv_in": "input_blocks_0_0",
}


def adapted(alpha: float = ALPHA) -> torch.nn.Module:
    """The U-Net with a random LoRA of peft."""
    net = unet(True)
    config = LoraConfig(r=RANK, lora_alpha=alpha, target_modules=LAYERS, init_lora_weights=False)
    torch.manual_seed(8)
    net.add_adapter(config)
    return net


def pairs() -> dict[str, tuple[Tensor, Tensor]]:
    """The matrices of each layer, down and up."""
    state = {name: value.clone() for name, value in get_peft_model_state_dict(adapted()).items()}
    return {layer: (state[f"{layer}.lora_A.weight"], state[f"{layer}.lora_B.weight"]) for layer in LAYERS}


def kohya(layer: str, alpha: float | None, name: str | None = None) -> dict[str, Tensor]:
    """A layer of a file of kohya, whose name has ``_`` for each dot."""
    begin, (down, up) = f"lora_unet_{name or layer.replace('.', '_')}", pairs()[layer]
    found = {f"{begin}.lora_down.weight": down, f"{begin}.lora_up.weight": up}
    return found if alpha is None else found | {f"{begin}.alpha": torch.tensor(alpha)}


def by_hand(scales: dict[str, float]) -> dict[str, Tensor]:
    """``W + scale * up @ down``, for convolutions at each place of the kernel."""
    found = {name: value.clone() for name, value in unet(True).named_parameters()}
    for layer, scale in scales.items():
        down, up = pairs()[layer]
        to = "or, ri -> oi" if down.ndim == 2 else "orab, rixy -> oixy"
        found[f"{layer}.weight"] += scale * torch.einsum(to, up, down)
    return found


def weights_of(net: torch.nn.Module) -> dict[str, Tensor]:
    return dict(net.named_parameters())


def fused(folder: str, path: Path) -> dict[str, Tensor]:
    """What diffusers makes of the U-Net of a folder and a LoRA."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
    pipeline.load_lora_weights(str(path))
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    return dict(pipeline.unet.named_parameters())


def test_a_file_in_names_of_kohya_gives_what_diffusers_makes_of_it(tmp_path: Path) -> None:
    folder, path = save(tmp_path / "sdxl", True), tmp_path / "kohya.safetensors"
    known = [layer for layer in LAYERS if layer != "add_embedding.linear_1"]  # whose number diffusers loses
    save_file({key: value for layer in known for key, value in kohya(layer, ALPHA).items()}, path)
    model = load_sdxl_lcm(str(path), folder, 16, 24)
    torch.testing.assert_close(weights_of(model.student.unet), fused(folder, path), **CLOSE)
    torch.testing.assert_close(weights_of(model.student.unet), by_hand(dict.fromkeys(known, ALPHA / RANK)), **CLOSE)
    torch.testing.assert_close(weights_of(model.base.unet), by_hand({}), **CLOSE)


def test_each_layer_has_its_own_alpha() -> None:
    """diffusers gives layers of attention the alpha that most layers have."""
    alphas = {layer: 1.0 + number for number, layer in enumerate(LAYERS)}
    tensors = {key: value for layer, alpha in alphas.items() for key, value in kohya(layer, alpha).items()}
    torch.testing.assert_close(
        weights_of(with_lora(unet(True), tensors, "it")),
        by_hand({layer: alpha / RANK for layer, alpha in alphas.items()}),
        **CLOSE,
    )
    without = {key: value for layer in LAYERS for key, value in kohya(layer, None).items()}
    torch.testing.assert_close(
        weights_of(with_lora(unet(True), without, "it")), by_hand(dict.fromkeys(LAYERS, 1.0)), **CLOSE
    )


def test_names_of_the_code_of_stability_ai_are_known_too() -> None:
    tensors = {key: value for layer, name in STABILITY.items() for key, value in kohya(layer, ALPHA, name).items()}
    torch.testing.assert_close(
        weights_of(with_lora(unet(True), tensors, "it")), by_hand(dict.fromkeys(STABILITY, ALPHA / RANK)), **CLOSE
    )


def test_a_file_of_diffusers_has_its_alpha_in_its_metadata(tmp_path: Path) -> None:
    folder, net = save(tmp_path / "sdxl", True), adapted()
    layers = {name: value.clone() for name, value in get_peft_model_state_dict(net).items()}
    settings = {key: value for key, value in net.peft_config["default"].to_dict().items() if key != "runtime_config"}
    settings["target_modules"] = sorted(settings["target_modules"])
    StableDiffusionXLPipeline.save_lora_weights(tmp_path, layers, unet_lora_adapter_metadata=settings)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    assert {f"unet.{layer}.alpha" for layer in LAYERS} < read_lora(path).keys()
    model = load_sdxl_lcm(str(path), folder, 16, 24)
    torch.testing.assert_close(weights_of(model.student.unet), fused(folder, path), **CLOSE)
    torch.testing.assert_close(weights_of(model.student.unet), by_hand(dict.fromkeys(LAYERS, ALPHA / RANK)), **CLOSE)


@pytest.mark.parametrize(
    "key",
    [
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_elsewhere.lora_down.weight",
        "lora_unet_input_blocks_x_1_proj_in.lora_down.weight",
        "lora_unet_input_blocks_3_7_proj_in.lora_down.weight",
        "lora_unet_conv_in.lora_mid.weight",
        "lora_unet_conv_in.dora_scale",
        "lora_unet_down_blocks_1.alpha",
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
        "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
        f"unet.{ONE}.lora_magnitude_vector",
        f"{ONE}.lora_A.weight",
    ],
)
def test_keys_of_no_part_of_the_network_are_refused_by_their_names_in_the_file(key: str) -> None:
    line = f"^model.lora=it: 1 of 4 keys belong to no part of UNet2DConditionModel: {key}$"
    with pytest.raises(ValueError, match=line):
        with_lora(unet(True), kohya("conv_in", ALPHA) | {key: torch.ones(RANK, 4)}, "it")


def test_a_layer_named_in_two_ways_is_refused() -> None:
    """diffusers drops one of them."""
    both = kohya("conv_in", ALPHA) | kohya("conv_in", ALPHA, STABILITY["conv_in"])
    with pytest.raises(ValueError, match=r"^model\.lora=it: two of its keys are for the same matrix$"):
        with_lora(unet(True), both, "it")
