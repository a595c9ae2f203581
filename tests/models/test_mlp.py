"""The two-time perceptron: it starts from the flow map of a Gaussian and keeps its frame."""

import torch

from fmtt.flow import noise
from fmtt.models.analytic import Gaussian
from fmtt.models.learned import TwoTimeModel
from fmtt.models.mlp import TwoTimeMLP


def network(trained: bool) -> TwoTimeMLP:
    torch.manual_seed(0)
    net = TwoTimeMLP(dimension=3, width=16, layers=2, embedding=8)
    spread, centre = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.3, -1.0, 0.1])
    net.fit_gaussian(centre + spread * noise.normal((500, 3), 0, "samples"))
    if trained:
        with torch.no_grad():
            net.outlet.weight.copy_(noise.normal((3, 16), 0, "weight"))
    return net.double().requires_grad_(False)


def test_untrained_network_is_the_flow_map_of_the_gaussian() -> None:
    net = network(trained=False)
    gaussian, model = Gaussian(net.mean.tolist(), net.std.tolist()), TwoTimeModel(net, net.shape)
    x, (s, t) = noise.normal((5, 3), 0, "x").double(), noise.uniform((2, 5), 0, "times").sort(0).values
    torch.testing.assert_close(model.flow_map(x, s, t), gaussian.flow_map(x, s, t))
    torch.testing.assert_close(model.velocity(x, t), gaussian.velocity(x, t))


def test_trained_network_has_its_velocity_on_the_diagonal() -> None:
    model, start = (TwoTimeModel(network(trained), (3,)) for trained in (True, False))
    x, (s, t) = noise.normal((5, 3), 0, "x").double(), noise.uniform((2, 5), 0, "times").sort(0).values
    assert (model.flow_map(x, s, t) - start.flow_map(x, s, t)).abs().max() > 1e-2
    _, slope = torch.func.jvp(lambda end: model.flow_map(x, s, end), (s,), (torch.ones_like(s),))
    torch.testing.assert_close(slope, model.velocity(x, s))
