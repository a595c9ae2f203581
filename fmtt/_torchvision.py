"""Let torchvision import beside a CPU build of torch.

The default torchvision wheel links against CUDA. Beside a CPU torch its compiled operators cannot load, and
``import torchvision`` fails because two operator schemas are missing, although nothing here uses them. Lightning
and torchmetrics import torchvision, so the schemas are declared first, and only where the extension cannot load.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_library: torch.library.Library | None = None  # the declarations live as long as this object


def declare_missing_operators() -> None:
    """Declare ``torchvision::nms`` and ``torchvision::qnms`` if torchvision's extension cannot load."""
    global _library
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _library is not None:
        return
    for extension in Path(spec.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(str(extension))
            return
        except OSError:
            continue
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
