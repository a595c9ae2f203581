"""The two-time U-Net: the Gaussian flow map it starts from, shapes, derivatives."""

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from fmtt.flow import noise
from fmtt.models.analytic import Gaussian
from fmtt.models.learned import TwoTimeModel
from fmtt.models.unet import TwoTimeUNet

SHAPE = (2, 8, 8)
PIXELS = 2 * 8 * 8


def network(trained: bool, dtype: torch.dtype = torch.float64) -> TwoTimeUNet:
    """A small network fitted to random images; if ``trained``, the weights that start at zero are not zero."""
    torch.manual_seed(0)
    net = TwoTimeUNet(channels=2, size=8, width=8, blocks=1, embedding=16)
    mean, std = torch.tensor([-0.7, 0.4])[:, None, None], torch.tensor([0.6, 1.3])[:, None, None]
    net.fit_gaussian(mean + std * noise.normal((200, *SHAPE), 0, "images"))
    if trained:
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if (parameter == 0).all():
                    parameter.copy_(0.1 * noise.normal(parameter.shape, 0, name))
    return net.to(dtype).requires_grad_(False)


def draw(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    s, t = noise.uniform((2, 5), 0, "times").sort(0).values.to(dtype)
    return noise.normal((5, *SHAPE), 0, "x").to(dtype), s, t


def test_gaussian_is_fitted_to_each_channel() -> None:
    net = TwoTimeUNet(channels=2, size=8, width=8, blocks=1, embedding=16)
    images = 0.3 * noise.normal((50, *SHAPE), 0, "images")
    images[:, 0] *= 0.1
    net.fit_gaussian(images)
    for channel in range(2):
        torch.testing.assert_close(net.mean[channel].item(), images[:, channel].mean().item())
        torch.testing.assert_close(net.std[channel].item(), images[:, channel].std().item())


def test_untrained_network_is_the_flow_map_of_the_gaussian() -> None:
    net = network(trained=False)
    mean, std = (buffer.expand(SHAPE).flatten().tolist() for buffer in (net.mean, net.std))
    gaussian = Gaussian(mean, std)
    model = TwoTimeModel(net, SHAPE)
    x, s, t = draw()
    flat = x.flatten(1)
    torch.testing.assert_close(model.flow_map(x, s, t).flatten(1), gaussian.flow_map(flat, s, t))
    torch.testing.assert_close(model.velocity(x, t).flatten(1), gaussian.velocity(flat, t))
    zero, one = torch.zeros(5).double(), torch.ones(5).double()
    torch.testing.assert_close(model.flow_map(x, zero, one).flatten(1), gaussian.flow_map(flat, zero, one))


def test_trained_network_is_another_map_with_the_same_frame() -> None:
    model, start = TwoTimeModel(network(trained=True), SHAPE), TwoTimeModel(network(trained=False), SHAPE)
    x, s, t = draw()
    assert (model.flow_map(x, s, t) - start.flow_map(x, s, t)).abs().max() > 1e-2
    assert torch.equal(model.flow_map(x, t, t), x)
    _, slope = torch.func.jvp(lambda end: model.flow_map(x, s, end), (s,), (torch.ones_like(s),))
    torch.testing.assert_close(slope, model.velocity(x, s))


def test_the_flow_map_of_another_network_may_be_studied() -> None:
    net, other = network(trained=True), network(trained=False)
    mixed = TwoTimeModel(net, SHAPE, map_net=other).to(torch.device("cpu"))
    x, s, t = draw()
    assert torch.equal(mixed.velocity(x, t), TwoTimeModel(net, SHAPE).velocity(x, t))
    assert torch.equal(mixed.flow_map(x, s, t), TwoTimeModel(other, SHAPE).flow_map(x, s, t))


def test_correction_is_seen_and_given_in_units_of_the_gaussian() -> None:
    """``v = v_gaussian + std / sigma_s correction((x - s mean) / sigma_s)``: what trained weights were trained in."""
    net, start = network(trained=True), network(trained=False)
    x, s, t = draw()
    time = s[:, None, None, None]
    sigma = ((1 - time) ** 2 + (time * net.std) ** 2).sqrt()
    correction = net.correction((x - time * net.mean) / sigma, s, t)
    torch.testing.assert_close(net(x, s, t) - start(x, s, t), net.std / sigma * correction)


@pytest.mark.parametrize(("channels", "size", "blocks"), [(1, 28, 2), (3, 12, 1), (2, 8, 2)])
def test_shapes(channels: int, size: int, blocks: int) -> None:
    net = TwoTimeUNet(channels=channels, size=size, width=8, blocks=blocks, embedding=16)
    x, t = noise.normal((3, channels, size, size), 0, "x"), torch.tensor([0.1, 0.5, 1.0])
    assert net(x, t / 2, t).shape == x.shape
    assert net.shape == (channels, size, size)


def test_images_and_times_do_not_see_each_other() -> None:
    net = network(trained=True)
    x, s, t = draw()
    alone = torch.cat([net(x[k : k + 1], s[k : k + 1], t[k : k + 1]) for k in range(5)])
    torch.testing.assert_close(net(x, s, t), alone)
    for moved in ((x, s / 2, t), (x, s, (1 + t) / 2)):
        assert (net(*moved) - net(x, s, t)).abs().amax(dim=(1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("slot", [0, 1, 2], ids=["x", "s", "t"])
def test_forward_derivatives_against_finite_differences(slot: int, trained: bool) -> None:
    net, point, h = network(trained), draw(), 1e-6
    tangents = [torch.zeros_like(part) for part in point]
    tangents[slot] = torch.ones_like(point[slot])
    _, slope = torch.func.jvp(net, point, tuple(tangents))
    ahead, behind = (
        net(*(part + sign * h * tangent for part, tangent in zip(point, tangents, strict=True))) for sign in (1, -1)
    )
    torch.testing.assert_close(slope, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-6)


def test_forward_and_reverse_derivatives_agree_in_float32() -> None:
    net = network(trained=True, dtype=torch.float32)
    x, s, t = draw(torch.float32)
    direction, weight = noise.normal((2, *x.shape), 0, "tangents")
    _, slope = torch.func.jvp(lambda x: net(x, s, t), (x,), (direction,))
    (gradient,) = torch.autograd.grad((net(x.requires_grad_(), s, t) * weight).sum(), x)
    torch.testing.assert_close((slope * weight).sum(), (gradient * direction).sum(), rtol=1e-3, atol=1e-3)


def test_a_forward_derivative_costs_one_more_forward() -> None:
    net = network(trained=True, dtype=torch.float32)
    x, s, t = draw(torch.float32)
    flops = []
    for call in (lambda: net(x, s, t), lambda: torch.func.jvp(lambda x, s: net(x, s, t), (x, s), (x, s))):
        with FlopCounterMode(display=False) as counter:
            call()
        flops.append(counter.get_flop_counts()["Global"][torch.ops.aten.convolution])
    assert flops[1] == 2 * flops[0]  # torch's own derivative of a convolution takes two
