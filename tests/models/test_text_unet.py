"""The network that is told a text: words matter, padding does not, and derivatives exist."""

import pytest
import torch

from fmtt.data.captions import VOCABULARY, words_of
from fmtt.models.checkpoints import load_network, save_network
from fmtt.models.text_model import TextModel, load_text_model
from fmtt.models.text_unet import TextUNet
from fmtt.models.words import tokens_of

SMALL = {"channels": 3, "size": 8, "width": 8, "blocks": 1, "embedding": 16, "words": 16}
TEXTS = ["a red circle", "a blue circle", "a red circle left of a blue square", "a square left of a circle"]


@pytest.fixture(scope="module")
def net() -> TextUNet:
    torch.manual_seed(0)
    made = TextUNet(**SMALL)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # layers that begin with zero would hide mistakes
    return made.eval().requires_grad_(False)


def tokens(*texts: str) -> torch.Tensor:
    return tokens_of(map(words_of, texts), VOCABULARY)


X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
S, T = torch.tensor([0.0, 0.2, 0.5, 0.9]), torch.tensor([0.0, 0.8, 1.0, 1.0])


def test_every_row_has_its_own_text(net: TextUNet) -> None:
    together = net(X, S, T, net.encode(tokens(*TEXTS)))
    alone = torch.cat([net(X[k, None], S[k, None], T[k, None], net.encode(tokens(TEXTS[k]))) for k in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    moved = net(X, S, T, net.encode(tokens(*TEXTS[1:], TEXTS[0])))
    assert ((together - moved).flatten(1).norm(dim=1) > 1e-3).all()


def test_order_of_words_matters_and_padding_does_not(net: TextUNet) -> None:
    x, s, t = X[:1], S[:1], T[:1]
    one, other = (net(x, s, t, net.encode(tokens(text))) for text in ("a star and a circle", "a circle and a star"))
    assert (one - other).norm() > 1e-4
    words = tokens("a star and a circle")
    torch.testing.assert_close(net(x, s, t, net.encode(words[:, :5])), one, atol=1e-5, rtol=1e-5)


def test_derivatives_agree_with_differences(net: TextUNet) -> None:
    double = TextUNet(**SMALL).double()
    double.load_state_dict(net.state_dict())
    told = double.encode(tokens(TEXTS[2]))
    x, v, s, t = X[:1].double(), X[1:2].double(), S[1:2].double(), T[1:2].double()

    def total(point: torch.Tensor) -> torch.Tensor:
        return double(point, s, t, told).square().sum()

    slope = torch.func.grad(total)(x)
    difference = (total(x + 1e-5 * v) - total(x - 1e-5 * v)) / 2e-5
    assert (slope * v).sum().item() == pytest.approx(difference.item(), rel=1e-6)
    curvature = torch.func.jvp(torch.func.grad(total), (x,), (v,))[1]
    slopes = [torch.func.grad(total)(x + h * v) for h in (1e-5, -1e-5)]
    torch.testing.assert_close(curvature, (slopes[0] - slopes[1]) / 2e-5, atol=1e-6, rtol=1e-5)


def test_a_saved_network_is_a_model_with_prompts(net: TextUNet, tmp_path) -> None:
    save_network(net, SMALL, tmp_path / "net.safetensors", {})
    model = load_text_model(tmp_path / "net.safetensors")
    assert isinstance(model, TextModel)
    assert model.shape == (3, 8, 8)
    told = model.encode_prompts(TEXTS)
    kept = load_network(tmp_path / "net.safetensors", TextUNet)
    velocity = kept(X, T, T, kept.encode(tokens(*TEXTS)))
    assert torch.equal(model.velocity(X, T, told), velocity)
    jump = X + (T - S)[:, None, None, None] * kept(X, S, T, told)
    assert torch.equal(model.flow_map(X, S, T, told), jump)
    with pytest.raises(ValueError, match="prompt=a dog: the word 'dog' is unknown; known are a one two"):
        model.encode_prompts(["a star", "a dog"])


def test_half_precision_keeps_times_exact(net: TextUNet) -> None:
    model = TextModel(net).to(torch.device("cpu"), torch.float64)
    told = model.encode_prompts(TEXTS)
    assert told["words"].dtype == torch.float64
    exact = model.velocity(X.double(), T.double(), told)
    close = TextModel(TextUNet(**SMALL)).to(torch.device("cpu"), torch.bfloat16)
    assert exact.dtype == torch.float64
    assert close.net.mean.dtype == torch.float32
