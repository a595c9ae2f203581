"""Editing: a run that starts from a picture instead of noise."""

from __future__ import annotations

from dataclasses import dataclass

from fmtt.checks import fraction
from fmtt.data.images import read_sample
from fmtt.methods.problem import Problem


@dataclass(frozen=True)
class NoisedImage:
    """Particles start at ``t = t0`` from ``t0 image + (1 - t0) noise`` (SDEdit, arXiv 2108.01073).

    The time grid and the ramp of the tilt are rescaled from [0, 1] to [t0, 1]. So the run tilts the law of the edits
    that the base model makes of the picture. A mode rescales its window in the same way.

    Attributes:
        path: the picture; it is resized to the size of the model's samples.
        t0: the share of the picture in the start, between 0 (only noise) and 1 (only the picture).

    Raises:
        ValueError: if t0 is not between 0 and 1; when called, if the picture does not exist or samples of the model are
            not pictures.
    """

    path: str
    t0: float = 0.5

    def __post_init__(self) -> None:
        if fraction("sampler.start.t0", self.t0) in (0, 1):
            raise ValueError(f"sampler.start.t0={self.t0}: must lie between 0 (noise) and 1 (the picture itself)")

    def __call__(self, problem: Problem) -> Problem:
        flow = problem.model.flow
        if self.t0 <= flow.first_time:
            raise ValueError(
                f"sampler.start.t0={self.t0}: must be above {flow.first_time:.3g}, where this model begins"
            )
        image = read_sample("sampler.start.path", self.path, flow.decoded_shape(problem.noise.device))
        image = image.to(problem.noise.device)
        if flow.decode is not None:
            if flow.encode is None:
                raise ValueError("sampler.start=image: the model decodes its samples, and cannot encode a picture")
            image = flow.encode(image[None])[0]
        return problem.late(self.t0, image)
