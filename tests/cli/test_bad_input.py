"""Whatever is mistyped or impossible ends with one clear line and exit status 2."""

from pathlib import Path

import pytest

from fmtt.run.cli import script

CASES = {
    "lookahead=flowmap": ["flowmap1", "flowmap4", "denoiser"],
    "mode=importence": ["importance", "search"],
    "experiment=nothing": ["nothing"],
    "sampelr=default": ["sampelr"],
    "sampler.stesp=3": ["stesp", "steps"],
    "population.particle=3": ["particle", "particles", "groups", "chunk"],
    "reward.scal=3": ["scal", "scale", "direction"],
    "reward.scale=nan": ["reward.scale", "nan", "finite"],
    "reward.scale=.inf": ["reward.scale", "inf", "finite"],
    "reward.scale=big": ["reward.scale", "big"],
    "reward.direction=[1,2,3]": ["reward.direction", "2 numbers"],
    "reward.direction=[nan,1]": ["reward.direction", "nan"],
    "population.particles=-1": ["population.particles", "-1", "at least 1"],
    "population.particles=2.5": ["population.particles", "2.5", "whole"],
    "population.groups=0": ["population.groups", "at least 1"],
    "population.chunk=0": ["population.chunk", "at least 1"],
    "sampler.steps=0": ["sampler.steps", "at least 1"],
    "sampler.steps=many": ["sampler.steps", "many"],
    "sampler.epsilon=loud": ["sampler.epsilon", "loud", "zero", "linear"],
    "sampler.epsilon=null": ["sampler.epsilon=null", "zero", "linear"],
    "sampler.beta=null": ["sampler.beta=null", "geodesic"],
    "sampler.damping=null": ["sampler.damping=null", "must be one of"],
    "sampler.start=null": ["sampler.start=null", "normal"],
    "mode.weights=null": ["mode.weights=null", "jarzynski", "kernel"],
    "sampler.epsilon.c=-1": ["sampler.epsilon.c", "-1"],
    "mode.ess_threshold=1.5": ["mode.ess_threshold", "1.5", "[0, 1]"],
    "mode.ess_threshold=-0.1": ["mode.ess_threshold", "[0, 1]"],
    "mode.ess_threshold=nan": ["mode.ess_threshold", "nan"],
    "mode.resampler=best": ["mode.resampler", "best", "systematic", "ssp"],
    "mode.weights=right": ["mode.weights", "right", "jarzynski", "kernel"],
    "lookahead.steps=0": ["lookahead.steps", "at least 1"],
    "lookahead=denoiser mode.weights=jarzynski": ["jarzynski", "Denoiser", "material", "kernel"],
    "reward=symmetry": ["symmetry", "images", "(2,)"],
    "reward=rotation": ["rotation", "images", "(2,)"],
    "reward=mask": ["mask", "images", "(2,)"],
    "reward=mask reward.shape=blob": ["reward.shape", "blob", "disc"],
    "reward=digit": ["digit", "images", "(2,)"],
    "reward=digit reward.digit=10": ["reward.digit", "10"],
    "reward=digit reward.checkpoint=/nowhere": ["/nowhere", "does not exist"],
    "model=mnist model.checkpoint=/nowhere.safetensors": ["/nowhere.safetensors", "does not exist"],
    "model=mnist model.flow_map=ring": ["model.flow_map=ring", "(2,)", "(1, 28, 28)"],
    "model.std=-1": ["model.std", "-1", "positive"],
    "model.std=[1,2]": ["model.std", "3 numbers"],
    "model.weights=[1,2]": ["model.weights", "3 numbers"],
    "model.means=[[1,2],[3]]": ["model.means"],
    "model.means=word": ["model.means", "word"],
    "seed=-1": ["seed", "-1"],
    "seed=null": ["seed"],
    "seed": ["seed"],
    "model=diffusers reward=symmetry": ["model.repository: has no default", "type model.repository="],
    "device=toaster": ["device", "toaster", "cpu"],
    "precision=8": ["precision", "8", "32-true"],
    "checkpoint.every=-1": ["checkpoint.every", "-1"],
    "resume=perhaps": ["resume", "perhaps"],
    "mode=search mode.keep=0": ["mode.keep", "at least 1"],
    "mode=search mode.keep=5 population.particles=5": ["population.particles=5", "at least 6", "mode.keep"],
    "mode=beam population.particles=1": ["population.particles=1", "at least 2"],
    "mode=noise_smc lookahead=denoiser": ["noise_smc", "Denoiser", "flowmap1"],
    "mode=noise_opt lookahead=none": ["noise_opt", "NoLookAhead", "flowmap1"],
    "mode=noise_smc mode.move=walk": ["mode.move", "walk", "pcn", "hmc"],
    "mode=noise_smc sampler.grid=geodesic": ["sampler.grid", "pilot"],
    "mode=svdd population.particles=6": ["population.particles=6", "multiple", "mode.duplicates=4"],
    "mode=beam sampler.epsilon=zero": ["sampler.epsilon", "noise"],
    "mode=fk_steering mode.potential=min": ["mode.potential", "min", "difference", "max"],
    "mode=das mode.tempering=1": ["mode.tempering", "between 0 and 1"],
    "mode=fmrg mode.factor=0": ["mode.factor", "positive"],
    "mode=diamond mode.snr_drop=1": ["mode.snr_drop", "more than 1"],
    "sampler/start=annealed": ["sampler.start", "sampler/beta=from"],
    "sampler/start=annealed sampler/beta=from mode=noise_opt": ["sampler.start", "NoiseAscent", "normal"],
    "sampler/start=image": ["sampler.start.path=three", "pictures", "(2,)"],
    "sampler/start=image sampler.start.t0=1": ["sampler.start.t0=1", "between 0", "and 1"],
    "model=mnist reward=keep reward.path=nowhere": ["reward.path=nowhere", "does not exist", "three"],
    "sampler/transport=glass mode.weights=jarzynski": ["sampler.transport=glass", "kernel"],
    "sampler/transport=glass mode.weights=material": ["sampler.transport=glass", "kernel"],
    "mode=noise_opt budget.nfe=1": ["budget.nfe=1", "smallest run costs"],
    "budget.nfe=-2": ["budget.nfe", "-2", "positive"],
    "report=perhaps": ["report", "perhaps"],
    "mode=search mode.rounds=-2": ["mode.rounds", "-2"],
    "sampler/beta=early sampler.beta.end=0": ["sampler.beta.end", "0"],
    "sampler/chi=paper sampler.chi.h=0": ["sampler.chi.h", "0", "positive"],
    "sampler/damping=gaussian sampler.damping.sigma=0": ["sampler.damping.sigma", "0", "positive"],
    "sampler/damping=gaussian mode.weights=material": ["material", "sampler.damping", "kernel"],
    "sampler.chi=strong": ["sampler.chi", "strong", "zero", "paper"],
    "sampler/chi=paper sampler.epsilon=zero mode.weights=kernel": ["kernel", "needs noise", "material"],
    "sampler.probes=0": ["sampler.probes", "at least 1"],
    "sampler/grid=geodesic sampler.grid.particles=1": ["sampler.grid.particles", "at least 2"],
    "sampler/grid=geodesic sampler.grid.uniform=2": ["sampler.grid.uniform", "2"],
    "mode/gradient=clipped mode.gradient.norm=0": ["mode.gradient.norm", "0", "positive"],
    "mode/gradient=clipped mode.weights=jarzynski": ["jarzynski", "unmodified gradient", "kernel"],
    "mode.gradient=squashed": ["mode.gradient", "squashed", "clipped", "raw"],
    "mode.window=[0.5,0.2]": ["mode.window", "increasing"],
    "mode.window=[0]": ["mode.window", "two increasing times"],
    "mode.resample_at=[0]": ["mode.resample_at", "0", "at least 1"],
    "reward=wavy_ring reward.width=0": ["reward.width", "0", "positive"],
}


