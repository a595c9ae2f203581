"""One Tracker over Weights & Biases, CSV and TensorBoard; each heavy library is imported when its logger starts."""

from fmtt.tracking.hydra_records import DESCRIBED, hydra_choices, run_name, sweep_name
from fmtt.tracking.lightning_loggers import Csv, TensorBoard
from fmtt.tracking.logger import Logger, scalars
from fmtt.tracking.showcase import Showcase
from fmtt.tracking.tracker import Tracker
from fmtt.tracking.wandb_logger import Wandb

__all__ = [
    "DESCRIBED",
    "Csv",
    "Logger",
    "Showcase",
    "TensorBoard",
    "Tracker",
    "Wandb",
    "hydra_choices",
    "run_name",
    "scalars",
    "sweep_name",
]
