"""Every model with every look-ahead that it has and every differentiable reward: slopes against differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import fmtt
from fmtt.api import assemble, finish
from fmtt.flow.conditions import rows
from fmtt.flow.protocols import as_flow, as_reward
from fmtt.models.t2i.flux import FluxVelocity
from fmtt.models.t2i.noise_network import NoiseNetwork, levels_of
from fmtt.models.t2i.sdxl_lcm import SdxlLcm
from fmtt.rewards import WeightedSum
from fmtt.rewards.t2i.aesthetic import Aesthetic
from fmtt.rewards.t2i.clip import ClipScore, PictureTower, TextTower
from fmtt.rewards.t2i.imagereward import ImageReward
from fmtt.rewards.t2i.networks import Head
from fmtt.rewards.vlm.reward import LogOdds
from fmtt.rewards.vlm.score import FILE, Score
from fmtt.run.outcome import Outcome
from fmtt.run.prompts import Prompts
from fmtt.run.verdicts import HELD_OUT, held_out_reward, verdicts_by_prompt
from fmtt.smc.totals import Totals
from fmtt.tilt.look_ahead import Denoiser, FlowMapJumps, LookAhead, NoLookAhead, OdeSteps
from tests.t2i import pipeline_cases
from tests.t2i.test_flux import dev_ahead, flow_map
from tests.t2i.test_flux3 import on_base
from tests.t2i.test_generator import generator
from tests.t2i.test_rewards_imagereward import network
from tests.t2i.test_sdxl_lcm import GUIDANCE, both, other_unet
from tests.t2i.test_vlm_score import head
from tests.t2i.tiny import flux3, flux_transformer, flux_vae, moved, told
from tests.t2i.tiny_hunyuan_image import hunyuan
from tests.t2i.tiny_rewards import bert_tokenizer, clip, clip_tokenizer
from tests.t2i.tiny_sana_sprint import sana_sprint
from tests.t2i.tiny_unet import scheduler, unet, vae
from tests.t2i.tiny_vlm import save_vlm

pytestmark = pytest.mark.filterwarnings("ignore")
TEXT, AT, H = "a cat", 0.4, 1e-3
REFERENCE = Path(fmtt.__file__).parent / "data" / "pictures" / "clock.png"
TOLERANCE = {"sana_sprint": 3e-2}  # its ReLUs have corners, and its linear attention is float32


def sdxl_lcm() -> SdxlLcm:
    return SdxlLcm(*(NoiseNetwork(net, levels_of(scheduler())) for net in (unet(True), other_unet())), vae(), both,
                   16, 24, GUIDANCE)  # fmt: skip


MODELS: dict[str, Callable[[], Any]] = {
    "flux3_klein": flux3,
    "flux3_klein on klein-base": on_base,
    "flux": flow_map,
    "flux_ahead": dev_ahead,
    "flux_schnell": lambda: FluxVelocity(flux_transformer(False), flux_vae(), told, 16, 24),
    "FluxPipeline": lambda: FluxVelocity(flux_transformer(), flux_vae(), told, 16, 24),
    "hunyuan_image": hunyuan,
    "sana_sprint": sana_sprint,
    "sdxl_lcm": sdxl_lcm,
    "generator": generator,
} | {name: partial(pipeline_cases.model_of, name) for name in pipeline_cases.CASES}
LOOK_AHEADS: dict[str, Callable[[Any], LookAhead]] = {
    "none": NoLookAhead,
    "denoiser": Denoiser,
    "diffusion2": partial(OdeSteps, steps=2),
    "flowmap1": partial(FlowMapJumps, steps=1),
    "flowmap2": partial(FlowMapJumps, steps=2),
}


def networks_of(model: Any) -> list[nn.Module]:
    """All its networks, with the autoencoder, once each."""
    parts = [vars(part).values() for part in (model, *vars(model).values()) if hasattr(part, "__dict__")]
    return list(dict.fromkeys(net for net in chain.from_iterable(parts) if isinstance(net, nn.Module)))


def in_double(model: Any) -> Any:
    """The model with all its networks in float64."""
    for net in networks_of(model):
        net.double()
    return model


def look_ahead_of(name: str, model: Any) -> LookAhead | None:
    """The look-ahead of the model, told the text; None if the model refuses it."""
    flow, condition = as_flow(model), {key: rows[:1] for key, rows in model.encode_prompts([TEXT]).items()}

    def bound(call: Callable[..., Tensor] | None) -> Callable[..., Tensor] | None:
        def made(x: Tensor, *times: Tensor) -> Tensor:
            return call(
                x, *times, condition={key: row.expand(len(x), *row.shape[1:]) for key, row in condition.items()}
            )

        return None if call is None else made

    try:
        return LOOK_AHEADS[name](replace(flow, velocity=bound(flow.velocity), flow_map=bound(flow.flow_map)))
    except ValueError:
        return None


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Rewards of all kinds, in float64."""
    torch.manual_seed(3)
    towers = [clip().double(), clip("gelu", 2).double()]
    viewers = {name: tmp_path_factory.mktemp(name) for name in ("vlm", "vlm_score")}
    save_file(head(), viewers["vlm_score"] / FILE)
    made: dict[str, Any] = {
        "clip, pickscore": ClipScore(PictureTower(towers[0]), TextTower(towers[0], clip_tokenizer()), 20.0, 1.0),
        "hpsv2": ClipScore(PictureTower(towers[1]), TextTower(towers[1], clip_tokenizer()), 1.0, 1.0),
        "imagereward": ImageReward(network().double(), bert_tokenizer()),
        "aesthetic": Aesthetic(nn.Sequential(PictureTower(clip()), moved(Head(12))).double()),
        "vlm": LogOdds(save_vlm("qwen3_vl", viewers["vlm"]), "Is it a cat?"),
        "vlm_score": Score(save_vlm("qwen2_5_vl", viewers["vlm_score"])),
    }
    made["vlm, told a picture"] = LogOdds(
        str(viewers["vlm"]), "Is the cat of the first picture in the second one?", references=[str(REFERENCE)]
    )
    for name in ("vlm", "vlm, told a picture", "vlm_score"):
        made[name].viewer.model.double()
    scales = {"hpsv2": 5.0, "imagereward": 1.0, "clip, pickscore": 0.05}  # as in configs/reward/preference.yaml
    return made | {"preference": WeightedSum({name: replace(made[name], scale=own) for name, own in scales.items()})}