@pytest.mark.parametrize("words", CASES, ids=str)
def test_one_line_names_the_value_and_what_is_allowed(fmtt, words: str) -> None:
    outcome = fmtt(*words.split())
    assert outcome.status == 2
    assert len(outcome.complaint.splitlines()) == 1, outcome.complaint
    assert all(word in outcome.complaint for word in CASES[words]), outcome.complaint
    assert not (outcome.folder / "metrics.json").exists()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("reward.terms.keep.shape=blob", "reward.terms.keep.shape=blob: must be one of"),
        ("reward.terms.change.digit=12", "reward.terms.change.digit=12: must be a digit"),
        ("sampler.start.path=nowhere.png", "reward.terms.keep.path=nowhere.png: the file does not exist"),
    ],
)
def test_a_term_of_a_sum_has_a_name_that_can_be_typed(fmtt, word: str, name: str) -> None:
    assert fmtt("experiment=edit", word, small=False).complaint.startswith(f"fmtt: {name}")


def test_a_damaged_checkpoint_is_named(fmtt, tmp_path: Path) -> None:
    file = tmp_path / "damaged.safetensors"
    file.write_bytes(b"not a checkpoint")
    outcome = fmtt("model=mnist", f"model.checkpoint={file}")
    assert outcome.status == 2
    assert str(file) in outcome.complaint
    assert "damaged" in outcome.complaint
    assert len(outcome.complaint.splitlines()) == 1


def test_a_checkpoint_of_another_network_is_named(fmtt) -> None:
    outcome = fmtt("model=mnist", "model.checkpoint=digit_classifier", small=False)
    assert outcome.status == 2
    assert "DigitClassifier" in outcome.complaint
    assert "TwoTimeUNet" in outcome.complaint


def test_a_sweep_finishes_the_good_runs_and_names_the_bad_one(fmtt) -> None:
    outcome = fmtt("-m", "reward.scale=1,nan,2", "baseline=false")
    assert outcome.status == 2
    assert [(outcome.folder / str(n) / "metrics.json").exists() for n in range(3)] == [True, False, True]
    assert "nan" in (outcome.folder / "1" / "error.txt").read_text()
    assert len((outcome.folder / "summary.csv").read_text().splitlines()) == 1 + 3


def test_a_script_says_in_one_line_what_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    def train() -> None:
        raise ValueError("training.steps=0: must be a whole number\nof at least 1")

    assert script(train) == 2
    assert capsys.readouterr().err == "fmtt: training.steps=0: must be a whole number of at least 1\n"
    assert script(lambda: None) == 0
