"""The two-time U-Net: average velocity of a flow map on small images.

It corrects the flow map of a Gaussian (:mod:`fmtt.models.two_time`). All pixels of a channel have the same Gaussian.
With one Gaussian for each pixel the same stroke would look different at each position, and convolutions would learn it
slowly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from fmtt.flow.interpolant import expand
from fmtt.models.two_time import TimePair, gaussian_frame


class Convolution(nn.Module):
    """A convolution whose weight is stored as a matrix ``(out, in * k * k)``, which the optimiser Muon needs.

    Forward-mode derivatives exist along its input, or along its weight, but not along both at once.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, zero: bool = False):
        super().__init__()
        self.shape = (outputs, inputs, kernel, kernel)
        self.stride = stride
        fan_in = inputs * kernel * kernel
        weight = torch.zeros(outputs, fan_in)
        self.weight = nn.Parameter(weight if zero else nn.init.normal_(weight, std=fan_in**-0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        weight, padding = self.weight.view(self.shape), self.shape[-1] // 2
        # forward derivative along x; torch's own would do one more convolution, of x with a weight of zeros
        value, tangent = forward_ad.unpack_dual(x)
        y = F.conv2d(value, weight, self.bias, self.stride, padding)
        if tangent is None:
            return y
        return forward_ad.make_dual(y, F.conv2d(tangent, weight, None, self.stride, padding))


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, norm with scale and shift from the times, SiLU, conv; plus a skip connection."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int = 8):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = Convolution(inputs, outputs)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = Convolution(outputs, outputs, zero=True)
        self.skip = nn.Identity() if inputs == outputs else Convolution(inputs, outputs, kernel=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class Attention(nn.Module):
    """Self-attention over all pixels. It is written out because the fused CPU kernel has no forward-mode derivative."""

    def __init__(self, channels: int, heads: int = 4, groups: int = 8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = Convolution(channels, 3 * channels, kernel=1)
        self.out = Convolution(channels, channels, kernel=1, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).unbind(1)
        attention = torch.softmax(q.transpose(-1, -2) @ k * (c // self.heads) ** -0.5, dim=-1)
        return x + self.out((v @ attention.transpose(-1, -2)).reshape(b, c, h, w))


class Trunk(nn.Module):
    """The common part of the U-Nets: two resolutions, half and a quarter of the image.

    Args:
        channels: colour channels C of the images.
        size: height and width of the images; divisible by 4.
        width: channels at half resolution; twice as many at quarter resolution.
        blocks: residual blocks per resolution on the way down (one more on the way up).
        embedding: width of the embedding of the two times.

    The buffers ``mean`` and ``std``, ``(C, 1, 1)``, are those of the data (see :meth:`fit_gaussian`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, size: int, width: int, blocks: int, embedding: int):
        super().__init__()
        self.shape = (channels, size, size)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))
        self.times = TimePair(embedding)
        self.inlet = Convolution(4 * channels, width)
        wide = 2 * width
        self.down = nn.ModuleList([ResidualBlock(width, width, embedding) for _ in range(blocks)])
        self.reduce = Convolution(width, wide, stride=2)
        self.middle = nn.ModuleList([ResidualBlock(wide, wide, embedding) for _ in range(2 * blocks)])
        self.attention = nn.ModuleList([Attention(wide) for _ in range(blocks)])
        self.expand = Convolution(wide, width)
        self.up = nn.ModuleList(ResidualBlock(width if index else wide, width, embedding) for index in range(blocks))
        self.norm = nn.GroupNorm(8, width)
        self.outlet = Convolution(width, 4 * channels, zero=True)

    def fit_gaussian(self, images: Tensor) -> None:
        """Take the mean and standard deviation of every channel of ``images (B, C, H, W)``."""
        self.mean.copy_(images.mean((0, 2, 3))[:, None, None])
        self.std.copy_(images.std((0, 2, 3))[:, None, None])

    def framed(self, x: Tensor, s: Tensor, t: Tensor, correction: Callable[[Tensor], Tensor]) -> Tensor:
        """The average velocity of a Gaussian, with the correction of a network that sees the standardised ``x``."""
        frame = gaussian_frame(x, expand(s, x), expand(t, x), self.mean, self.std)
        return frame.velocity + frame.unit * correction(frame.x)

    def through(self, x: Tensor, embedding: Tensor, mix: Callable[[int, Tensor], Tensor]) -> Tensor:
        """The correction at ``x (B, C, size, size)``; ``mix(k, h)`` lets distant pixels of ``h`` see each other."""
        h = self.inlet(F.pixel_unshuffle(x.to(embedding.dtype), 2))
        for block in self.down:
            h = block(h, embedding)
        skip, h = h, self.reduce(h)
        for index, block in enumerate(self.middle):
            h = block(h, embedding)
            if index % 2:
                h = mix(index // 2, h)
        h = torch.cat([F.interpolate(self.expand(h), scale_factor=2.0, mode="nearest"), skip], dim=1)
        for block in self.up:
            h = block(h, embedding)
        return F.pixel_shuffle(self.outlet(F.silu(self.norm(h))), 2)


class TwoTimeUNet(Trunk):
    """Average velocity ``v_{s,t}(x)``, with ``X_{s,t}(x) = x + (t - s) v_{s,t}(x)`` and ``v_{t,t} = b_t``.

    Arguments as in :class:`Trunk`.

    Shapes: ``x (B, C, size, size)``, ``s, t (B,)`` with ``0 <= s <= t <= 1``; the result is like ``x``.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 48, blocks: int = 2, embedding: int = 192):
        super().__init__(channels, size, width, blocks, embedding)

    def forward(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.framed(x, s, t, lambda inner: self.correction(inner, s, t))

    def correction(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.through(x, self.times(s, t), lambda k, h: self.attention[k](h))