def asked(reward: Any, text: str = TEXT) -> Callable[[Tensor], Tensor]:
    """Pictures to the reward, told the text."""
    if not as_reward(reward).conditional:
        return reward
    told = reward.encode_prompts([text])
    return lambda x: reward(x, condition=rows(told, torch.zeros(len(x), dtype=torch.long)))


@pytest.fixture(scope="module")
def rewards(judges: dict[str, Any]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Pictures to rewards of all kinds, told the text."""
    return {name: asked(reward) for name, reward in judges.items()}


@pytest.mark.parametrize("look_ahead", LOOK_AHEADS)
@pytest.mark.parametrize("name", MODELS)
def test_slopes_of_all_rewards(name: str, look_ahead: str, rewards: dict[str, Callable[[Tensor], Tensor]]) -> None:
    model = in_double(MODELS[name]())
    look = look_ahead_of(look_ahead, model)
    if look is None:
        pytest.skip(f"{name} has no such look-ahead")
    x, v = torch.randn(2, 1, *model.shape, generator=torch.Generator().manual_seed(3)).double()
    steps = torch.tensor([0.0, 1, -1, 2, -2], dtype=torch.double)[:, None, None, None]
    places = (x + H * steps * v).requires_grad_()
    seen = 0.2 * model.decode(look(places, places.new_full((5,), AT)).sample)  # rewards clamp pictures to [-1, 1]
    for kind, reward in rewards.items():
        values = reward(seen)
        (slope,) = torch.autograd.grad(values[0], places, retain_graph=True)
        expected = ((8 * (values[1] - values[2]) - (values[3] - values[4])) / (12 * H)).item()
        usual = slope.norm().item() * v.norm().item() / v.numel() ** 0.5
        found = (slope[0] * v[0]).sum().item()
        assert usual > 0 and slope.isfinite().all() and not slope[1:].any(), kind
        assert abs(found - expected) < TOLERANCE.get(name, 1e-2) * usual, (kind, found, expected, usual)


@pytest.mark.parametrize("name", MODELS)
def test_every_reward_that_is_held_out_judges_every_model(name: str, judges: dict[str, Any]) -> None:
    """What is reported is what the reward says of the pictures that people see, told the prompt of each."""
    prompts, model = Prompts([TEXT, "a dog"], ["", ""]), in_double(MODELS[name]())
    generates = as_flow(model).velocity is None
    run = assemble(
        model, lambda x: x.mean((1, 2, 3)), conditions=list(prompts.texts), groups=1, particles=2, steps=1,
        look_ahead=Denoiser if as_flow(model).flow_map is None else partial(FlowMapJumps, steps=1),
        mode=fmtt.modes.noise_opt if generates else fmtt.modes.base, precision="64-true",
    )  # fmt: skip
    with torch.no_grad():
        result = finish(run, run.loop.last())
    seen, values = result.decoded.flatten(0, 1), set()
    assert seen.shape == (4, 3, *seen.shape[2:]) and seen.std() > 1e-3
    for kind, reward in judges.items():
        held_out = held_out_reward(reward, run, prompts)
        said = verdicts_by_prompt(run, Outcome(result, Totals.start(result.ess), None, 1), held_out)
        with torch.no_grad():
            expected = [asked(reward, text)(seen[2 * k : 2 * k + 2]) for k, text in enumerate(prompts.texts)]
        found = [verdicts.tilted[HELD_OUT][0] for verdicts in said]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9, msg=lambda text, kind=kind: f"{kind}: {text}")
        values |= set(torch.cat(found).tolist())
    assert len(values) == 4 * len(judges), "all pictures and all rewards differ"
