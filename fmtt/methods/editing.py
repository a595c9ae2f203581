"""Editing: a run that starts from a picture in the place of noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fmtt.checks import fraction
from fmtt.data.images import read_sample
from fmtt.flow.schedules import LateRamp
from fmtt.methods.problem import Problem


@dataclass(frozen=True)
class NoisedImage:
    """Particles start at ``t = t0`` from ``t0 image + (1 - t0) noise`` (SDEdit, arXiv 2108.01073).

    The times of the grid are pressed together from [0, 1] to [t0, 1], and the ramp of the tilt with them, so that what
    is tilted is the law of the base model's own edits of the picture. A mode does the same to its window.

    Attributes:
        path: the picture; it is brought to the size of the model's samples.
        t0: the share of it that is kept, between 0 (nothing) and 1 (all).

    Raises:
        ValueError: if t0 is not between 0 and 1; when called, if there is no such picture or the model makes none.
    """

    path: str
    t0: float = 0.5

    def __post_init__(self) -> None:
        if fraction("sampler.start.t0", self.t0) in (0, 1):
            raise ValueError(f"sampler.start.t0={self.t0}: must lie between 0 (noise) and 1 (the picture itself)")

    def __call__(self, problem: Problem) -> Problem:
        flow = problem.model.flow
        image = read_sample("sampler.start.path", self.path, flow.decoded_shape(problem.noise.device))
        image = image.to(problem.noise.device)
        if flow.decode is not None:
            if flow.encode is None:
                raise ValueError("sampler.start=image: the model decodes its samples, and cannot encode a picture")
            image = flow.encode(image[None])[0]
        times = (self.t0, *(self.t0 + (1 - self.t0) * t for t in problem.times[1:-1]), 1.0)
        tilt = replace(problem.tilt, ramp=LateRamp(problem.tilt.ramp, self.t0))
        return replace(problem, image=image, times=times, tilt=tilt)
