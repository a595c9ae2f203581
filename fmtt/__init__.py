"""fmtt: tilt flow and diffusion models toward a reward at test time.

    result = fmtt.sample(model, reward, scale=2.0)

See :func:`fmtt.sample`, :class:`fmtt.Flow`, and the README.
"""

from fmtt._torchvision import declare_missing_operators

declare_missing_operators()  # before anything imports torchvision

from fmtt import modes  # noqa: E402
from fmtt.api import Run, assemble, finish, sample  # noqa: E402
from fmtt.flow.meter import Meter  # noqa: E402
from fmtt.flow.protocols import Flow, FlowMap, Velocity  # noqa: E402
from fmtt.methods.result import Result  # noqa: E402
from fmtt.tilt.look_ahead import Denoiser, Exact, FlowMapJumps, NoLookAhead, OdeSteps  # noqa: E402

__version__ = "0.1.0"
__all__ = [
    "Denoiser",
    "Exact",
    "Flow",
    "FlowMap",
    "FlowMapJumps",
    "Meter",
    "NoLookAhead",
    "OdeSteps",
    "Result",
    "Run",
    "Velocity",
    "assemble",
    "finish",
    "modes",
    "sample",
]  # fmt: skip
