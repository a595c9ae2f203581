"""The bundled digit classifiers, and what their training is made of."""

import pytest
import torch

from fmtt.data import mnist
from fmtt.flow import noise
from fmtt.models.checkpoints import BUNDLED, load_network, read_card, save_network
from fmtt.models.classifier import DigitClassifier
from fmtt.training.classifier import ClassifierTraining, augment, grade

NAMES = ("digit_classifier", "digit_evaluator")


@pytest.mark.parametrize("name", NAMES)
def test_bundled_classifier_is_small_and_was_good(name: str) -> None:
    file = BUNDLED / f"{name}.safetensors"
    assert file.stat().st_size < 1.5e6
    card = read_card(file)
    assert card["test_accuracy"] >= 0.992
    assert card["test_negative_log_likelihood"] < 0.03
    assert load_network(name, DigitClassifier)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_reward_does_not_grade_itself() -> None:
    reward, evaluator = (read_card(BUNDLED / f"{name}.safetensors") for name in NAMES)
    assert reward["seed"] != evaluator["seed"]
    assert reward["config"]["net"]["width"] != evaluator["config"]["net"]["width"]
    assert reward["config"]["net"]["features"] != evaluator["config"]["net"]["features"]


@pytest.mark.skipif(not mnist.available(), reason="MNIST is not on this machine (set FMTT_DATA to its folder)")
@pytest.mark.parametrize("name", NAMES)
def test_bundled_classifier_is_good(name: str) -> None:
    images, labels = mnist.load_mnist("test")
    assert grade(load_network(name, DigitClassifier), images[:2000], labels[:2000])["test_accuracy"] >= 0.992


def test_saved_batch_norm_survives(tmp_path) -> None:
    net = DigitClassifier(width=4, features=8)
    for step in range(3):
        net(3 + 2 * noise.normal((16, 1, 28, 28), 0, step))
    net.body[1].num_batches_tracked.fill_(70_001)  # more than float16 can hold
    save_network(net.eval(), {"width": 4, "features": 8}, tmp_path / "net.safetensors", {})
    loaded = load_network(tmp_path / "net.safetensors", DigitClassifier)
    assert loaded.body[1].num_batches_tracked == 70_001
    x = noise.normal((4, 1, 28, 28), 0, "x")
    torch.testing.assert_close(loaded(x), net(x), rtol=1e-2, atol=1e-2)


def test_augmentation() -> None:
    images = noise.uniform((3, 1, 28, 28), 0, "images").float() * 2 - 1
    middle = torch.full((3, 4), 0.5)
    torch.testing.assert_close(augment(images, middle), images, rtol=0, atol=1e-4)
    shifted = middle.clone()
    shifted[:, 0] = 1.0  # two pixels along the rows
    torch.testing.assert_close(augment(images, shifted)[..., :-2], images[..., 2:], rtol=0, atol=1e-4)
    assert augment(images, shifted)[..., -2:].max() < -1 + 1e-4  # background


def test_batches_are_keyed() -> None:
    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 28, 28)
    module = ClassifierTraining(
        DigitClassifier(4, 8),
        images,
        torch.arange(12),
        epochs=2,
        batch=4,
        lr=1e-3,
        weight_decay=0.0,
        noise_std=0.1,
        seed=0,
    )
    epoch = [module.draw(step) for step in range(3)]
    assert torch.cat([labels for _, labels in epoch]).sort().values.tolist() == list(range(12))
    again = module.draw(1)
    assert torch.equal(again[0], epoch[1][0])
    assert torch.equal(again[1], epoch[1][1])
    assert not torch.equal(module.draw(4)[1], epoch[1][1])
