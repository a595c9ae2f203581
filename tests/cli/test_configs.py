"""Every YAML of configs/ composes, binds to the signature of its target and makes its object."""

import inspect
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from fmtt.run.configs import CONFIGS
from tests.command import Outcome

GROUPS = (
    "model", "lookahead", "reward", "mode", "mode/gradient",
    "sampler/grid", "sampler/epsilon", "sampler/beta", "sampler/chi", "sampler/damping", "sampler/transport",
    "sampler/start", "logger",
)  # fmt: skip
ENTRIES = [
    (group, file.stem)
    for group in GROUPS
    for file in sorted((CONFIGS / group).glob("*.yaml"))
    if (group, file.stem) != ("logger", "none")
]
NEEDS_WEIGHTS = {
    (group, name) for group, name in ENTRIES if "download" in (CONFIGS / group / f"{name}.yaml").read_text()
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@cache
def node_of(group: str, name: str) -> DictConfig:
    config = composed(f"{group}={name}")
    for key in group.split("/"):
        config = config[key]
    return config[name] if group == "logger" else config


@pytest.mark.parametrize(("group", "name"), ENTRIES, ids="/".join)
def test_arguments_bind_to_the_signature_of_the_target(group: str, name: str) -> None:
    node = node_of(group, name)
    target = node._target_
    function = get_class(target) if target.rpartition(".")[2][0].isupper() else get_method(target)
    given = {key: None if OmegaConf.is_missing(node, key) else node[key] for key in node}
    arguments = {key: value for key, value in given.items() if not str(key).startswith("_")}
    signature = inspect.signature(function)
    bound = signature.bind_partial(**arguments) if node.get("_partial_") else signature.bind(**arguments)
    assert set(bound.arguments) == set(arguments)


@pytest.mark.parametrize(
    ("group", "name"), [e for e in ENTRIES if e not in NEEDS_WEIGHTS | {("model", "mnist")}], ids="/".join
)
def test_every_choice_makes_its_object(group: str, name: str) -> None:
    made = instantiate(node_of(group, name))
    assert isinstance(made, partial) == bool(node_of(group, name).get("_partial_"))


REWARDS = [name for group, name in ENTRIES if group == "reward" and (group, name) not in NEEDS_WEIGHTS]


OF_PROMPTS = ("vqa", "edit_scene")


@pytest.mark.parametrize("name", [name for name in REWARDS if name not in ("server", *OF_PROMPTS)])  # it has own tests
def test_every_reward_is_a_number_for_each_sample(name: str) -> None:
    reward = instantiate(node_of("reward", name))
    clocks, pictures, points = torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 28, 28), torch.zeros(2, 2)
    on_points = name in ("halfplane", "linear", "quadratic", "wavy_ring")
    assert reward(clocks if "clock" in name else points if on_points else pictures).shape == (2,)


@pytest.mark.parametrize("name", OF_PROMPTS)
def test_every_reward_of_prompts_is_a_number_for_each_sample(name: str) -> None:
    reward = instantiate(node_of("reward", name))
    told = {key: rows[[0, 0]] for key, rows in reward.encode_prompts(["a red circle"]).items()}
    assert reward(torch.zeros(2, 3, 32, 32), told).shape == (2,)


def needs_optuna(experiment: str) -> None:
    if experiment == "tune":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")  # make test has it


@pytest.mark.parametrize("name", [file.stem for file in (CONFIGS / "experiment").glob("*.yaml")])
def test_every_experiment_only_overrides_what_exists(name: str) -> None:
    needs_optuna(name)
    plain, overlaid = composed(), composed(f"experiment={name}")
    assert set(overlaid) == set(plain)


WITHOUT_WEIGHTS = [file for file in sorted((CONFIGS / "experiment").glob("*.yaml")) if file.stem != "edit_by_question"]


@pytest.mark.parametrize("file", WITHOUT_WEIGHTS, ids=lambda file: file.stem)
def test_the_first_run_of_every_sweep_has_its_reward(file: Path) -> None:
    """What the sweeper is told is what a user would type: in YAML, 4:45 without quotes is 285."""
    needs_optuna(file.stem)
    params = OmegaConf.select(OmegaConf.load(file), "hydra.sweeper.params", default={})
    first = {key: str(values).split(",")[0] for key, values in params.items()}
    typed = [f"{key}={value}" for key, value in first.items() if not re.match(r"(range|choice|interval|tag)\(", value)]
    assert callable(instantiate(composed(f"experiment={file.stem}", *typed).reward))


@pytest.mark.parametrize("name", [file.stem for file in (CONFIGS / "launcher").glob("*.yaml")])
def test_every_launcher_composes(name: str) -> None:
    assert composed(f"launcher={name}").seed == 0


def test_the_table_of_groups_names_every_folder_and_choice() -> None:
    text = (CONFIGS / "README.md").read_text()
    missing = [f"{group}/{name}" for group, name in ENTRIES if f"`{name}`" not in text]
    assert missing == []


def test_several_loggers_or_one_are_chosen_alike() -> None:
    assert set(composed("logger=[wandb,csv]").logger) == {"wandb", "csv"}
    assert set(composed("logger=csv").logger) == {"csv"}
    assert not composed("logger=none").logger


