"""LoRA files are used whole, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

from fmtt.models.t2i.flux import FluxFlowMap, FluxVelocity, with_two_times
from fmtt.models.t2i.lora import load_lora, read_lora
from tests.t2i.tiny import flux_transformer, flux_vae, told

pytestmark = pytest.mark.filterwarnings("ignore")
PARTS = [
    "time_text_embed.original_embedder.timestep_embedder.linear_1",
    "time_text_embed.second_embedder.timestep_embedder.linear_2",
    "transformer_blocks.0.attn.to_q",
]
X, S, T = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([0.2]), torch.tensor([0.9])


def adapted() -> tuple[FluxFlowMap, dict[str, torch.Tensor]]:
    """A flow map with a random LoRA as peft runs it, and what its file holds."""
    transformer = with_two_times(flux_transformer())
    transformer.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=PARTS, init_lora_weights=False))
    tensors = {f"transformer.{name}": value for name, value in get_peft_model_state_dict(transformer).items()}
    return FluxFlowMap(transformer.eval(), flux_vae(), told, 16, 24), tensors


def test_merged_weights_do_what_the_lora_does(tmp_path: Path) -> None:
    expected, tensors = adapted()
    save_file(tensors, tmp_path / "lora.safetensors")
    known = read_lora(tmp_path / "lora.safetensors")
    assert len(known) == 2 * len(PARTS)
    transformer = load_lora(with_two_times(flux_transformer()), known, "lora.safetensors")
    model = FluxFlowMap(transformer, flux_vae(), told, 16, 24)
    condition = model.encode_prompts(["a cat"])
    with torch.no_grad():
        right = expected.average(X, S, T, condition)
        torch.testing.assert_close(model.average(X, S, T, condition), right, rtol=1e-4, atol=1e-5)
        plain = FluxFlowMap(with_two_times(flux_transformer()), flux_vae(), told, 16, 24)
        assert (plain.average(X, S, T, condition) - right).abs().max() > 1e-2
    assert not any("lora" in name for name, _ in transformer.named_parameters())
    assert not any(parameter.requires_grad for parameter in transformer.parameters())


def test_a_file_for_two_times_is_refused_by_a_network_with_one() -> None:
    _, tensors = adapted()
    line = r"model\.lora=it: 4 of 6 keys belong to no part of FluxTransformer2DModel: transformer\.time_text_embed\."
    with pytest.raises(ValueError, match=line):
        load_lora(flux_transformer(), tensors, "it")


def test_unknown_keys_and_empty_changes_are_refused() -> None:
    _, tensors = adapted()
    for key in ("transformer.r_embedder.lora_A.weight", "transformer.transformer_blocks.0.attn.to_q.scale", "other"):
        with pytest.raises(ValueError, match=f"1 of 7 keys belong to no part of FluxTransformer2DModel: {key}$"):
            load_lora(with_two_times(flux_transformer()), tensors | {key: torch.zeros(1)}, "it")
    nothing = {name: 0 * value if name.endswith("lora_B.weight") else value for name, value in tensors.items()}
    with pytest.raises(ValueError, match="changes nothing"):
        load_lora(with_two_times(flux_transformer()), nothing, "it")


def test_the_unknown_keys_of_ayf_are_counted_and_the_first_listed(tmp_path: Path) -> None:
    """No code of NVIDIA's says where its second time belongs."""
    ends = ("lora_down.weight", "lora_up.weight", "alpha")
    foreign = {f"net.r_embedder.{number}.{end}": torch.ones(1, 1) for number in range(3) for end in ends}
    save_file(foreign, tmp_path / "ayf.safetensors")
    line = (
        r"ayf\.safetensors: 9 of 9 keys belong to no part of FluxTransformer2DModel: net\.r_embedder\.0\.alpha,"
        r" net\.r_embedder\.0\.lora_down\.weight, net\.r_embedder\.0\.lora_up\.weight and 6 more$"
    )
    tensors = read_lora(tmp_path / "ayf.safetensors")
    with pytest.raises(ValueError, match=line):
        load_lora(with_two_times(flux_transformer()), dict(sorted(tensors.items())), tmp_path / "ayf.safetensors")


def test_half_a_layer_another_shape_and_numbers_that_are_none_are_refused() -> None:
    """peft draws the other half at random."""
    _, tensors = adapted()
    begin = "transformer.transformer_blocks.0.attn.to_q.lora_"
    down, up = tensors[f"{begin}A.weight"], tensors[f"{begin}B.weight"]
    layer = r"^model\.lora=it: transformer_blocks\.0\.attn\.to_q"
    for one, other in ("AB", "BA"):
        half = {key: value for key, value in tensors.items() if key != f"{begin}{other}.weight"}
        with pytest.raises(ValueError, match=rf"{layer} has lora_{one}\.weight alone, needs lora_A\.weight and lora_B"):
            load_lora(with_two_times(flux_transformer()), half, "it")
    line = rf"{layer} has matrices \(\d.*\) and \(\d.*\) for a weight \(32, 32\)$"
    for changed in (
        {"A.weight": down[:, 1:]}, {"A.weight": down[1:]}, {"B.weight": up[1:]}, {"A.weight": down[0]},
        {"A.weight": down[:0], "B.weight": up[:, :0]},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=line):
            load_lora(
                with_two_times(flux_transformer()), tensors | {begin + end: part for end, part in changed.items()}, "it"
            )
    with pytest.raises(ValueError, match=f"{layer} is not finite$"):
        load_lora(with_two_times(flux_transformer()), tensors | {f"{begin}A.weight": down * torch.nan}, "it")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"broken\.safetensors: is not a safetensors file that can be read"):
        read_lora(tmp_path / "broken.safetensors")
    with pytest.raises(ValueError, match=r"missing\.safetensors: there is no such file, such as that of somebody$"):
        read_lora(tmp_path / "missing.safetensors", "that of somebody")


def test_the_velocity_of_the_flow_map_has_the_lora_too() -> None:
    expected, tensors = adapted()
    transformer = load_lora(with_two_times(flux_transformer()), tensors, "it")
    condition = expected.encode_prompts(["a cat"])
    with torch.no_grad():
        diagonal = FluxFlowMap(transformer, flux_vae(), told, 16, 24).velocity(X, S, condition)
        assert (
            diagonal - FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24).velocity(X, S, condition)
        ).abs().max() > 1e-3