@pytest.mark.parametrize("name", [file.stem for file in (CONFIGS / "training").glob("*.yaml")])
def test_configurations_of_the_scripts_compose(name: str) -> None:
    with initialize_config_dir(str(Path(CONFIGS) / "training"), version_base="1.3"):
        assert compose(name).seed == 0


def test_a_file_that_is_no_yaml_gets_one_line(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "mine.yaml").write_text("scale: 1.0\nterms: {question: Is it?, scale: 2}\n")
    done = fmtt(f"--config-dir={tmp_path / 'my'}", "reward=mine")
    assert done.status == 2
    assert done.complaint.endswith("mine.yaml, line 2: expected ',' or '}', but got '?'")
    assert len(done.complaint.splitlines()) == 1


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BOMB, "mine.yaml: its aliases stand for too much"),
        ("a: &a [*a]\n", "mine.yaml: its aliases stand for too much"),
        ("scale: 1.0\nhow: !!python/object/apply:os.system [ls]\n",
         "mine.yaml, line 2: tags such as tag:yaml.org,2002:python/object/apply:os.system are not read"),
        ("how: !mine 3\n", "mine.yaml, line 1: tags such as !mine are not read"),
        ("# @package _global_\nhydra:\n  callbacks:\n    mine: {_target_: os.system, command: ls}\n",
         "hydra.callbacks.mine._target_=os.system: would be called before it is known whether you trust it"),
        ("# @package hydra.callbacks\nmine:\n  _target_: my.Callback\n",
         "hydra.callbacks.mine._target_=my.Callback: would be called"),
        ("# @package _global_\nown: {mine: {_target_: os.system}}\nhydra: {callbacks: '${own}'}\n",
         "hydra.callbacks.mine._target_=os.system: would be called"),
        ("# @package _global_\nown: os.system\nhydra: {job_logging: {handlers: {mine: {(): '${own}'}}}}\n",
         "hydra.job_logging.handlers.mine.()=os.system: would be called"),
        ("# @package _global_\nhydra: {hydra_logging: {handlers: {mine: {class: os.system}}}}\n",
         "hydra.hydra_logging.handlers.mine.class=os.system: would be called"),
        ("a: \x00\x01\n", "mine.yaml: unacceptable character #x0000"),
    ],
    ids=["bomb", "loop", "python", "tag", "callback", "package", "reference", "factory", "handler", "binary"],
)  # fmt: skip
def test_a_file_that_should_not_be_read_is_not(
    fmtt: Callable[..., Outcome], tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "mine.yaml").write_text(text)
    done = fmtt(f"--config-dir={tmp_path / 'my'}", "reward=mine")
    assert done.status == 2 and complaint in done.complaint and len(done.complaint.splitlines()) == 1


def test_a_file_in_another_encoding_is_named(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "mine.yaml").write_bytes("scale: 1.0 # f\u00fcr uns".encode("latin-1"))
    done = fmtt(f"--config-dir={tmp_path / 'my'}", "reward=mine")
    assert done.status == 2 and done.complaint.endswith("mine.yaml: is no text in UTF-8")


@pytest.mark.parametrize("flag", ["--config-dir={}", "--config-di={}", "-cd={}", "hydra.searchpath=[file://{}]"])
def test_files_of_all_folders_are_looked_at(fmtt: Callable[..., Outcome], tmp_path: Path, flag: str) -> None:
    (tmp_path / "my" / "reward").mkdir(parents=True)
    (tmp_path / "my" / "reward" / "mine.yaml").write_text(BOMB)
    done = fmtt(flag.format(tmp_path / "my"), "reward=mine")
    assert done.status == 2 and "mine.yaml: its aliases stand for too much" in done.complaint


def test_parts_of_hydra_in_a_run_of_a_sweep_are_looked_at(fmtt: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "my" / "reward").mkdir(parents=True)
    text = "# @package _global_\nhydra: {job_logging: {handlers: {mine: {(): os.system}}}}\n"
    (tmp_path / "my" / "reward" / "mine.yaml").write_text(text)
    done = fmtt("-m", f"--config-dir={tmp_path / 'my'}", "reward=symmetry,mine")
    assert done.status == 2 and "os.system: would be called before" in done.complaint


@pytest.mark.parametrize("group", ["launcher", "experiment"])
def test_choices_without_settings_take_none(fmtt: Callable[..., Outcome], group: str) -> None:
    done = fmtt(f"+{group}.foo=1")
    assert done.status == 2 and done.complaint == f"fmtt: there is no setting 'foo' of '{group}'; it has none"


@pytest.mark.parametrize(
    ("words", "end"), [([], 0.25), (["mode.window=[0,0.5]"], 0.5), (["sampler.grid.end=0.1"], 0.1)]
)
def test_fmrg_takes_short_steps_where_it_guides(words: list[str], end: float) -> None:
    sampler = composed("mode=fmrg", *words).sampler
    times = instantiate(sampler.grid).times(sampler.steps)
    assert times[-3:] == pytest.approx((end, (1 + end) / 2, 1))
    assert times[1] == pytest.approx(end / 8)


def test_a_mode_without_a_window_takes_equal_steps() -> None:
    assert instantiate(composed("mode=tds", "sampler/grid=early_stop").sampler.grid).times(4)[1] == 0.25
